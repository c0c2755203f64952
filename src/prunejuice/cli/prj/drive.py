"""Drive runs that were created for this process."""

import click

from prunejuice.app import wiring
from prunejuice.cli import ask_for_trust, signals
from prunejuice.engine import pool


@click.command("drive", hidden=True)
@click.argument("runs", nargs=-1, required=True)
@click.option("--max-parallel", type=click.IntRange(1, 100), default=4)
def drive_command(*, runs: tuple[str, ...], max_parallel: int) -> None:
    app = wiring.open_app()
    ask_for_trust.require_trust(app)
    with signals.stoppable_tools(app, as_json=True) as (tools, stop):
        pool.drive_runs(runs, tools, stop, max_parallel)
