"""The commands about what runs did to files: diff, undo, compare."""

import sys
import tempfile
from pathlib import Path

import click

from prunejuice import app as apps
from prunejuice import errand, pending, work
from prunejuice import git as gits
from prunejuice.cli import render
from prunejuice.errors import UsageError
from prunejuice.git import Git
from prunejuice.history import History
from prunejuice.run import Run
from prunejuice.shelf import Shelf
from prunejuice.text import safe_line, safe_text, unicode
from prunejuice.view import stamp
from prunejuice.workspaces import house as houses
from prunejuice.workspaces import operation, snapshot
from prunejuice.workspaces.operation import Operation

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def found_run(app: apps.App, prefix: str) -> Run:
    """The run whose id begins so."""
    history = History(app.settings.home, app.store)
    return history.load(history.find(prefix))


@click.command("diff")
@click.argument("run")
@click.argument("step", required=False, default="")
@click.option("--stat", is_flag=True, help="Only the files, with lines added and removed.")
@_JSON
def diff_command(*, run: str, step: str, stat: bool, as_json: bool) -> None:
    """Show what RUN changed, or one STEP of it. In a pipe it is a patch that git can apply."""
    app = apps.open_app()
    found = found_run(app, run)
    if path := errand.kept(app.settings.home, found, "changes.diff"):
        _show_errand(path, found, plain=not (stat or as_json), as_json=as_json)
        return
    span = work.span(app, found, step)
    if not (stat or as_json):
        _show_patch(span)
        return
    files = snapshot.numbers(span.git, span.old, span.new)
    if as_json:
        render.json("diff", {"old": span.old, "new": span.new, "items": [_change(each) for each in files]})
        return
    for row in render.columns(render.change_line(each.path, each.added, each.removed) for each in files):
        render.out(row)


def _show_errand(path: Path, run: Run, *, plain: bool, as_json: bool) -> None:
    """Show what an errand asked to be changed, whatever became of it."""
    if plain:
        _show_file(path)
        return
    visit = errand.outcome(run)
    files = visit.outputs.get("files", []) if visit else []
    if as_json:
        render.json("diff", {"old": None, "new": None, "items": [{"path": each} for each in files]})
        return
    for each in files:
        render.out(safe_line(each, 200))


def _change(each: snapshot.Change) -> dict[str, object]:
    return {**each._asdict(), "path": unicode(each.path)}


def _show_patch(span: work.Span) -> None:
    """As it is in a pipe; made safe, and in colour, on a terminal."""
    with tempfile.TemporaryDirectory(prefix="prj-") as folder:
        path = Path(folder) / "patch"
        snapshot.patch(span.git, span.old, span.new, path)
        _show_file(path)


def _show_file(path: Path) -> None:
    with path.open("rb") as file:
        if not sys.stdout.isatty():
            while chunk := file.read(1 << 20):
                render.bytes_out(chunk)
            return
        for line in file:
            render.out(render.patch_line(safe_text(line.rstrip(b"\n"))))


@click.command("undo")
@click.argument("what", required=False, default="", metavar="[RUN|RUN/STEP|OPERATION]")
@click.argument("step", required=False, default="")
@click.option("--list", "listed", is_flag=True, help="Show what can be taken back in this repository.")
@_JSON
def undo_command(*, what: str, step: str, listed: bool, as_json: bool) -> None:
    """Take back what a run or step did to files, or an operation (op-…): a removal, a merge, an undo.

    What others changed since stays, or it is a conflict and nothing is moved. Every undo can be undone.
    """
    app = apps.open_app()
    if listed:
        _show_operations(_repository(app), as_json=as_json)
        return
    if not what:
        raise click.UsageError("name a run, a step or an operation; --list shows operations")
    if what.startswith("op-"):
        git = _repository(app)
        done = operation.journal(git).find(what)
        _told(work.undo_operation(app.tools(), git, done), {"undone": done.id}, as_json=as_json)
        return
    name, _, inner = what.partition("/")
    run = found_run(app, name)
    if errand.outcome(run) is not None:
        note = _errand_undone(app, run)
        _told(
            note or "nothing of it is there any more", {"undone": run.id if note else None}, as_json=as_json
        )
        return
    began = work.undo_work(app, app.tools(), run, step or inner)
    if began is None:
        _told("nothing of it is there any more", {"undone": None}, as_json=as_json)
        return
    told = f"the files in {began.path} are as before; prj undo {began.id} takes this back"
    _told(told, {"undone": run.id, "operation": began.id}, as_json=as_json)


def _errand_undone(app: apps.App, run: Run) -> str:
    """Take back, newest first, what an errand's change sets did, and drop what waits of them."""
    shelf = Shelf(houses.around(Path(run.plan.directory), app.environ))
    done = []
    for record in reversed([each for each in shelf.all() if each.change_set.run == run.id]):
        if record.state == "applied":
            pending.undo(shelf, record)
            done.append(f"{record.id} is taken back; codebot redo {record.id} makes it again")
        elif record.state == "pending":
            pending.drop(shelf, record)
            done.append(f"{record.id} waits no more; prj diff {run.id[:8]} still shows it")
    return "; ".join(done)


def _repository(app: apps.App) -> Git:
    return gits.git(str(app.project.root), dict(app.environ)).located()


def _told(text: str, about: dict[str, str | None], *, as_json: bool) -> None:
    if as_json:
        render.json("undo", {**about, "note": text})
    else:
        render.out(safe_line(text, 400))


def _show_operations(git: Git, *, as_json: bool) -> None:
    every = operation.journal(git).all()
    if as_json:
        render.json("operations", [_item(each) for each in every])
        return
    for row in render.columns(_row(each) for each in every):
        render.out(row)
    if not every:
        render.out("nothing to undo")


def _row(done: Operation) -> tuple[str, ...]:
    state = {"done": "", "undone": "taken back", "begun": "cut off", "undoing": "cut off"}[done.state]
    return done.id, render.ago(done.at), done.kind, safe_line(done.what, 100), done.run[:8], state


def _item(done: Operation) -> dict[str, object]:
    about = {"id": done.id, "kind": done.kind, "at": stamp(done.at), "what": done.what, "path": done.path}
    more = {"run": done.run, "branch": done.branch, "old": done.old, "new": done.new}
    return {**about, "state": done.state, **{key: value for key, value in more.items() if value}}


@click.command("compare")
@click.argument("runs", nargs=-1, required=True)
@_JSON
def compare_command(*, runs: tuple[str, ...], as_json: bool) -> None:
    """Show two or more RUNS side by side: how they went, what they changed, how their steps ended."""
    if len(runs) < 2:
        raise UsageError("compare needs two runs", "prj history lists them")
    app = apps.open_app()
    found = work.compare(app, [found_run(app, each) for each in runs])
    if as_json:
        render.json("compare", [_compared(each) for each in found])
        return
    for row in render.columns(render.comparison([(each.run, each.files) for each in found])):
        render.out(row)


def _compared(each: work.Compared) -> dict[str, object]:
    run = each.run
    return {
        "id": run.id,
        "command": run.plan.command.name,
        "arguments": run.plan.arguments,
        "status": run.status,
        "seconds": round(run.ended - run.started, 3) if run.ended else None,
        "added": sum(file.added or 0 for file in each.files),
        "removed": sum(file.removed or 0 for file in each.files),
        "files": [_change(file) for file in each.files],
        "steps": {visit.step: visit.status for visit in run.visits},
    }
