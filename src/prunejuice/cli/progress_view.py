"""Progress of a run: redrawn in place on a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from prunejuice.cli import render
from prunejuice.engine import event as events
from prunejuice.engine.event import Event
from prunejuice.engine.run import Run, StepRun
from prunejuice.text import safe_line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


STATUS_SYMBOLS = {"pending": "·", "running": "▶", "completed": "✓", "failed": "✗", "skipped": "-"}


class PlainProgress:
    """Prints one line when a step starts and one when it ends."""

    def __init__(self, write: Callable[[str], None] = render.print_message) -> None:
        self.write = write

    def show_event(self, run: Run, event: Event) -> None:
        """Print an event. A closed stderr does not stop the run."""
        with suppress(OSError):
            self._write_event(run, event)

    def _write_event(self, run: Run, event: Event) -> None:
        match event:
            case events.RunStarted():
                self.write(f"run {run.id[:8]}  {safe_line(run.plan.command.name)}")
            case events.StepRetried():
                self.write(f"{safe_line(event.step)}  failed  {safe_line(event.error)}, retrying")
            case events.StepStarted() | events.StepEnded() | events.StepBlocked():
                visit = next((v for v in run.visits_of(event.step) if v.visit == event.visit), None)
                if visit is not None:
                    # The run may be ahead of the event: a started step is shown as it was at its start.
                    shown = _as_started(visit) if isinstance(event, events.StepStarted) else visit
                    row = render.step_row(run, shown)
                    self.write("  ".join(cell for cell in row if cell.strip()))
            case events.FilesRestored() if event.operation:
                note = f"reverted the incomplete changes of {safe_line(event.step)}"
                self.write(f"{note}; restore them with `prj undo {event.operation}`")
            case events.AttentionRequested() | events.ActionRefused() if event.message:
                self.write(f"{safe_line(event.step)}  {safe_line(event.message)}")
            case events.RunCancelling():
                self.write(f"stopping: {safe_line(event.reason)}")
            case _:
                pass

    def show_output(self, step: str, line: str) -> None:
        """Print nothing: the output of steps is in their logs."""

    def close(self) -> None:
        """Do nothing."""


def _as_started(visit: StepRun) -> StepRun:
    return replace(visit, status="running", ended=0, error="", output="")


class LiveProgress:
    """Shows a line for each step, redrawn in place. Rich is imported at the first event to show."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.last_output: dict[str, str] = {}
        self.live: Live | None = None
        self.is_unwritable = False

    def show_event(self, run: Run, event: Event) -> None:
        """Show the state after an event."""
        self.run = run
        if isinstance(event, events.RunCreated | events.RunEnded | events.RunWaiting):
            return
        if self.live is None and not self.is_unwritable:
            from rich.live import Live  # noqa: PLC0415

            self.live = Live(get_renderable=self.draw, refresh_per_second=8, transient=False)
            try:
                self.live.start()
            except OSError:
                self.live, self.is_unwritable = None, True

    def show_output(self, step: str, line: str) -> None:
        """Show the last line of a step's output."""
        self.last_output[step] = safe_line(line, 120)

    def draw(self) -> "Table":
        """Return a table of the steps and their current status."""
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2))
        run = self.run
        for step in run.plan.workflow.steps.values() if run else ():
            visit = run.last_visit(step.id) if run else None
            if run is None or (step.stage == "cleanup" and visit is None):
                continue
            row = (
                Text(safe_line(cell, 100), style, no_wrap=True) for cell, style in self.cells(run, step.id)
            )
            table.add_row(*row)
        return table

    def cells(self, run: Run, step: str) -> Iterable[tuple[str, str]]:
        """Return the cells of a step, each with its style."""
        visit = run.last_visit(step)
        status = visit.status if visit else "pending"
        color = (render.step_color(run, visit) if visit else "dim").replace("bright_black", "dim")
        output = self.last_output.get(step, "") if visit and status == "running" else ""
        note = (visit.error if visit else "") or output
        if visit and render.may_have_failed(run, visit):
            note = f"allowed to fail: {note}"
        cells = (STATUS_SYMBOLS[status], safe_line(step, 40), status, _format_elapsed(visit), note)
        return zip(cells, (color, "bold" if status == "running" else "", color, "dim", "dim"), strict=True)

    def close(self) -> None:
        """Stop redrawing and leave the last state on the screen."""
        if self.live is not None:
            with suppress(OSError):
                self.live.stop()


def _format_elapsed(visit: StepRun | None) -> str:
    if visit is None or not visit.log:
        return ""
    return render.format_duration((visit.ended or time.time()) - visit.started)


class OutputProgress:
    """Prints each line of the output of steps, and nothing else."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def show_event(self, run: Run, event: Event) -> None:
        """Print nothing: events are in the history."""

    def show_output(self, _step: str, line: str) -> None:
        """Print a line of output. A closed stderr does not stop the run."""
        if not self.quiet:
            with suppress(OSError):
                render.print_message(safe_line(line, 400))

    def close(self) -> None:
        """Do nothing."""


Progress = PlainProgress | LiveProgress | OutputProgress


def choose_progress(*, quiet: bool) -> Progress:
    """Return the progress display that suits the terminal."""
    if quiet:
        return PlainProgress(lambda _line: None)
    return LiveProgress() if sys.stderr.isatty() and render.can_redraw() else PlainProgress()
