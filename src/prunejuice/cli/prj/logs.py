"""Show the output of the steps of a run."""

import codecs
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from prunejuice.cli import render
from prunejuice.cli.completion import complete_run, complete_step
from prunejuice.cli.options import json_option
from prunejuice.cli.run_history import find_run_id, open_history
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import Run, StepRun
from prunejuice.text import safe_line, safe_text, spelling_hint


@click.command("logs")
@click.argument("run", shell_complete=complete_run)
@click.argument("step", required=False, shell_complete=complete_step)
@click.option("-f", "--follow", is_flag=True, help="Follow the output until the run ends; Ctrl-C detaches.")
@json_option
def logs_command(*, run: str, step: str | None, follow: bool, as_json: bool) -> None:
    if follow and as_json:
        raise click.UsageError("--follow and --json cannot be combined")
    history = open_history()
    run_id = find_run_id(history, run)
    _require_step(history.load_run(run_id), step)
    if as_json:
        _print_logs_as_json(history, run_id, step)
        return
    printer = _LogPrinter(single_step=bool(step))
    while True:
        loaded = history.load_run(run_id)
        for visit in _visits_with_log(loaded, step):
            printer.print_new_output(history.run_directory(run_id) / visit.log, visit)
        is_over = loaded.status not in {"running", "pending"} or run_id in {
            lost.id for lost in history.lost_runs()
        }
        if not follow or is_over:
            return
        sys.stdout.flush()
        time.sleep(0.2)


def _require_step(run: Run, step: str | None) -> None:
    steps = run.plan.workflow.steps
    if step is not None and step not in steps:
        hint = spelling_hint(step, steps) or f"its steps are {', '.join(steps)}"
        raise click.UsageError(f"run {run.id[:8]} has no step {safe_line(step, 60)!r}: {hint}")


def _visits_with_log(run: Run, step: str | None) -> Iterator[StepRun]:
    return (v for v in run.visits if v.log and step in {None, v.step})


def _print_logs_as_json(history: RunHistory, run_id: str, step: str | None) -> None:
    """Print each visit with the text of its log, or without `text` if the log is gone."""
    items = []
    for visit in _visits_with_log(history.load_run(run_id), step):
        path = history.run_directory(run_id) / visit.log
        text = {"text": path.read_bytes().decode("utf-8", "backslashreplace")} if path.is_file() else {}
        head = {"step": visit.step, "visit": visit.visit, "attempt": visit.attempt, "status": visit.status}
        items.append({**head, "path": str(path), **text})
    render.print_json("logs", {"run": run_id, "items": items})


class _LogPrinter:
    """Prints new output of logs, with a position and a decoder for incomplete characters for each."""

    def __init__(self, *, single_step: bool) -> None:
        self.single_step = single_step
        self.offsets: dict[str, int] = {}
        self.decoders: dict[str, codecs.IncrementalDecoder] = {}
        self.at_line_start = True

    def print_new_output(self, path: Path, visit: StepRun) -> None:
        """Print what was added to a log since the last call."""
        if not path.is_file():
            return
        with path.open("rb") as file:
            file.seek(self.offsets.get(visit.log, 0))
            while chunk := file.read(1 << 20):
                self._print_heading(visit)
                self.offsets[visit.log] = self.offsets.get(visit.log, 0) + len(chunk)
                text = self.decoders[visit.log].decode(chunk)
                self.at_line_start = text.endswith("\n")
                render.print_text(safe_text(text))

    def _print_heading(self, visit: StepRun) -> None:
        if visit.log in self.decoders:
            return
        self.decoders[visit.log] = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        if not self.at_line_start:
            render.print_line()
        if not self.single_step:
            render.print_line(click.style(f"── {safe_line(visit.step)} ──", bold=True))
