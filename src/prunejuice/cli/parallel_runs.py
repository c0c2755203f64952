"""Several runs at once: started in one background process and followed in one live table."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from prunejuice.app import wiring
from prunejuice.cli import error_boundary, render
from prunejuice.engine import driver, history, view
from prunejuice.engine.run import FINAL_STATUSES, Run
from prunejuice.engine.view import RunSummary
from prunejuice.system import process
from prunejuice.text import safe_line
from prunejuice.workflow.plan import Plan

if TYPE_CHECKING:
    from rich.table import Table


SETTLED_STATUSES = (*FINAL_STATUSES, "waiting", "interrupted")
"""Statuses that do not change without a human."""
POLL_SECONDS = 0.25


def start_runs(
    app: wiring.App, plans: Sequence[Plan], max_parallel: int, *, detach: bool, as_json: bool
) -> int:
    """Create the runs, start a background driver for them, and follow them unless `detach`."""
    tools = app.build_runtime()
    runs = [driver.create_run(plan, tools) for plan in plans]
    ids = [run.id for run in runs]
    argv = [*process.SELF_ARGV, "drive", *ids, "--max-parallel", str(max_parallel)]
    spec = process.ProcessSpec(argv, plans[0].directory, app.environ)
    process.start_detached(spec, tools.run_directory(ids[0]) / "logs" / "driver.log")
    if detach:
        _report_started(runs, as_json=as_json)
        return 0
    if not as_json:
        render.print_message(
            f"{len(runs)} runs in the background; Ctrl-C detaches and leaves them running: see `prj status`"
        )
    try:
        summaries = _RunFollower(app, runs, quiet=as_json).follow_to_end()
    except KeyboardInterrupt:
        if as_json:
            _report_started(runs, as_json=True)
        render.print_message(
            "the runs continue in the background: see `prj status`; stop one with `prj stop RUN`"
        )
        return 130
    _report_runs(summaries, as_json=as_json)
    return next((code for summary in summaries if (code := _run_exit_code(app, summary))), 0)


def _report_started(runs: Sequence[Run], *, as_json: bool) -> None:
    if as_json:
        render.print_json("runs", [view.summary_to_dict(view.summarize_run(run)) for run in runs])
        return
    for run in runs:
        render.print_line(run.id)
    render.print_message(f"{len(runs)} runs continue in the background: see `prj status`")


def _run_exit_code(app: wiring.App, summary: RunSummary) -> int:
    run = history.load_run(summary.id, app.store)
    return error_boundary.run_exit_code(run.status, run.reason)


def _report_runs(summaries: Sequence[RunSummary], *, as_json: bool) -> None:
    if as_json:
        render.print_json("runs", [view.summary_to_dict(summary) for summary in summaries])
        return
    render.print_run_rows(render.run_row(summary) for summary in summaries)


class _RunFollower:
    """Polls the history and shows the runs until all have settled."""

    def __init__(self, app: wiring.App, runs: Sequence[Run], *, quiet: bool) -> None:
        self.app = app
        self.history = history.RunHistory(app.settings.home, app.store)
        self.arguments = {run.id: safe_line(view.format_arguments(run), 60) for run in runs}
        self.lines = [view.summarize_run(run) for run in runs]
        self.quiet = quiet
        self.last_statuses: dict[str, str] = {}

    def follow_to_end(self) -> list[RunSummary]:
        """Wait until every run has ended or needs a human; return their summaries."""
        if self.quiet or not (sys.stderr.isatty() and render.can_redraw()):
            self.poll(self.report_changes)
            return self.lines
        from rich.live import Live

        with Live(get_renderable=self.build_table, refresh_per_second=4) as live:
            self.poll(live.refresh)
        return self.lines

    def poll(self, show: Callable[[], None]) -> None:
        """Refresh the summaries every `POLL_SECONDS` and call `show`, until all runs have settled."""
        rounds = 0
        while True:
            self.refresh(recover=rounds % 8 == 7)  # finding dead drivers is slower than reading
            show()
            if all(line.status in SETTLED_STATUSES for line in self.lines):
                return
            rounds += 1
            time.sleep(POLL_SECONDS)

    def refresh(self, *, recover: bool) -> None:
        """Reload the summaries; with `recover`, also mark runs whose driver died."""
        if recover and any(
            line.id in self.arguments for line in self.app.build_runtime().registry.lost_runs()
        ):
            driver.recover_lost_runs(self.app.build_runtime())
        project = self.lines[0].project
        by_id = {line.id: line for line in self.app.store.summaries(project=project, limit=10_000)}
        self.lines = [by_id.get(line.id, line) for line in self.lines]

    def report_changes(self) -> None:
        """Print a line for each run whose status changed."""
        for line in self.lines:
            if self.last_statuses.get(line.id) != line.status:
                self.last_statuses[line.id] = line.status
                cells = (
                    line.id[:8],
                    render.format_status(line.status),
                    self.arguments[line.id],
                    safe_line(line.error, 100),
                )
                if not self.quiet:
                    with suppress(OSError):
                        render.print_message("  ".join(word for word in cells if word))

    def build_table(self) -> "Table":
        """Return a table with a row for each run."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for line in self.lines:
            colour = render.STATUS_COLOURS[line.status].replace("bright_black", "dim")
            seconds = view.seconds_worked(line, time.time())
            duration = render.format_duration(seconds) if line.started else ""
            progress = f"{line.steps_done}/{line.steps_total}"
            output = render.last_output(self.history, line)
            note = "  ".join(filter(None, (line.step, line.called or line.error or output)))
            cells = (
                line.id[:8],
                self.arguments[line.id],
                line.status,
                progress,
                duration,
                render.format_change_size(line),
                render.format_usage(line),
                note,
            )
            styles = ("bold", "", colour, "dim", "dim", "", "dim", "dim")
            row = (
                Text(safe_line(cell, 80), style, no_wrap=True)
                for cell, style in zip(cells, styles, strict=True)
            )
            table.add_row(*row)
        return table
