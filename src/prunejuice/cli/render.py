"""All text that people see, and the JSON that programs get. Data goes to stdout, messages to stderr."""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from prunejuice.engine.run import Run, StepRun
from prunejuice.engine.view import RunSummary
from prunejuice.text import safe_json, safe_line, safe_text, to_unicode

if TYPE_CHECKING:
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


def _color_choice() -> bool | None:
    """Return False where colours are unwanted (NO_COLOR, TERM=dumb), or None: a terminal gets them."""
    from prunejuice.system import settings  # noqa: PLC0415 - not for the help

    environ = settings.environment()
    return False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None


def print_line(text: str = "") -> None:
    """Print a line of data. Untrusted text must already be made safe (see `prunejuice.text`)."""
    click.echo(text, color=_color_choice())


def print_text(chunk: str) -> None:
    """Print data without a line end."""
    click.echo(chunk, nl=False, color=_color_choice())


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
        max((len(click.unstyle(row[index])) for row in table), default=0)
        for index in range(max(map(len, table), default=0))
    ]
    for row in table:
        padded = [cell + " " * (widths[index] - len(click.unstyle(cell))) for index, cell in enumerate(row)]
        yield "  ".join(padded).rstrip()


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


def run_row(run: RunSummary) -> tuple[str, ...]:
    """Return the table row of a run."""
    end = run.ended or time.time()
    duration = format_duration(end - run.started) if run.started else ""
    progress = f"{run.steps_done}/{run.steps_total}"
    branch = safe_line(run.branch, 40)
    note = safe_line(": ".join(filter(None, (run.step, run.error or run.called))), 80)
    return (
        run.id[:8],
        safe_line(run.command, 30),
        format_status(run.status),
        progress,
        duration,
        format_age(run.created),
        format_change_size(run),
        branch,
        note,
    )


def step_row(visit: StepRun) -> tuple[str, ...]:
    """Return the table row of a step of a run."""
    duration = format_duration((visit.ended or time.time()) - visit.started) if visit.log else ""
    visit_number = f"#{visit.visit}" if visit.visit > 1 else ""
    attempt = f"try {visit.attempt}" if visit.attempt > 1 else ""
    status = "blocked" if visit.status == "pending" else visit.status
    called = visit.called if visit.status == "running" else ""
    note = visit.error or called or last_line(visit.output)
    return (
        " ",
        safe_line(visit.step, 40) + visit_number,
        format_status(status),
        duration,
        attempt,
        safe_line(note, 80),
    )


def last_line(text: str) -> str:
    """Return the last line that is not blank, or nothing."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def run_summary(run: Run, directory: str) -> Iterable[str]:
    """Yield the closing lines about a run: its result, its directory and the next commands."""
    short = run.id[:8]
    duration = f" in {format_duration(run.ended - run.started)}" if run.ended and run.started else ""
    yield f"run {short} {format_status(run.status)}{duration}"
    if run.cause or run.error:
        yield f"  cause      {safe_line(': '.join(filter(None, (run.cause, run.error))), 300)}"
    for visit in run.blocked_visits():
        yield f"  waiting    {safe_line(visit.step)}: {safe_line(visit.error, 300)}"
        yield f"  action     {safe_line(visit.fix, 1000)}"
    yield f"  directory  {safe_line(run.workspace.directory, 300)}"
    if run.workspace.branch:
        yield f"  branch     {safe_line(run.workspace.branch)}"
    if run.workspace.session:
        yield f"  session    {safe_line(run.workspace.session)}"
    if run.artifacts:
        yield f"  artifacts  {len(run.artifacts)} in {safe_line(directory, 300)}"
    yield f"  inspect    prj show {short} · prj logs {short}"
    if run.status != "completed":
        yield f"  resume     prj resume {short}"


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
