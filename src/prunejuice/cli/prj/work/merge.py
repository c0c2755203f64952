"""Merge the work of a run into a branch.

Uncommitted work is committed first. Both sides are combined outside of every checkout, the check runs
on the result, and only then does the branch move. A conflict (exit 4) or a failed check (exit 3) moves
nothing.
"""

from pathlib import Path

import click

from prunejuice.app import run_actions, wiring
from prunejuice.app.run_actions import MergeOptions
from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.cli.run_lookup import find_run
from prunejuice.engine import trust
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.worktrees.git import folder_in_tree
from prunejuice.worktrees.merge import MergeMethod


@click.command("merge")
@click.argument("run", shell_complete=complete_run)
@click.option("--squash", "method", flag_value="squash", help="Create one commit with all changes.")
@click.option(
    "--rebase", "method", flag_value="rebase", help="Put the commits of the run on top of the branch."
)
@click.option("--no-ff", "method", flag_value="no-ff", help="Always create a merge commit.")
@click.option(
    "--into",
    default="",
    metavar="BRANCH",
    help="Target branch  [default: the branch of the main working tree].",
)
@click.option(
    "--check", "check", default=None, help="Command that must pass on the result  [default: setting check]."
)
@click.option("--no-check", is_flag=True, help="Merge without a check.")
@click.option("-m", "--message", default="", help="Message of the commits that are created.")
@json_option
def merge_command(  # noqa: PLR0913 - one parameter for each option
    *,
    run: str,
    method: MergeMethod | None,
    into: str,
    check: str | None,
    no_check: bool,
    message: str,
    as_json: bool,
) -> None:
    if check and no_check:
        raise UsageError("--check and --no-check cannot be combined", "pass only one of them")
    app = wiring.open_app()
    loaded = find_run(app, run)
    if check is None and not no_check and app.project.config.is_file():
        # The untrusted file may set a check, and skipping that check silently would be unsafe.
        trust.require_trusted_project(app.project, app.trust_store)
    command = "" if no_check else app.settings.check if check is None else check
    folder = folder_in_tree(app.project.root if check is None else Path.cwd())
    options = MergeOptions(method or "merge", into, command, message, folder)
    result = run_actions.merge_run(app, app.build_runtime(), loaded, options)
    if result.waiting and not as_json:
        render.print_message(f"note: {', '.join(result.waiting)} still waits: prj review {loaded.id[:8]}")
    if as_json:
        render.print_json("merge", {"run": loaded.id, **result._asdict()})
        return
    checked = f", checked with: {safe_line(result.checked)}" if result.checked else ""
    render.print_line(f"{result.into} is at {result.new[:12]} (was {result.old[:12]}){checked}")
    render.print_line(f"  undo       prj undo {result.operation}")
