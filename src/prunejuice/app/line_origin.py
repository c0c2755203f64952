"""Find the run, and the step of it, that wrote a line: whether by an agent, a script or a person."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice.changes.blame import trace_line
from prunejuice.edits.diff import lines_from_bytes
from prunejuice.engine.event import SnapshotTaken
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import Run, StepRun
from prunejuice.errors import NotFoundError
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import oplog
from prunejuice.worktrees.git import Git

_BLAME = re.compile(r"^([0-9a-f]{40,64}) (\d+) ")
_FILENAME = re.compile(r"^filename (.+)$", re.MULTILINE)
_TRAILER = re.compile(r"^PruneJuice-Run: ([0-9a-f]{8,64})$", re.MULTILINE)
_MAX_FILE_BYTES = 16 << 20


class LineOrigin(NamedTuple):
    """A run that wrote a line. `commit` is the commit that has it, empty if it is not committed.

    `step` is the step that wrote it; empty if a person did, or if the run kept no snapshots. `change_set`
    is the one that a person reviewed, if the step left its changes waiting.
    """

    run: Run
    commit: str
    step: str
    change_set: str = ""


class _Place(NamedTuple):
    """A line (from 1) of a path in a commit; the empty commit is the working tree."""

    commit: str
    path: str
    line: int


def find_line_origin(
    root: Path, path: str, line: int, history: RunHistory, environ: Mapping[str, str]
) -> LineOrigin | None:
    """Return the run that wrote a line of a file in a tree; None if no run in the history did.

    `path` is relative to the root.
    """
    git = gits.open_git(root, dict(environ))
    if not git.is_repository():
        return None
    git = git.locate()
    place = _blame(git, path, line)
    if place is None:
        return None
    if place.commit:
        run = _find_run_of_commit(git, place.commit, history)
    else:
        summary = history.find_run_of_worktree(str(root))
        run = history.load_run(summary.id) if summary else None
    if run is None:
        return None
    lines = _read_lines(git, place.commit, place.path) if place.commit else _read_file(root / path)
    step = _find_step(git, run.snapshots, place, lines)
    # A snapshot of no step is taken when a person has reviewed what a step left.
    if step == "" and (reviewed := _find_reviewed_visit(run, place.path)):
        return LineOrigin(run, place.commit, reviewed.step, str(reviewed.outputs["change_set"]))
    return LineOrigin(run, place.commit, step or "")


def _blame(git: Git, path: str, line: int) -> _Place | None:
    """Return the commit of a line, with the path and number there; None if git does not know the file."""
    span = f"{line},{line}"
    result = git.try_run("blame", "--porcelain", "-w", "-L", span, "--", path)
    text = result.stdout.decode("utf-8", "surrogateescape")
    first, name = _BLAME.match(text), _FILENAME.search(text)
    if result.code or first is None or name is None:
        return _Place("", path, line) if result.code and b"no such path" in result.stderr else None
    is_committed = bool(first[1].strip("0"))
    return _Place(first[1], name[1], int(first[2])) if is_committed else _Place("", path, line)


def _find_run_of_commit(git: Git, commit: str, history: RunHistory) -> Run | None:
    """Return the run that a commit names, or whose landing brought the commit into a branch."""
    named = _TRAILER.search(git.run("show", "-s", "--format=%B", commit))
    ids = [named[1]] if named else []
    landings = (each for each in oplog.open_log(git).list_operations() if each.kind == "land" and each.run)
    ids += [each.run for each in landings if _is_between(git, commit, each.old, each.new)]
    for run_id in ids:
        try:
            return history.load_run(history.find_run_id(run_id))
        except NotFoundError:  # of another machine, or deleted
            continue
    return None


def _is_between(git: Git, commit: str, old: str, new: str) -> bool:
    """Return whether a commit is part of what a landing added to a branch."""
    added = git.try_run("merge-base", "--is-ancestor", commit, new).code == 0
    return added and git.try_run("merge-base", "--is-ancestor", commit, old).code != 0


def _find_step(
    git: Git, snapshots: Sequence[SnapshotTaken], place: _Place, lines: Sequence[str]
) -> str | None:
    """Return the step after which a line was first there; None if no snapshot tells.

    It is empty if a person wrote the line: what a step found was written before it, and after the last one.
    """
    writer, line = None, place.line
    for taken in reversed([each for each in snapshots if each.commit]):
        older = _read_lines(git, taken.commit, place.path)
        older_line = trace_line(lines, older, line)
        if older_line is None and writer is not None:
            return writer.step if writer.when == "after" else ""
        if older_line is None:
            return None
        writer, lines, line = taken, older, older_line
    return None


def _find_reviewed_visit(run: Run, path: str) -> StepRun | None:
    """Return the last visit whose changes waited for a review and concern a path."""
    visits = (each for each in reversed(run.visits) if each.outputs.get("change_set"))
    return next((each for each in visits if path in (each.outputs.get("files") or ())), None)


def _read_lines(git: Git, commit: str, path: str) -> Sequence[str]:
    """Return the lines of a path in a commit; none if it has no such file."""
    result = git.try_run("show", f"{commit}:{path}", limit=_MAX_FILE_BYTES)
    return lines_from_bytes(None if result.code or result.truncated else result.stdout)


def _read_file(path: Path) -> Sequence[str]:
    return lines_from_bytes(path.read_bytes() if path.is_file() else None)
