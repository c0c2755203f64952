"""Bring the work of runs into a branch: review what waits, check the result, then move the branch.

On a terminal you review each change set that waits; with --yes all are applied. The check of the settings,
or else the tests that the project has, must pass on the merged files. What fails moves nothing: the run's
worktree keeps its work, and you can land it again.
"""

from pathlib import Path
from typing import Any

import click

from prunejuice.app import run_actions, run_changes, wiring
from prunejuice.cli import render, terminal
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import allow_option, json_option
from prunejuice.cli.prj.work.merge import (
    build_merge_options,
    choose_check,
    merge_options,
    merge_work,
    print_merge,
)
from prunejuice.cli.prj.work.review import review_records
from prunejuice.cli.run_lookup import find_run, open_app_of_run
from prunejuice.engine.run import Run
from prunejuice.errors import HumanNeededError, PruneJuiceError, StepError
from prunejuice.verbs.verify import default_checks
from prunejuice.worktrees.git import folder_in_tree


@click.command("land")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", shell_complete=complete_run)
@click.option("-y", "--yes", is_flag=True, help="Apply what waits without a review; see also --allow.")
@allow_option
@click.option(
    "--check",
    default=None,
    help="Command that must pass on the result  [default: setting check, or the tests that are found].",
)
@merge_options
@json_option
def land_command(
    *, runs: tuple[str, ...], check: str | None, no_check: bool, as_json: bool, **options: Any
) -> int:
    app = wiring.open_app()
    is_yes, grant = options.pop("yes"), options.pop("grant")
    items: list[dict[str, Any]] = []
    for word in runs:
        try:
            run = find_run(app, word)
            own_app = open_app_of_run(app, run)
            command = _find_check(own_app, check, no_check=no_check)
            folder = folder_in_tree(own_app.project.root if check is None else Path.cwd())
            merge = build_merge_options(command, folder, **options)
            run_actions.require_mergeable(own_app, run, merge, render.print_message)
            _apply_waiting(own_app, run, is_yes=is_yes, grant=grant, as_json=as_json)
            items.append(merge_work(own_app, run, merge))
        except PruneJuiceError as error:
            _add_progress(error, items, runs)
            raise
        if not as_json:
            print_merge(items[-1])
    if as_json:
        render.print_json("landings", items)
    return 0


def _find_check(app: wiring.App, check: str | None, *, no_check: bool) -> str:
    """Return the check of a landing: as given, that of the settings, or the tests of the project."""
    command = choose_check(app, check, no_check=no_check)
    if check is None and not no_check:
        command = command or default_checks.find_test_command(app.project.root)
    return command


def _apply_waiting(
    app: wiring.App, run: Run, *, is_yes: bool, grant: tuple[str, ...], as_json: bool
) -> None:
    """Apply the change sets of a run that wait, after a review on the terminal unless `is_yes`.

    Raises:
        HumanNeededError: they wait for a review, and there is no terminal.
        StepError: the review was not finished.
    """
    if not run_changes.has_folder(run):
        return
    store = run_changes.open_run_store(app, run, render.print_message)
    records = run_changes.find_waiting(store, run)
    if not records:
        return
    name = run.id[:8]
    if not is_yes and (as_json or not terminal.is_interactive()):
        problem = f"{', '.join(record.id for record in records)} of run {name} waits for a review"
        raise HumanNeededError(problem, f"prj review {name}, or land it unread: prj land {name} --yes")
    code = review_records(store, records, "hunk", yes=is_yes, grant=grant, is_silent=as_json)
    if code:
        raise StepError(f"the review of run {name} was not finished", f"go on with it: prj land {name}")


def _add_progress(error: PruneJuiceError, items: list[dict[str, Any]], runs: tuple[str, ...]) -> None:
    """Say in an error which of several runs landed before it."""
    if len(runs) > 1:
        landed = ", ".join(item["run"][:8] for item in items) or "none"
        error.message = f"{error.message}\nlanded before it: {landed}"
