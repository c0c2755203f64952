"""All text that people see, and the JSON that programs get. Data on stdout, talk on stderr."""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from prunejuice.run import Run, StepRun
from prunejuice.text import safe_json, safe_line, safe_text
from prunejuice.view import Summary

if TYPE_CHECKING:
    from prunejuice.workspaces.snapshot import Change

COLOURS = {
    "completed": "green",
    "running": "cyan",
    "waiting": "yellow",
    "failed": "red",
    "cancelled": "magenta",
    "interrupted": "yellow",
    "pending": "bright_black",
    "skipped": "bright_black",
}


def out(text: str = "") -> None:
    """A line of data. What comes from outside must have been made safe."""
    click.echo(text)


def raw(chunk: str) -> None:
    """Data without a line end."""
    click.echo(chunk, nl=False)


def bytes_out(chunk: bytes) -> None:
    """Data as it is, for another program."""
    sys.stdout.flush()
    sys.stdout.buffer.write(chunk)


def say(text: str) -> None:
    """A line of talk."""
    click.echo(text, err=True)


def error(message: str, fix: str, *, as_json: bool, **more: Any) -> None:
    """Something went wrong, and what to do about it; `more` is for programs, as an exit code."""
    lines = [safe_text(line) for line in message.splitlines()] or ["failed"]
    say(click.style("error: ", fg="red", bold=True) + lines[0])
    for line in lines[1:]:
        say(f"       {line}")
    if fix:
        say(click.style("  fix: ", fg="cyan") + safe_text(fix))
    if as_json:
        json("error", {"error": {"message": message, **({"fix": fix} if fix else {}), **more}})


def json(schema: str, data: Mapping[str, Any] | Sequence[Any]) -> None:
    """One object on stdout, with its schema; a list becomes `items`."""
    body = data if isinstance(data, Mapping) else {"items": data}
    whole = {"schema": f"prunejuice.{schema}/1", **body}
    try:
        text = msgspec.json.encode(whole)
    except UnicodeEncodeError:  # bytes that are not UTF-8, kept as signs that text may not have
        from json import dumps  # noqa: PLC0415

        text = dumps(msgspec.to_builtins(whole)).encode()
    out(safe_json(msgspec.json.format(text, indent=2).decode()))


def drop_stdout() -> None:
    """Nobody reads any more: what Python still wants to flush goes nowhere."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def status(word: str) -> str:
    """A status in its colour."""
    return click.style(word, fg=COLOURS.get(word))


def columns(rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Rows as aligned lines; cells may be coloured."""
    table = [list(row) for row in rows]
    widths = [
        max((len(click.unstyle(row[n])) for row in table), default=0)
        for n in range(max(map(len, table), default=0))
    ]
    for row in table:
        padded = [cell + " " * (widths[n] - len(click.unstyle(cell))) for n, cell in enumerate(row)]
        yield "  ".join(padded).rstrip()


def seconds(duration: float) -> str:
    """A duration as people say it."""
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(int(duration), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def ago(when: float) -> str:
    """How long ago something was."""
    passed = max(0, time.time() - when)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if passed >= size:
            return f"{int(passed // size)} {unit} ago"
    return f"{int(passed)} s ago"


def size(line: Summary) -> str:
    """How much a run changed; nothing when it changed nothing."""
    return f"+{line.added} -{line.removed}" if line.files else ""


def run_line(line: Summary) -> tuple[str, ...]:
    """A row about a run."""
    end = line.ended or time.time()
    lasted = seconds(end - line.started) if line.started else ""
    done = f"{line.steps_done}/{line.steps_total}"
    where = safe_line(line.branch, 40)
    note = safe_line(": ".join(filter(None, (line.step, line.error or line.called))), 80)
    return (
        line.id[:8],
        safe_line(line.command, 30),
        status(line.status),
        done,
        lasted,
        ago(line.created),
        size(line),
        where,
        note,
    )


def step_line(visit: StepRun) -> tuple[str, ...]:
    """A row about a step of a run."""
    lasted = seconds((visit.ended or time.time()) - visit.started) if visit.log else ""
    again = f"#{visit.visit}" if visit.visit > 1 else ""
    tries = f"try {visit.attempt}" if visit.attempt > 1 else ""
    word = "blocked" if visit.status == "pending" else visit.status
    called = visit.called if visit.status == "running" else ""
    note = visit.error or called or last_line(visit.output)
    return (
        " ",
        safe_line(visit.step, 40) + again,
        status(word),
        lasted,
        tries,
        safe_line(note, 80),
    )


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def summary(run: Run, directory: str) -> Iterable[str]:
    """The closing lines about a run: how it went, where things are, how to go on."""
    short = run.id[:8]
    lasted = f" in {seconds(run.ended - run.started)}" if run.ended and run.started else ""
    yield f"run {short} {status(run.status)}{lasted}"
    if run.cause or run.error:
        yield f"  cause      {safe_line(': '.join(filter(None, (run.cause, run.error))), 300)}"
    for visit in run.blocked():
        yield f"  waits      {safe_line(visit.step)}: {safe_line(visit.error, 300)}"
        yield f"  do         {safe_line(visit.fix, 1000)}"
    yield f"  directory  {safe_line(run.workspace.directory, 300)}"
    if run.workspace.branch:
        yield f"  branch     {safe_line(run.workspace.branch)}"
    if run.workspace.session:
        yield f"  session    {safe_line(run.workspace.session)}"
    if run.artifacts:
        yield f"  artifacts  {len(run.artifacts)} in {safe_line(directory, 300)}"
    yield f"  look       prj show {short} · prj logs {short}"
    if run.status != "completed":
        yield f"  go on      prj resume {short}"


def patch_line(line: str) -> str:
    """A line of a patch in the colour of its kind."""
    if line.startswith(("+++", "---", "diff ", "index ", "rename ", "new ", "deleted ", "similarity ")):
        return click.style(line, bold=True)
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line


def change_line(path: str, added: int | None, removed: int | None) -> tuple[str, ...]:
    """A row about a file that changed."""
    if added is None:
        return ("bin", "", safe_line(path, 200))
    plus, minus = click.style(f"+{added}", fg="green"), click.style(f"-{removed}", fg="red")
    return (plus, minus, safe_line(path, 200))


def comparison(sides: "Sequence[tuple[Run, Sequence[Change]]]") -> Iterable[tuple[str, ...]]:
    """Rows about runs side by side: one column for each."""
    runs = [run for run, _ in sides]
    yield "run", *(run.id[:8] for run in runs)
    yield "command", *(safe_line(run.plan.command.name, 30) for run in runs)
    names = dict.fromkeys(name for run in runs for name in run.plan.arguments)
    for name in names:
        yield name, *(safe_line(str(run.plan.arguments.get(name, "")), 40) for run in runs)
    yield "status", *(status(run.status) for run in runs)
    yield "time", *(seconds(run.ended - run.started) if run.ended else "" for run in runs)
    for step in dict.fromkeys(visit.step for run in runs for visit in run.visits):
        last = [run.last(step) for run in runs]
        yield f"step {safe_line(step, 30)}", *(status(visit.status) if visit else "" for visit in last)
    tables = [{each.path: each for each in files} for _, files in sides]
    yield "files", *(str(len(table)) for table in tables)
    for path in sorted({path for table in tables for path in table}):
        yield f"  {safe_line(path, 60)}", *(_plus_minus(table.get(path)) for table in tables)


def _plus_minus(change: "Change | None") -> str:
    if change is None:
        return "·"
    return "binary" if change.added is None else f"+{change.added} -{change.removed}"


def failure_tail(run: Run, lines: int = 12) -> Iterable[str]:
    """The last lines of what the step that failed had to say."""
    visit = run.last(run.cause) if run.cause else None
    if visit is None or not visit.output.strip():
        return
    yield f"  last output of {safe_line(visit.step)}:"
    for line in visit.output.rstrip().splitlines()[-lines:]:
        yield f"    {safe_line(line)}"
