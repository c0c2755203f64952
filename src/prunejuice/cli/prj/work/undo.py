"""Undo the file changes of a run or step, or an operation.

Operations (op-…) are removals, merges and undos. Later changes by others stay; where they conflict,
nothing is changed (exit 4). Every undo can be undone.
"""

from pathlib import Path

import click

from prunejuice.app import run_actions, verb_run, wiring
from prunejuice.changes import pending, tree_state
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.cli import render
from prunejuice.cli.completion import complete_undoable
from prunejuice.cli.options import json_option
from prunejuice.cli.run_lookup import find_run
from prunejuice.engine.run import Run
from prunejuice.engine.view import format_time
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import oplog
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.oplog import Operation

NOTHING_LEFT = "nothing to undo: none of the changes remain"


@click.command("undo")
@click.argument(
    "what", required=False, default="", metavar="[RUN|RUN/STEP|OPERATION]", shell_complete=complete_undoable
)
@click.argument("step", required=False, default="")
@click.option(
    "--list", "listed", is_flag=True, help="List the operations that can be undone in this repository."
)
@json_option
def undo_command(*, what: str, step: str, listed: bool, as_json: bool) -> None:
    app = wiring.open_app()
    if listed:
        _show_operations(_open_repository(app), as_json=as_json)
        return
    if not what:
        raise click.UsageError("missing RUN, RUN/STEP or OPERATION; pass --list to see the operations")
    if what.startswith("op-"):
        git = _open_repository(app)
        operation = oplog.open_log(git).find(what)
        _report_undo(
            run_actions.undo_operation(app.build_runtime(), git, operation),
            {"undone": operation.id},
            as_json=as_json,
        )
        return
    name, _, inner = what.partition("/")
    run = find_run(app, name)
    if verb_run.find_verb_step(run) is not None:
        note = _undo_verb_run(app, run)
        _report_undo(note or NOTHING_LEFT, {"undone": run.id if note else None}, as_json=as_json)
        return
    undo_operation = run_actions.undo_work(app, app.build_runtime(), run, step or inner)
    if undo_operation is None:
        _report_undo(NOTHING_LEFT, {"undone": None}, as_json=as_json)
        return
    note = f"restored the files in {undo_operation.path}; revert this with `prj undo {undo_operation.id}`"
    _report_undo(note, {"undone": run.id, "operation": undo_operation.id}, as_json=as_json)


def _undo_verb_run(app: wiring.App, run: Run) -> str:
    """Undo the applied change sets of a verb run, newest first, and drop the pending ones."""
    store = ChangeSetStore(tree_state.find_tree_state(Path(run.plan.directory), app.environ))
    notes = []
    for record in reversed([record for record in store.load_all() if record.change_set.run == run.id]):
        if record.state == "applied":
            pending.undo(store, record)
            notes.append(f"undid {record.id}; apply it again with `codebot redo {record.id}`")
        elif record.state == "pending":
            pending.drop_record(store, record)
            notes.append(f"dropped pending {record.id}; see it with `prj diff {run.id[:8]}`")
    return "; ".join(notes)


def _open_repository(app: wiring.App) -> Git:
    return gits.open_git(str(app.project.root), dict(app.environ)).locate()


def _report_undo(text: str, about: dict[str, str | None], *, as_json: bool) -> None:
    if as_json:
        render.print_json("undo", {**about, "note": text})
    else:
        render.print_line(safe_line(text, 400))


def _show_operations(git: Git, *, as_json: bool) -> None:
    operations = oplog.open_log(git).list_operations()
    if as_json:
        render.print_json("operations", [_operation_to_dict(operation) for operation in operations])
        return
    for row in render.align_columns(_operation_row(operation) for operation in operations):
        render.print_line(row)
    if not operations:
        render.print_line("nothing to undo")


def _operation_row(operation: Operation) -> tuple[str, ...]:
    state = {"done": "", "undone": "undone", "begun": "interrupted", "undoing": "interrupted"}[
        operation.state
    ]
    return (
        operation.id,
        render.format_age(operation.at),
        operation.kind,
        safe_line(operation.what, 100),
        operation.run[:8],
        state,
    )


def _operation_to_dict(operation: Operation) -> dict[str, object]:
    details = {
        "id": operation.id,
        "kind": operation.kind,
        "at": format_time(operation.at),
        "what": operation.what,
        "path": operation.path,
    }
    optional = {
        "run": operation.run,
        "branch": operation.branch,
        "old": operation.old,
        "new": operation.new,
    }
    return {**details, "state": operation.state, **{key: value for key, value in optional.items() if value}}
