"""Progress while a run goes on: in place on a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from prunejuice import event as events
from prunejuice.cli import render
from prunejuice.event import Event
from prunejuice.run import Run, StepRun
from prunejuice.text import safe_line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SPELLED = {"pending": "·", "running": "▶", "completed": "✓", "failed": "✗", "skipped": "-"}


class Plain:
    """One line when a step begins and one when it ends."""

    def __init__(self, write: Callable[[str], None] = render.say) -> None:
        self.write = write

    def tell(self, run: Run, event: Event) -> None:
        """Show an event; that nobody is there to see it is no reason to stop."""
        with suppress(OSError):
            self._tell(run, event)

    def _tell(self, run: Run, event: Event) -> None:
        match event:
            case events.RunStarted():
                self.write(f"run {run.id[:8]}  {safe_line(run.plan.command.name)}")
            case events.StepRetried():
                self.write(f"{safe_line(event.step)}  failed  {safe_line(event.error)}, trying again")
            case events.StepStarted() | events.StepEnded() | events.StepBlocked():
                visit = next((v for v in run.of(event.step) if v.visit == event.visit), None)
                if visit is not None:
                    shown = visit if not isinstance(event, events.StepStarted) else _just(visit)
                    self.write("  ".join(cell for cell in render.step_line(shown) if cell.strip()))
            case events.FilesPutBack() if event.operation:
                back = f"half-done changes of {safe_line(event.step)} were taken back"
                self.write(f"{back}; prj undo {event.operation} has them again")
            case events.PersonCalled() if event.message:
                self.write(f"{safe_line(event.step)}  {safe_line(event.message)}")
            case events.RunCancelling():
                self.write(f"stopping: {safe_line(event.reason)}")
            case _:
                pass

    def hear(self, step: str, line: str) -> None:
        """The last line of a step's output is not shown in a pipe; the log has it."""

    def close(self) -> None:
        """Nothing to put away."""


def _just(visit: StepRun) -> StepRun:
    return replace(visit, status="running", ended=0, error="", output="")


class Board:
    """A line for each step, redrawn in place; Rich is loaded when there is something to draw."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.heard: dict[str, str] = {}
        self.live: Live | None = None
        self.gone = False

    def tell(self, run: Run, event: Event) -> None:
        """Show the state after an event."""
        self.run = run
        if isinstance(event, events.RunCreated | events.RunEnded | events.RunWaiting):
            return
        if self.live is None and not self.gone:
            from rich.live import Live  # noqa: PLC0415

            self.live = Live(get_renderable=self.draw, refresh_per_second=8, transient=False)
            try:
                self.live.start()
            except OSError:
                self.live, self.gone = None, True

    def hear(self, step: str, line: str) -> None:
        """Show the last line of a step's output."""
        self.heard[step] = safe_line(line, 120)

    def draw(self) -> "Table":
        """The steps of the run as they stand."""
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2))
        for step in self.run.plan.workflow.steps.values() if self.run else ():
            visit = self.run.last(step.id) if self.run else None
            word = visit.status if visit else "pending"
            if step.stage == "cleanup" and visit is None:
                continue
            colour = render.COLOURS[word].replace("bright_black", "dim")
            last = self.heard.get(step.id, "") if visit and word == "running" else ""
            note = (visit.error if visit else "") or last
            cells = (SPELLED[word], safe_line(step.id, 40), word, _lasted(visit), note)
            styles = (colour, "bold" if word == "running" else "", colour, "dim", "dim")
            row = (Text(safe_line(c, 100), s, no_wrap=True) for c, s in zip(cells, styles, strict=True))
            table.add_row(*row)
        return table

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self.live is not None:
            with suppress(OSError):
                self.live.stop()


def _lasted(visit: StepRun | None) -> str:
    if visit is None or not visit.log:
        return ""
    return render.seconds((visit.ended or time.time()) - visit.started)


class Lines:
    """Each line that a step tells, and nothing else."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def tell(self, run: Run, event: Event) -> None:
        """Events are in the history."""

    def hear(self, _step: str, line: str) -> None:
        """Show a line; that nobody is there to see it is no reason to stop."""
        if not self.quiet:
            with suppress(OSError):
                render.say(safe_line(line, 400))

    def close(self) -> None:
        """Nothing to put away."""


Progress = Plain | Board | Lines


def progress(*, quiet: bool) -> Progress:
    """What fits where stderr goes."""
    if quiet:
        return Plain(lambda _line: None)
    return Board() if sys.stderr.isatty() and sys.stdout.isatty() else Plain()
