"""Review the change sets that wait in a run's worktree, hunk by hunk, from any directory.

What you approve is written to the worktree of the run; what you leave open keeps waiting. Your checkout
stays as it is: `prj merge` brings the work into a branch.
"""

from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import again_option, allow_option, decisions_option, json_option

if TYPE_CHECKING:
    from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore


@click.command("review")
@click.argument("run", metavar="RUN|CHANGE-SET", shell_complete=complete_run)
@click.option(
    "--review",
    "grain",
    type=click.Choice(["hunk", "file"]),
    default="hunk",
    show_default=True,
    help="Review by hunk or by file.",
)
@decisions_option
@again_option
@click.option("-y", "--yes", is_flag=True, help="Apply all without a review; protected files need --allow.")
@allow_option
@json_option
def review_command(*, run: str, grain: str, **options: Any) -> int:
    from prunejuice.app import run_changes, wiring  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.cli.run_lookup import find_run  # noqa: PLC0415
    from prunejuice.engine.run_texts import list_evidence  # noqa: PLC0415
    from prunejuice.errors import NotFoundError, UsageError  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    if options["yes"] and options["decisions"]:
        raise UsageError("--yes and --decisions cannot be combined", "pass only one of them")
    if run.startswith("c-"):
        return _review_change_set(run, grain, **options)
    app = wiring.open_app()
    loaded = find_run(app, run)
    store = run_changes.open_run_store(app, loaded, render.print_message)
    records = run_changes.find_waiting(store, loaded)
    if not records:
        fix = (
            f"run `prj show {loaded.id[:8]}` to see what it did, `prj diff {loaded.id[:8]}` to see its work"
        )
        raise NotFoundError(f"run {loaded.id[:8]} has no change set that waits for a review", fix)
    if not options["as_json"]:
        for fact in list_evidence(loaded):
            render.print_message(f"evidence: {safe_line(fact, 300)}")
    return review_records(store, records, grain, **options)


def _review_change_set(name: str, grain: str, **options: Any) -> int:
    """Review one change set, wherever in the repository it waits."""
    from prunejuice.cli.codebot.change_store import find_change_set  # noqa: PLC0415
    from prunejuice.errors import UsageError  # noqa: PLC0415

    store, record = find_change_set(name)
    if record.state != "pending":
        fix = "run `codebot pending list --all` to see the change sets"
        raise UsageError(f"{record.id} is {record.state}, not pending", fix)
    return review_records(store, [record], grain, **options)


def review_records(  # noqa: PLR0913 - one parameter for each option
    store: "ChangeSetStore",
    records: "list[ChangeSetRecord]",
    grain: str,
    *,
    decisions: str = "",
    yes: bool = False,
    grant: tuple[str, ...] = (),
    again: str = "",
    as_json: bool = False,
    is_silent: bool = False,
) -> int:
    """Review change sets one after the other, or apply all of them; return the highest exit code."""
    from prunejuice.cli.codebot.apply_changes import apply_records  # noqa: PLC0415
    from prunejuice.cli.codebot.apply_options import ApplyOptions  # noqa: PLC0415
    from prunejuice.errors import UsageError  # noqa: PLC0415

    options = ApplyOptions("" if yes else grain, decisions, yes, grant, again, as_json, is_silent)
    if yes:
        return apply_records(store, records, options)
    if decisions and len(records) > 1:
        names = " ".join(record.id for record in records)
        raise UsageError(
            f"{len(records)} change sets wait: {names}", "name one: codebot apply ID --decisions"
        )
    return max(apply_records(store, [record], options) for record in records)
