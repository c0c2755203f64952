"""All text that people see, and the JSON that programs get. Data goes to stdout, messages to stderr."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from prunejuice.engine.run import Run, StepRun, is_tolerated
from prunejuice.engine.run_texts import describe_task, list_evidence
from prunejuice.engine.view import RunSummary, find_waiting_changes, seconds_worked
from prunejuice.text import format_dollars, safe_json, safe_line, safe_text, to_unicode

if TYPE_CHECKING:
    from prunejuice.engine.history import RunHistory
    from prunejuice.worktrees.snapshot import DiffStat

STATUS_COLOURS = {
    "completed": "green",
    "running": "cyan",
    "waiting": "yellow",
    "failed": "red",
    "cancelled": "magenta",
    "interrupted": "yellow",
    "pending": "bright_black",
    "skipped": "bright_black",
}


_COLOR_OR_CHARACTER = re.compile(r"\x1b\[[0-9;]*m|.", re.DOTALL)


def _color_choice() -> bool | None:
    """Return False where colours are unwanted (NO_COLOR, TERM=dumb), or None: a terminal gets them."""
    from prunejuice.system import settings  # noqa: PLC0415 - not for the help

    environ = settings.environment()
    return False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None


def can_redraw() -> bool:
    """Return whether stdout is a terminal that can redraw lines in place, which a dumb one cannot."""
    from prunejuice.system import settings  # noqa: PLC0415 - not for the help

    kind = settings.environment().get("TERM", "")
    return sys.stdout.isatty() and kind not in {"", "dumb", "unknown"}


def print_line(text: str = "") -> None:
    """Print a line of data. Untrusted text must already be made safe (see `prunejuice.text`)."""
    click.echo(text, color=_color_choice())


def print_text(chunk: str) -> None:
    """Print data without a line end."""
    click.echo(chunk, nl=False, color=_color_choice())


def page_lines(lines: Iterable[str]) -> None:
    """Show lines of data in the user's pager ($PAGER, or `less`) on a terminal; print them elsewhere."""
    from prunejuice.system import settings  # noqa: PLC0415 - not for the help

    environ = settings.environment()
    pager = environ.get("PAGER", "less")
    if pager.strip() in {"", "cat"} or not (can_redraw() or "PAGER" in environ):
        for line in lines:
            print_line(line)
        return
    # Click strips colours for any pager but `less`, and for `less` unless it finds options for them.
    shows_colors = settings.prepare_pager() or "less" not in pager
    color = True if _color_choice() is None and shows_colors else _color_choice()
    click.echo_via_pager((f"{line}\n" for line in lines), color=color)


def print_bytes(chunk: bytes) -> None:
    """Write bytes to stdout unchanged, for another program."""
    sys.stdout.flush()  # text that was printed before must come first
    sys.stdout.buffer.write(chunk)


def print_message(text: str) -> None:
    """Print a message to stderr."""
    click.echo(text, err=True, color=_color_choice())


def print_error(message: str, fix: str, *, as_json: bool, **details: Any) -> None:
    """Print an error and its fix to stderr, and as JSON to stdout; `details` are added to the JSON."""
    lines = [safe_text(line) for line in message.splitlines()] or ["failed"]
    print_message(click.style("error: ", fg="red", bold=True) + lines[0])
    for line in lines[1:]:
        print_message(f"       {line}")
    if fix:
        print_message(click.style("  fix: ", fg="cyan") + safe_text(fix))
    if as_json:
        print_json("error", {"error": {"message": message, **({"fix": fix} if fix else {}), **details}})


def print_json(schema: str, data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON object with its schema to stdout; a sequence becomes `items`."""
    body = data if isinstance(data, Mapping) else {"items": data}
    document = {"schema": f"prunejuice.{schema}/1", **body}
    try:
        encoded = msgspec.json.encode(document)
    except UnicodeEncodeError:  # surrogates stand for bytes that are not UTF-8
        from json import dumps  # noqa: PLC0415

        encoded = dumps(msgspec.to_builtins(document)).encode()
    print_line(safe_json(msgspec.json.format(encoded, indent=2).decode()))


def discard_stdout() -> None:
    """Redirect stdout to the null device once its reader is gone, so that the last flush succeeds."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def format_status(status: str) -> str:
    """Return a status in its colour."""
    return click.style(status, fg=STATUS_COLOURS.get(status))


def align_columns(rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Yield rows as aligned lines. Cells may be coloured."""
    table = [list(row) for row in rows]
    widths = [
        max((_display_width(row[index]) for row in table), default=0)
        for index in range(max(map(len, table), default=0))
    ]
    for row in table:
        padded = [cell + " " * (widths[index] - _display_width(cell)) for index, cell in enumerate(row)]
        yield "  ".join(cell for cell in padded if cell).rstrip()  # without columns that are empty


def _display_width(text: str) -> int:
    """Return how many columns of a terminal a text takes, without its colours."""
    from unicodedata import east_asian_width  # noqa: PLC0415 - not for the help

    plain = click.unstyle(text)
    return len(plain) if plain.isascii() else sum(1 + (east_asian_width(char) in "WF") for char in plain)


def row_width() -> int:
    """Return how long a row may be: COLUMNS or the width of the terminal; 0 (no limit) for a pipe."""
    from prunejuice.system import settings  # noqa: PLC0415 - not for the help

    if not sys.stdout.isatty():
        return 0
    columns = settings.environment().get("COLUMNS", "")
    return int(columns) if columns.isdecimal() else os.get_terminal_size(sys.stdout.fileno()).columns


def cut_row(text: str, width: int) -> str:
    """Return a row cut to `width` columns (0: not at all). It may be coloured."""
    if not width or _display_width(text) <= width:
        return text
    kept, used = [], 0
    for piece in _COLOR_OR_CHARACTER.findall(text):
        used += 0 if piece.startswith("\x1b") else _display_width(piece)
        if used >= width:
            break
        kept.append(piece)
    return "".join(kept) + "…" + ("\x1b[0m" if "\x1b" in text else "")


def format_duration(duration: float) -> str:
    """Return a duration in seconds in readable form, such as `2 min 05 s`.

    One below 0, because the clock was set back, is shown as 0.
    """
    duration = max(0.0, duration)
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(int(duration), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_age(timestamp: float) -> str:
    """Return the time since a timestamp, such as `3 h ago`."""
    elapsed = max(0, time.time() - timestamp)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if elapsed >= size:
            return f"{int(elapsed // size)} {unit} ago"
    return f"{int(elapsed)} s ago"


def format_change_size(run: RunSummary) -> str:
    """Return the lines that a run added and removed, or nothing if it changed no file."""
    return f"+{run.added} -{run.removed}" if run.files else ""


def format_usage(run: RunSummary) -> str:
    """Return the tokens and the cost of the finished agent steps of a run, or nothing."""
    tokens = f"{run.tokens:,} tokens" if run.tokens else ""
    return ", ".join(filter(None, (tokens, format_dollars(run.cost) if run.cost else "")))


def run_row(run: RunSummary) -> tuple[str, ...]:
    """Return the table row of a run."""
    duration = format_duration(seconds_worked(run, time.time())) if run.started else ""
    progress = f"{run.steps_done}/{run.steps_total}"
    branch = safe_line(run.branch, 40)
    note = safe_line(": ".join(filter(None, (run.step, run.error or run.called))), 80)
    return (
        run.id[:8],
        safe_line(f"{run.command} {run.task or run.arguments}".strip(), 48),
        format_status(run.status),
        progress,
        duration,
        format_age(run.created),
        format_change_size(run),
        click.style("✓ checked", fg="green") if run.checked else "",
        format_dollars(run.cost) if run.cost else "",
        branch,
        note,
    )


def print_run_rows(rows: Iterable[Sequence[str]], *, wide: bool = False, indent: str = "") -> None:
    """Print the rows of a table of runs, each cut to the width of the terminal unless `wide`."""
    width = 0 if wide else row_width()
    for row in align_columns(rows):
        print_line(cut_row(indent + row, width))


def step_row(run: Run, visit: StepRun) -> tuple[str, ...]:
    """Return the table row of a visit to a step of a run."""
    duration = format_duration((visit.ended or time.time()) - visit.started) if visit.log else ""
    visit_number = f"#{visit.visit}" if visit.visit > 1 else ""
    attempt = f"try {visit.attempt}" if visit.attempt > 1 else ""
    status = "blocked" if visit.status == "pending" else visit.status
    called = visit.called if visit.status == "running" else ""
    note = visit.error or called or last_line(visit.output)
    color, reason = step_color(run, visit), "allowed to fail: " if may_have_failed(run, visit) else ""
    return (
        " ",
        safe_line(visit.step, 40) + visit_number,
        click.style(status, fg=color),
        duration,
        attempt,
        safe_line(reason + note, 80),
    )


def may_have_failed(run: Run, visit: StepRun) -> bool:
    """Return whether a step failed that its command allows to fail."""
    return visit.status == "failed" and is_tolerated(run.plan, visit)


def step_color(run: Run, visit: StepRun) -> str:
    """Return the colour of a visit to a step: yellow for a failure that is allowed."""
    status = "blocked" if visit.status == "pending" else visit.status
    return "yellow" if may_have_failed(run, visit) else STATUS_COLOURS.get(status, "yellow")


def last_output(history: "RunHistory", line: RunSummary) -> str:
    """Return the last line of output of a running step, or nothing; it is not yet made safe."""
    if line.status != "running" or not line.log or line.called:
        return ""
    log = history.run_directory(line.id) / line.log
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        return last_line(file.read().decode("utf-8", "replace"))
    return ""


def last_line(text: str) -> str:
    """Return the last line that is not blank, or nothing."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def run_summary(run: Run, directory: str) -> Iterable[str]:
    """Yield the closing lines about a run: its result, its directory and the next commands."""
    duration = f" in {format_duration(seconds_worked(run, time.time()))}" if run.started else ""
    yield f"run {run.id[:8]} {format_status(run.status)}{duration}"
    for label, value in (*_describe_result(run), *_describe_place(run, directory)):
        if value:
            yield f"  {label:10} {value}"


def _describe_result(run: Run) -> Iterable[tuple[str, str]]:
    """Yield labels and values that say what a run was to do, and what came of it; a value may be empty."""
    if run.cause or run.error:
        yield "cause", safe_line(": ".join(filter(None, (run.cause, run.error))), 300)
        visit = run.last_visit(run.cause) if run.cause else None
        yield "action", safe_line(visit.fix, 1000) if visit else ""
    for visit in run.blocked_visits():
        yield "waiting", f"{safe_line(visit.step)}: {safe_line(visit.error, 300)}"
        yield "action", safe_line(visit.fix, 1000)
    containment = run.plan.command_containment
    yield "sandbox", safe_line(containment.mode if containment.is_on else "")
    yield "task", describe_task(run)
    yield from (("evidence", safe_line(fact, 300)) for fact in list_evidence(run))
    for refusal in (refusal for visit in run.visits for refusal in visit.refused):
        yield "refused", safe_line(f"{refusal.step}: {refusal.message}", 400)
    if run.submitted:
        yield "submitted", safe_line(run.submitted.url or run.submitted.branch, 300)
    if run.landed:
        yield "merged", f"into {safe_line(run.landed.into)} · undo: prj undo {run.landed.operation}"


def _describe_place(run: Run, directory: str) -> Iterable[tuple[str, str]]:
    """Yield labels and values that say where the work of a run is, and the next commands."""
    short = run.id[:8]
    yield "directory", safe_line(run.workspace.directory, 300)
    yield "branch", safe_line(run.workspace.branch)
    yield "session", safe_line(run.workspace.session)
    yield "artifacts", f"{len(run.artifacts)} in {safe_line(directory, 300)}" if run.artifacts else ""
    waiting = find_waiting_changes(run)
    yield "to review", f"{' '.join(waiting)}: prj review {short}" if waiting else ""
    yield "inspect", f"prj show {short} · prj logs {short}"
    is_resumable = run.status not in {"completed", "running", "pending"}
    yield "resume", f"prj resume {short}" if is_resumable else ""


def format_patch_line(line: str) -> str:
    """Return a line of a patch in the colour of its kind."""
    if line.startswith(("+++", "---", "diff ", "index ", "rename ", "new ", "deleted ", "similarity ")):
        return click.style(line, bold=True)
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line


def change_row(path: str, added: int | None, removed: int | None) -> tuple[str, ...]:
    """Return the table row of a changed file; `added` is None for a binary file."""
    if added is None:
        return ("bin", "", safe_line(path, 200))
    plus, minus = click.style(f"+{added}", fg="green"), click.style(f"-{removed}", fg="red")
    return (plus, minus, safe_line(path, 200))


def failure_tail(run: Run, lines: int = 12) -> Iterable[str]:
    """Yield the last lines of output of the step that failed."""
    visit = run.last_visit(run.cause) if run.cause else None
    if visit is None or not visit.output.strip():
        return
    yield f"  last output of {safe_line(visit.step)}:"
    for line in visit.output.rstrip().splitlines()[-lines:]:
        yield f"    {safe_line(line)}"


def change_to_dict(stat: "DiffStat") -> dict[str, object]:
    """Return the changes of a file as JSON data."""
    return {**stat._asdict(), "path": to_unicode(stat.path)}
