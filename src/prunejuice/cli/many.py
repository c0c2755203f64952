"""Many runs at once: started in one process of the background, followed in one live table."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from prunejuice import app as apps
from prunejuice import fleet, history, lifecycle, process, view
from prunejuice.cli import boundary, driving, render
from prunejuice.plan import Plan
from prunejuice.run import ENDED, Run
from prunejuice.text import safe_line
from prunejuice.view import Summary

if TYPE_CHECKING:
    from rich.table import Table

OVER = (*ENDED, "waiting", "interrupted")
POLL = 0.25


def start(app: apps.App, plans: Sequence[Plan], at_once: int, *, detach: bool, as_json: bool) -> int:
    """Make the runs, have them driven in the background, and follow them unless `detach`."""
    tools = app.tools()
    runs = [lifecycle.create(plan, tools) for plan in plans]
    ids = [run.id for run in runs]
    argv = [*process.OURSELVES, "drive", *ids, "--max-parallel", str(at_once)]
    call = process.Call(argv, plans[0].directory, app.environ)
    process.detach(call, tools.directory(ids[0]) / "logs" / "driver.log")
    if detach:
        _told(runs, as_json=as_json)
        return 0
    try:
        lines = _Followed(app, runs, quiet=as_json).until_over()
    except KeyboardInterrupt:
        if as_json:
            _told(runs, as_json=True)
        render.say("the runs go on in the background: prj status shows them, prj stop RUN ends one")
        return 130
    _closing(lines, as_json=as_json)
    return next((code for line in lines if (code := _code(app, line))), 0)


def _told(runs: Sequence[Run], *, as_json: bool) -> None:
    if as_json:
        render.json("runs", [view.item(view.summary(run)) for run in runs])
        return
    for run in runs:
        render.out(run.id)
    render.say(f"{len(runs)} runs go on in the background: prj status shows them")


def _code(app: apps.App, line: Summary) -> int:
    run = history.load(line.id, app.store)
    return boundary.run_code(run.status, run.reason)


def _closing(lines: Sequence[Summary], *, as_json: bool) -> None:
    if as_json:
        render.json("runs", [view.item(line) for line in lines])
        return
    for row in render.columns(render.run_line(line) for line in lines):
        render.out(row)


class _Followed:
    """The runs as they stand in the history, shown until all are over."""

    def __init__(self, app: apps.App, runs: Sequence[Run], *, quiet: bool) -> None:
        self.app = app
        self.given = {run.id: safe_line(view.given(run), 60) for run in runs}
        self.lines = [view.summary(run) for run in runs]
        self.quiet = quiet
        self.shown: dict[str, str] = {}

    def until_over(self) -> list[Summary]:
        """Wait until every run is over or needs a person; the lines about them."""
        if self.quiet or not (sys.stdout.isatty() and sys.stderr.isatty()):
            self.follow(self.say)
            return self.lines
        from rich.live import Live

        with Live(get_renderable=self.table, refresh_per_second=4) as live:
            self.follow(live.refresh)
        return self.lines

    def follow(self, show: Callable[[], None]) -> None:
        """Look again and again, and `show` what is seen."""
        rounds = 0
        while True:
            self.look(lost=rounds % 8 == 7)
            show()
            if all(line.status in OVER for line in self.lines):
                return
            rounds += 1
            time.sleep(POLL)

    def look(self, *, lost: bool) -> None:
        """Read the lines anew; now and then also whether a driver died."""
        if lost and any(line.id in self.given for line in self.app.tools().history.lost()):
            lifecycle.recover(self.app.tools())
        project = self.lines[0].project
        found = {line.id: line for line in self.app.store.summaries(project=project, limit=10_000)}
        self.lines = [found.get(line.id, line) for line in self.lines]

    def say(self) -> None:
        """A line for each run whose state changed."""
        for line in self.lines:
            if self.shown.get(line.id) != line.status:
                self.shown[line.id] = line.status
                words = (
                    line.id[:8],
                    render.status(line.status),
                    self.given[line.id],
                    safe_line(line.error, 100),
                )
                if not self.quiet:
                    with suppress(OSError):
                        render.say("  ".join(word for word in words if word))

    def table(self) -> "Table":
        """A row for each run."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for line in self.lines:
            colour = render.COLOURS[line.status].replace("bright_black", "dim")
            lasted = render.seconds((line.ended or time.time()) - line.started) if line.started else ""
            done = f"{line.steps_done}/{line.steps_total}"
            note = line.step or line.error
            cells = (line.id[:8], self.given[line.id], line.status, done, lasted, render.size(line), note)
            styles = ("bold", "", colour, "dim", "dim", "", "dim")
            row = (Text(safe_line(c, 80), s, no_wrap=True) for c, s in zip(cells, styles, strict=True))
            table.add_row(*row)
        return table


@click.command("drive", hidden=True)
@click.argument("runs", nargs=-1, required=True)
@click.option("--max-parallel", type=click.IntRange(1, 100), default=4)
def drive_command(*, runs: tuple[str, ...], max_parallel: int) -> None:
    """Drive RUNS that were made for it, in this process."""
    app = apps.open_app()
    driving.demand_trust(app)
    with driving.watched(app, as_json=True) as (tools, stop):
        fleet.drive(runs, tools, stop, max_parallel)
