"""`codeclip`: the code that a task is about, within a budget of tokens."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

import prunejuice
from prunejuice.cli import boundary
from prunejuice.text import counted

if TYPE_CHECKING:
    from prunejuice.context import Bundle, Reason, Style
    from prunejuice.contexts.asked import Ask
    from prunejuice.contexts.gather import Engine

_HELP = {"help_option_names": ["-h", "--help"]}


class Tokens(click.ParamType):  # type: ignore[type-arg]
    """A number of tokens: 8000, 8k, 1.5k, 1m."""

    name = "tokens"

    def convert(self, value: Any, param: "click.Parameter | None", ctx: "click.Context | None") -> int:
        """The number."""
        text = str(value).strip().lower().replace("_", "").replace(",", "")
        factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:], 1)
        try:
            found = int(float(text.rstrip("km")) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no number of tokens: write 8000, 8k or 1m", param, ctx)
        return found


def options(command: Any) -> Any:
    """The options of everything that gathers a context."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.argument("paths", nargs=-1),
    click.option("-q", "--query", default="", help="The task; - reads it from stdin, @FILE from a file."),
    click.option(
        "-i",
        "--input",
        "given",
        default="",
        metavar="SOURCE",
        help="Output that belongs to the task: clipboard, tmux, - for stdin, or a file.",
    ),
    click.option(
        "--diff",
        is_flag=False,
        flag_value="HEAD",
        default="",
        metavar="[REF]",
        help="Show the difference since a commit (HEAD) too.",
    ),
    click.option("--tests", is_flag=True, help="The tests of what is given too."),
    click.option("--only", is_flag=True, help="Nothing but what is given."),
    click.option(
        "-b",
        "--budget",
        type=Tokens(),
        default="32k",
        show_default=True,
        help="The most tokens; of JSON those of its texts.",
    ),
    click.option("--model", default="", help="Who reads it: the budget is in its tokens."),
    click.option(
        "--strategy", type=click.Choice(["ranked", "static"]), default="ranked", show_default=True
    ),
    click.option(
        "-f",
        "--format",
        "style",
        type=click.Choice(["text", "json", "xml", "markdown"]),
        default="text",
        show_default=True,
    ),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
    click.option("--explain", is_flag=True, help="Show what was chosen and why, instead of the code."),
    click.option("--copy", is_flag=True, help="Put it into the clipboard instead of on stdout."),
)


@click.command(context_settings=_HELP)
@click.version_option(prunejuice.__version__, "--version", message="codeclip (PruneJuice) %(version)s")
@options
def codeclip(**asked: Any) -> None:
    """Show the code that a task is about, within a budget of tokens.

    PATHS are files, folders and globs; !PATH leaves something out. A file that is named, or has changed,
    is shown before anything else. `codeclip serve` answers requests, a JSON object a line.
    """
    if asked["paths"] == ("serve",) and not Path("serve").exists():
        _serve()
        return
    gathered(**asked)


def gathered(**asked: Any) -> None:
    """Gather what the options ask for, and show it."""
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.context import present  # noqa: PLC0415

    ask = _ask(asked)
    bundle, style = _engine().gather(ask), ask.style
    for note in bundle.notes:
        render.say(note)
    if asked["copy"]:
        _copied(bundle, style)
    elif style == "json":
        render.json("context", msgspec.to_builtins(bundle))
    elif asked["explain"]:
        _explained(bundle)
    else:
        text = present(bundle, style)
        if sys.stdout.isatty():
            from prunejuice.text import safe_text  # noqa: PLC0415

            render.raw(safe_text(text))
        else:
            render.bytes_out(text.encode("utf-8", "surrogateescape"))
    if not asked["copy"]:
        render.say(_said(bundle))


def _engine() -> "Engine":
    from prunejuice import project, settings  # noqa: PLC0415
    from prunejuice.contexts.gather import Engine  # noqa: PLC0415

    return Engine(project.here(), settings.environment())


def _ask(asked: dict[str, Any]) -> "Ask":
    from prunejuice.contexts.asked import Ask  # noqa: PLC0415

    diff, paths = asked["diff"], asked["paths"]
    if diff and diff != "HEAD" and Path(diff).exists():  # --diff src/: the path was meant
        diff, paths = "HEAD", (diff, *paths)
    style: Style = "json" if asked["as_json"] else asked["style"]
    return Ask(
        query=_task(asked["query"]),
        paths=paths,
        budget=asked["budget"],
        strategy=asked["strategy"],
        style=style,
        diff=diff,
        tests=asked["tests"],
        only=asked["only"],
        model=asked["model"],
        given=text_of(asked["given"]) if asked["given"] else "",
    )


def _task(said: str) -> str:
    """The words of a task, or where they are: `-`, or `@` and a file that is there."""
    is_file = said[:1] == "@" and (len(said.split()) == 1 or Path(said[1:]).is_file())
    return text_of(said) if said == "-" or is_file else said


def text_of(source: str) -> str:
    """The text of a source: `-`, `clipboard`, `tmux`, a file, or `@` and a file."""
    from prunejuice import settings  # noqa: PLC0415
    from prunejuice.contexts import clipboard  # noqa: PLC0415
    from prunejuice.errors import UsageError  # noqa: PLC0415

    if source == "-":
        return sys.stdin.buffer.read(clipboard.LARGEST).decode("utf-8", "replace")
    if source in {"clipboard", "tmux"}:
        return clipboard.read(settings.environment(), "tmux" if source == "tmux" else "")
    try:
        with Path(source.removeprefix("@")).open("rb") as file:
            return file.read(clipboard.LARGEST).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"{source} cannot be read: {error.strerror}", "name a file, -, clipboard or tmux"
        ) from error


def _copied(bundle: "Bundle", style: Any) -> None:
    from prunejuice import settings  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.context import present  # noqa: PLC0415
    from prunejuice.contexts import clipboard  # noqa: PLC0415

    by = clipboard.write(present(bundle, style), settings.environment())
    render.say(f"copied by {by}: {_said(bundle)}")


def _said(bundle: "Bundle") -> str:
    whole = sum(item.mode == "full" or (item.mode == "pinned" and not item.ranges) for item in bundle.items)
    files = counted(len(bundle.items), "file")
    return f"{files}, {whole} of them whole; {bundle.used:,} of {bundle.budget:,} tokens"


def _explained(bundle: "Bundle") -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    items = sorted(bundle.items, key=lambda item: (item.mode != "pinned", -item.score, item.path))
    rows = []
    for item in items:
        why = "; ".join(map(_because, item.reasons[:4]))
        lines = ", ".join(f"{a}-{b}" for a, b in item.ranges[:4]) + (" …" if len(item.ranges) > 4 else "")
        rows.append((safe_line(item.path, 80), item.mode, f"{item.tokens:,}", lines, safe_line(why, 100)))
    for row in render.columns(rows):
        render.out(row)
    if bundle.left_out:
        render.out("left out:")
        for row in render.columns(
            (f"  {safe_line(each.path, 80)}", each.reason) for each in bundle.left_out[:20]
        ):
            render.out(row)


def _because(reason: "Reason") -> str:
    seen = reason.evidence.partition(": ")[2]
    return f"{reason.signal} {reason.weight:g}" + (f" ({seen})" if seen else "")


def _serve() -> None:
    """Answer a request a line: `{repo, query, seeds, budgets}` with `{by_budget: {budget: [files]}}`."""
    from prunejuice.cli import serving  # noqa: PLC0415

    serving.serve(sys.stdin.buffer, sys.stdout.buffer)


def main() -> None:
    """The entry point of the script."""
    sys.exit(boundary.guarded(codeclip))
