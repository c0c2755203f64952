"""Merge the work of a run into a branch.

Uncommitted work is committed first. Both sides are combined outside of every checkout, the check runs
on the result, and only then does the branch move. A conflict (exit 4) or a failed check (exit 3) moves
nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from prunejuice.app import run_actions, wiring
from prunejuice.app.run_actions import MergeOptions
from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option, sandbox_option
from prunejuice.cli.run_lookup import find_run, open_app_of_run
from prunejuice.engine import trust
from prunejuice.engine.run import Run
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.worktrees.git import folder_in_tree
from prunejuice.worktrees.merge import MergeMethod


def merge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how and where to merge, and with which check."""
    for option in reversed((
        click.option("--squash", "method", flag_value="squash", help="Create one commit with all changes."),
        click.option(
            "--rebase",
            "method",
            flag_value="rebase",
            help="Put the commits of the run on top of the branch.",
        ),
        click.option("--no-ff", "method", flag_value="no-ff", help="Always create a merge commit."),
        click.option(
            "--into",
            default="",
            metavar="BRANCH",
            help="Target branch  [default: the branch of the main working tree].",
        ),
        click.option("--no-check", is_flag=True, help="Merge without a check."),
        click.option("-m", "--message", default="", help="Message of the commits that are created."),
        sandbox_option,
    )):
        command = option(command)
    return command


@click.command("merge")
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--check", "check", default=None, help="Command that must pass on the result  [default: setting check]."
)
@merge_options
@json_option
def merge_command(*, run: str, check: str | None, no_check: bool, as_json: bool, **options: Any) -> None:
    app = wiring.open_app()
    loaded = find_run(app, run)
    app = open_app_of_run(app, loaded)
    command = choose_check(app, check, no_check=no_check)
    folder = folder_in_tree(app.project.root if check is None else Path.cwd())
    item = merge_work(app, loaded, build_merge_options(command, folder, **options))
    if as_json:
        render.print_json("merge", item)
        return
    print_merge(item)


def choose_check(app: wiring.App, check: str | None, *, no_check: bool) -> str:
    """Return the check of a merge: the given one, that of the settings, or none.

    Raises:
        UsageError: a check is named and turned off.
        DeniedError: the settings of the project are not trusted.
    """
    if check and no_check:
        raise UsageError("--check and --no-check cannot be combined", "pass only one of them")
    if check is None and not no_check and app.project.config.is_file():
        # The untrusted file may set a check, and skipping that check silently would be unsafe.
        trust.require_trusted_project(app.project, app.trust_store)
    return "" if no_check else app.settings.check if check is None else check


def build_merge_options(
    check: str, folder: str, *, method: MergeMethod | None, into: str, message: str
) -> MergeOptions:
    """Return the options of a merge from those of the command line."""
    return MergeOptions(method or "merge", into, check, message, folder)


def merge_work(app: wiring.App, run: Run, options: MergeOptions) -> dict[str, Any]:
    """Merge the work of a run; return what came of it as plain data."""
    result = run_actions.merge_run(app, app.build_runtime(), run, options, render.print_message)
    return {"run": run.id, **result._asdict()}


def print_merge(item: dict[str, Any]) -> None:
    """Print what came of a merge."""
    if item["waiting"]:
        render.print_message(
            f"note: {', '.join(item['waiting'])} still waits: prj review {item['run'][:8]}"
        )
    checked = f", checked with: {safe_line(item['checked'])}" if item["checked"] else ", not checked"
    render.print_line(f"{item['into']} is at {item['new'][:12]} (was {item['old'][:12]}){checked}")
    render.print_line(f"  undo       prj undo {item['operation']}")
