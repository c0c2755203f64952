"""Options, request and output of `codeclip` and `codebot context`."""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from prunejuice.cli.param_type import TokenCount
from prunejuice.cli.text_source import read_source
from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.text import format_count

if TYPE_CHECKING:
    from prunejuice.context.bundle import Bundle, Reason, Style
    from prunejuice.context.engine import Engine
    from prunejuice.context.request import ContextRequest


def context_options(command: Any) -> Any:
    """Add the options of the commands that gather context."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.argument("paths", nargs=-1),
    click.option("-q", "--query", default="", help="Task description; - reads stdin, @FILE reads a file."),
    click.option(
        "-i",
        "--input",
        "given",
        default="",
        metavar="SOURCE",
        help="Include output that belongs to the task: clipboard, tmux, - (stdin) or a file.",
    ),
    click.option(
        "--diff",
        is_flag=False,
        flag_value="HEAD",
        default="",
        metavar="[REF]",
        help="Include the changes since REF  [default: HEAD].",
    ),
    click.option("--tests", is_flag=True, help="Include the tests of the selected files."),
    click.option("--only", is_flag=True, help="Include only the given paths."),
    click.option(
        "-b",
        "--budget",
        type=TokenCount(),
        default=f"{DEFAULT_BUDGET // 1000}k",
        show_default=True,
        help="Maximum number of tokens; JSON syntax is not counted.",
    ),
    click.option("--model", default="", help="Model whose tokenizer measures the budget."),
    click.option(
        "--strategy",
        type=click.Choice(["ranked", "static"]),
        default="ranked",
        show_default=True,
        help="Selection strategy.",
    ),
    click.option(
        "-f",
        "--format",
        "style",
        type=click.Choice(["text", "json", "xml", "markdown"]),
        default="text",
        show_default=True,
        help="Output format.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Same as --format json."),
    click.option(
        "--explain", is_flag=True, help="Show the selected files and the reasons, instead of the code."
    ),
    click.option("--copy", is_flag=True, help="Copy to the clipboard instead of printing."),
)


def show_context(**options: Any) -> None:
    """Gather the context that the options describe, and print or copy it."""
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.context.bundle import render_bundle  # noqa: PLC0415

    request = _build_request(options)
    bundle, style = _open_engine().gather(request), request.style
    for note in bundle.notes:
        render.print_message(note)
    if options["copy"]:
        _copy_context(bundle, style)
    elif style == "json":
        render.print_json("context", msgspec.to_builtins(bundle))
    elif options["explain"]:
        _show_explanation(bundle)
    else:
        text = render_bundle(bundle, style)
        if sys.stdout.isatty():
            from prunejuice.text import safe_text  # noqa: PLC0415

            render.print_text(safe_text(text))
        else:  # a pipe gets the exact bytes, including those that are not UTF-8
            render.print_bytes(text.encode("utf-8", "surrogateescape"))
    if not options["copy"]:
        render.print_message(_format_totals(bundle))


def _open_engine() -> "Engine":
    from prunejuice.context.engine import Engine  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415

    gc.set_threshold(200_000, 20, 20)  # the index is large and free of cycles
    return Engine(project.current_directory(), settings.environment())


def _build_request(options: dict[str, Any]) -> "ContextRequest":
    from prunejuice.context.request import ContextRequest  # noqa: PLC0415

    diff, paths = options["diff"], options["paths"]
    if diff and diff != "HEAD" and Path(diff).exists():  # `--diff src/`: Click took the path for REF
        diff, paths = "HEAD", (diff, *paths)
    style: Style = "json" if options["as_json"] else options["style"]
    return ContextRequest(
        query=_read_query(options["query"]),
        paths=paths,
        budget=options["budget"],
        strategy=options["strategy"],
        style=style,
        diff=diff,
        tests=options["tests"],
        only=options["only"],
        model=options["model"],
        given=read_source(options["given"]) if options["given"] else "",
    )


def _read_query(text: str) -> str:
    """Return the task, read from stdin (`-`) or a file (`@FILE`) where the text names one."""
    is_file = text[:1] == "@" and (len(text.split()) == 1 or Path(text[1:]).is_file())
    return read_source(text) if text == "-" or is_file else text


def _copy_context(bundle: "Bundle", style: Any) -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.context import clipboard  # noqa: PLC0415
    from prunejuice.context.bundle import render_bundle  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415

    tool = clipboard.write(render_bundle(bundle, style), settings.environment())
    render.print_message(f"copied with {tool}: {_format_totals(bundle)}")


def _format_totals(bundle: "Bundle") -> str:
    complete = sum(
        item.mode == "full" or (item.mode == "pinned" and not item.ranges) for item in bundle.items
    )
    files = format_count(len(bundle.items), "file")
    return f"{files} ({complete} complete), {bundle.used:,} of {bundle.budget:,} tokens"


def _show_explanation(bundle: "Bundle") -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    items = sorted(bundle.items, key=lambda item: (item.mode != "pinned", -item.score, item.path))
    rows = []
    for item in items:
        reasons = "; ".join(map(_format_reason, item.reasons[:4]))
        lines = ", ".join(f"{a}-{b}" for a, b in item.ranges[:4]) + (" …" if len(item.ranges) > 4 else "")
        rows.append((
            safe_line(item.path, 80),
            item.mode,
            f"{item.tokens:,}",
            lines,
            safe_line(reasons, 100),
        ))
    for row in render.align_columns(rows):
        render.print_line(row)
    if bundle.left_out:
        render.print_line("left out:")
        for row in render.align_columns(
            (f"  {safe_line(file.path, 80)}", file.reason) for file in bundle.left_out[:20]
        ):
            render.print_line(row)


def _format_reason(reason: "Reason") -> str:
    evidence = reason.evidence.partition(": ")[2]
    return f"{reason.signal} {reason.weight:g}" + (f" ({evidence})" if evidence else "")
