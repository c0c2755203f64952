"""Worktrees that are made and removed as if in one moment, and never touch the checkout.

Every change is written down first, in the git directory: a record for each worktree of ours, an
operation for each removal. One process at a time changes the worktrees of a repository; git inherits the
lock, so it is free only when nothing of a killed attempt is still at work. Who takes the lock first
clears away what such an attempt left half made, and finishes what it began to remove.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice import process
from prunejuice.errors import (
    ConflictError,
    GitError,
    PruneJuiceError,
    StepError,
    UsageError,
)
from prunejuice.git import Git
from prunejuice.lock import locked
from prunejuice.text import safe_line
from prunejuice.workspaces import checkout, operation, trash
from prunejuice.workspaces.listing import (
    BRANCHES,
    Entry,
    Made,
    branch_fault,
    checked_out,
    entries,
    examined,
    first_line,
    records,
)
from prunejuice.workspaces.operation import Operation

QUEUE = 120.0
"""Seconds that one change waits for others in the same repository."""
CHECK = "check:"
"""What the owner of a worktree that is only to be checked begins with; its process follows."""


class Wanted(NamedTuple):
    """A worktree as it is to be: `base` is a commit, `owner` the run (or person) it is for."""

    path: Path
    branch: str
    base: str
    owner: str


def place(git: Git, parent: str, branch: str) -> Path:
    """Where the worktree of a branch goes: beside the main one, in a folder of its name, or in `parent`."""
    main = Path(git.main or git.common)
    folder = Path(parent or f"{main.name}-worktrees").expanduser()
    return Path(os.path.normpath(main.parent / folder / branch.replace("/", "-")))


def named(pattern: str, words: Mapping[str, str]) -> str:
    """A pattern such as `{prefix}-{suffix}` with its words filled in.

    Raises:
        UsageError: it names a word that there is not.
    """
    unknown = [word for word in re.findall(r"\{(.*?)\}", pattern) if word not in words]
    if unknown:
        known = ", ".join(f"{{{word}}}" for word in words)
        raise UsageError(f"the pattern {pattern!r} names {{{unknown[0]}}}", f"it can name {known}")
    return re.sub(r"\{(.*?)\}", lambda match: words[match.group(1)], pattern)


# -- one at a time ----------------------------------------------------------------------------------


@contextmanager
def holding(git: Git) -> Iterator[Git]:
    """Git for changes to the worktrees of a repository, with all that was cut off before settled.

    Raises:
        StepError: another process does not let go.
    """
    git = git.located()
    stopped = git.stop.requested if git.stop else None
    lock = Path(git.common) / "prunejuice.lock"
    try:
        with locked(lock, QUEUE, stopped=stopped) as held:
            # From the main worktree: the one that we stand in may be about to go.
            ours = git.from_main()._replace(keep=(*git.keep, held.fileno()))
            _settle(ours._replace(stop=None))
            yield ours
    except TimeoutError as error:
        raise StepError(f"another process holds {lock}") from error
    except OSError as error:
        raise StepError(f"{error.filename or lock} cannot be used: {error.strerror}") from error


def _settle(git: Git) -> None:
    """Undo creations and finish removals that were cut off; nobody is at work on them any more."""
    known = records(git)
    for made in known.unfinished():
        if (Path(made.git_dir) / "index").is_file():  # git writes it last: the worktree is whole
            known.write(made, finished=True)
        else:
            _clear(git, made)
            known.forget(made)
    for cut_off in operation.journal(git).begun():
        # What cannot be finished must not be in the way of the rest.
        with suppress(PruneJuiceError, OSError):
            _finish(git, cut_off)


def _finish(git: Git, cut_off: Operation) -> None:
    if cut_off.kind == "remove":
        (_bring if cut_off.state == "undoing" else _carry_on)(git, cut_off)
    if cut_off.kind == "land":
        _landed(git, cut_off)


def _landed(git: Git, cut_off: Operation) -> None:
    """Finish a landing: a checkout follows when its branch has moved."""
    journal = operation.journal(git)
    if git.resolve(f"refs/heads/{cut_off.branch}") != cut_off.new:
        journal.forget(cut_off)
        return
    for entry in entries(git):
        if entry.branch == cut_off.branch and entry.is_sound:
            checkout.catch_up(git.bound(entry.path, entry.git_dir), cut_off.old, cut_off.new)
    journal.mark(cut_off, "done")


# -- creation ---------------------------------------------------------------------------------------


def create(git: Git, wanted: Wanted) -> Made:
    """Make the worktree and its branch, or nothing at all.

    A branch that is already there is checked out. What is in the way at the path stays as it is.

    Raises:
        UsageError: the name is no good for a branch.
        StepError: something is in the way at the path, or it cannot be written.
        GitError: git refused.
    """
    if fault := branch_fault(git, wanted.branch):
        raise UsageError(f"branch {safe_line(wanted.branch, 120)!r}: {fault}", "name another branch")
    if not wanted.path.parent.parent.is_dir():
        raise UsageError(f"there is no directory {wanted.path.parent.parent}", "make it first")
    with holding(git) as held:
        return _reused(held, wanted) or _made(held, wanted)


def _reused(git: Git, wanted: Wanted) -> Made | None:
    """The worktree, when an earlier attempt of the same owner had finished it."""
    made = records(git).find(wanted.path)
    if made is None or not os.path.lexists(wanted.path):
        return None
    there = git.bound(made.path, made.git_dir)
    same = made.owner == wanted.owner and Path(made.git_dir).is_dir() and there.branch() == wanted.branch
    return replace(made, reused=True) if same else None


def _made(git: Git, wanted: Wanted) -> Made:
    if os.path.lexists(wanted.path) and not _is_empty(wanted.path):
        listed = entries(git, wanted.path)
        fix = f"plum path {wanted.path.name} shows it, plum remove takes it away" if listed else "move it"
        raise StepError(f"{wanted.path} is in the way", f"{fix}; or name another branch")
    _forget_gone(git, wanted)
    fresh = not git.resolve(f"refs/heads/{wanted.branch}")
    if not fresh and (place := checked_out(git, wanted.branch)):
        raise GitError(f"branch {wanted.branch!r} is checked out at {place}", "name another branch")
    git_dir = Path(git.common) / "worktrees" / f"{wanted.path.name}-{secrets.token_hex(3)}"
    made = Made(str(wanted.path), wanted.branch, wanted.base, wanted.owner, str(git_dir), fresh)
    known = records(git)
    known.write(made, finished=False)
    try:
        _build(git, made)
    except PruneJuiceError:
        _clear(git._replace(stop=None), made)
        known.forget(made)
        raise
    known.write(made, finished=True)
    return made


def _build(git: Git, made: Made) -> None:
    if made.made_branch:
        git.move((f"refs/heads/{made.branch}", made.base, ""))
    try:
        _register(Path(git.common), made)
    except OSError as error:
        fix = "make room for it, or set worktree_parent to another folder"
        raise StepError(f"{error.filename or made.path} cannot be made: {error.strerror}", fix) from error
    there = git.bound(made.path, made.git_dir)
    files = there.apart(Path(made.git_dir) / "index")
    files = files._replace(more=(*files.more, ("checkout.workers", "0")))
    files.run("read-tree", "--reset", "-u", there.head(), timeout=3600)


def _register(common: Path, made: Made) -> None:
    """Tell git of the worktree as `git worktree add` does, but in one rename."""
    git_dir, path = Path(made.git_dir), Path(made.path)
    aside = common / "prunejuice" / f"new-{git_dir.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    files = {"HEAD": f"ref: refs/heads/{made.branch}", "commondir": "../..", "gitdir": f"{path}/.git"}
    for name, line in files.items():
        (aside / name).write_bytes(os.fsencode(f"{line}\n"))
    path.mkdir(parents=True, exist_ok=True)
    (path / ".git").write_bytes(os.fsencode(f"gitdir: {git_dir}\n"))
    git_dir.parent.mkdir(exist_ok=True)
    aside.rename(git_dir)


def _clear(git: Git, made: Made) -> None:
    """Take a half-made worktree away; nobody was ever told of it."""
    path, git_dir = Path(made.path), Path(made.git_dir)
    if _is_empty(path) or first_line(path / ".git") == f"gitdir: {git_dir}":
        trash.delete(path)
    shutil.rmtree(git_dir, ignore_errors=True)
    shutil.rmtree(Path(git.common) / "prunejuice" / f"new-{git_dir.name}", ignore_errors=True)
    ref = f"refs/heads/{made.branch}"
    if made.made_branch and git.resolve(ref) == made.base:
        git.move((ref, "", made.base))


def _forget_gone(git: Git, wanted: Wanted) -> None:
    """Let go of a worktree at this path, or with this branch, whose folder was deleted by hand."""
    for entry in entries(git):
        if entry.gone and not entry.locked and (entry.path == wanted.path or entry.branch == wanted.branch):
            _take_away(git, entry, drop=False)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _free(folder: Path, name: str) -> Path:
    names = [name, *(f"{name}{number}" for number in range(1, 10_000))]
    return next(folder / each for each in names if not os.path.lexists(folder / each))


# -- removal ----------------------------------------------------------------------------------------


class Removed(NamedTuple):
    """What became of a worktree: `why` it was kept, or the operation that takes the removal back."""

    why: str = ""
    operation: str = ""
    dropped: bool = False


def remove(git: Git, path: Path, *, drop: bool = False, force: bool = False) -> Removed:
    """Move a worktree into the trash, when nothing would be lost, or by `force`.

    A branch that was made for it goes too, when another branch has all of it; any branch, by `drop`.

    Raises:
        StepError: the branch to drop holds work of its own; or the folder cannot be moved.
        GitError: git refused.
    """
    with holding(git) as held:
        entry = next(iter(entries(held, path)), None)
        if entry is None:
            return Removed("it is not a worktree of this repository" if path.exists() else "")
        if why := _reason_to_keep(entry, force=force):
            return Removed(why)
        if force or entry.gone:
            return _take_away(held, entry, drop=drop, force=force)
        why, tip = examined(held.bound(entry.path, entry.git_dir))
        return Removed(why) if why else _take_away(held, entry, drop=drop, tip=tip)


def _reason_to_keep(entry: Entry, *, force: bool) -> str:
    if entry.main:
        return "it is the main working tree"
    if entry.stray:
        return "its .git file names another git directory (git worktree repair mends that)"
    if entry.locked and not force:
        return f"it is locked: {safe_line(entry.locked, 80)}"
    return ""


def _take_away(git: Git, entry: Entry, *, drop: bool, force: bool = False, tip: str = "") -> Removed:
    tip = tip or git.bound(git.directory, entry.git_dir).resolve("HEAD")
    dropped = bool(entry.branch and tip) and _drops(git, entry, tip, drop=drop, force=force)
    begun = replace(
        operation.new("remove", f"worktree {entry.path}", entry.path),
        old=_staged(git, entry, tip) if tip and force else "",
        git_dir=str(entry.git_dir),
        branch=entry.branch,
        new=tip,
        dropped=dropped,
        run=entry.made.owner if entry.made and ":" not in entry.made.owner else "",
    )
    begun = replace(begun, trash=str(_trash(git, entry, begun)))
    operation.journal(git).write(begun)
    try:
        _carry_on(git, begun)
    except OSError as error:
        operation.journal(git).forget(begun)
        raise StepError(
            f"{entry.path} cannot be moved away: {error.strerror}", "close what uses it"
        ) from error
    return Removed("", begun.id, dropped)


def _staged(git: Git, entry: Entry, tip: str) -> str:
    """A commit that keeps what lies in the index and what an unfinished merge or rebase refers to."""
    index = entry.git_dir / "index"
    if not index.is_file():
        return tip
    copied = entry.git_dir / "prunejuice.kept.index"
    shutil.copy2(index, copied)
    tree = git.bound(git.directory, entry.git_dir).apart(copied).try_("write-tree").out.decode().strip()
    named = ("MERGE_HEAD", "ORIG_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD")
    heads = (first_line(entry.git_dir / name).split("\n")[0] for name in named)
    more = [head for head in heads if head and git.resolve(head)]
    return git.commit(tree or f"{tip}^{{tree}}", tuple(dict.fromkeys((tip, *more))), "kept with a worktree")


def _drops(git: Git, entry: Entry, tip: str, *, drop: bool, force: bool) -> bool:
    """Whether the branch goes with its worktree.

    Raises:
        StepError: it is to be dropped although it holds what no other branch has.
    """
    ours = entry.made is not None and entry.made.made_branch and entry.made.branch == entry.branch
    if not (ours or drop):
        return False
    if ours and entry.made is not None and tip == entry.made.base:
        return True
    found = git.run("for-each-ref", "--format=%(refname)", "--contains", tip, *BRANCHES).split()
    saved = any(ref != f"refs/heads/{entry.branch}" for ref in found)
    if drop and not (saved or force):
        raise StepError(
            f"branch {entry.branch!r} holds commits that are in no other branch",
            "merge it, or use --force: it can be brought back",
        )
    return saved or (drop and force)


def _trash(git: Git, entry: Entry, begun: Operation) -> Path:
    """A folder on the same file system as the worktree, so that moving is renaming."""
    inside = Path(git.common) / "prunejuice" / "trash" / begun.id
    parent = entry.path.parent
    same = not parent.is_dir() or parent.stat().st_dev == Path(git.common).stat().st_dev
    return inside if same else parent / f".prunejuice-trash-{begun.id}"


def _carry_on(git: Git, begun: Operation) -> None:
    """Do what is still to be done of a removal; each act can be repeated."""
    kept, path = Path(begun.trash), Path(begun.path)
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    _move(path, kept / "tree")
    _move(Path(begun.git_dir), kept / "git")
    _keep(git, begun)
    records(git).forget(Made(begun.path, "", "", ""))
    operation.journal(git).mark(begun, "done")


def _keep(git: Git, begun: Operation) -> None:
    """Have a ref hold what goes, and let the branch go: both at once, or what is still to be done of it."""
    if not begun.new:
        return
    ref, kept = f"refs/heads/{begun.branch}", begun.old or begun.new
    gone = [(ref, "", begun.new)] if begun.dropped else []
    try:
        git.move((begun.backup, kept, ""), *gone)
    except GitError:
        changes = [] if git.resolve(begun.backup) else [(begun.backup, kept, "")]
        changes += gone if git.resolve(ref) == begun.new else []
        if changes:
            git.move(*changes)


def _move(source: Path, target: Path) -> None:
    if not os.path.lexists(source) or os.path.lexists(target):
        return
    try:
        source.rename(target)
    except PermissionError:
        if source.is_symlink() or not source.is_dir() or os.access(source, os.W_OK):
            raise
        source.chmod(source.stat().st_mode | 0o200)  # a folder that moves must be writable itself
        source.rename(target)


def bring_back(git: Git, removed: Operation) -> str:
    """Take a removal back: tree, index, HEAD and branch are what they were; what to know about it.

    Raises:
        ConflictError: something else is there by now, or the trash was emptied.
    """
    with holding(git) as held:
        if os.path.lexists(removed.path):
            raise ConflictError(f"{removed.path} is there again", "move it away first")
        if not (Path(removed.trash) / "git").is_dir():
            raise ConflictError(f"the trash of {removed.id} was emptied")
        note = _branch_back(held, removed)
        git_dir = _free(Path(held.common) / "worktrees", Path(removed.git_dir).name)
        back = replace(removed, git_dir=str(git_dir), state="undoing")
        try:
            _bring(held, operation.journal(held).write(back))
        except OSError as error:
            operation.journal(held).mark(removed, "done")
            raise StepError(
                f"{removed.path} cannot be made: {error.strerror}", "make room for it"
            ) from error
        return note


def _bring(git: Git, back: Operation) -> None:
    """Do what is still to be done to have a worktree back; each act can be repeated."""
    path, kept = Path(back.path), Path(back.trash)
    if os.path.lexists(path) and os.path.lexists(kept / "tree"):
        operation.journal(git).mark(back, "done")
        raise ConflictError(f"{path} is there again", "move it away first")
    path.parent.mkdir(parents=True, exist_ok=True)
    _move(kept / "tree", path)
    path.mkdir(exist_ok=True)
    (path / ".git").write_bytes(os.fsencode(f"gitdir: {back.git_dir}\n"))
    Path(back.git_dir).parent.mkdir(exist_ok=True)
    _move(kept / "git", Path(back.git_dir))
    operation.journal(git).mark(back, "undone")
    with suppress(OSError):
        kept.rmdir()


def _branch_back(git: Git, removed: Operation) -> str:
    """Make the branch again; when its name is taken by now, the worktree stands at the commit instead."""
    if not removed.branch or not removed.new:
        return ""
    now = git.resolve(f"refs/heads/{removed.branch}")
    if not now:
        git.move((f"refs/heads/{removed.branch}", removed.new, ""))
        return ""
    if now == removed.new and not checked_out(git, removed.branch):
        return ""
    (Path(removed.trash) / "git" / "HEAD").write_text(f"{removed.new}\n")
    return f"branch {removed.branch!r} is somewhere else by now: HEAD is detached at {removed.new[:12]}"


def prune(git: Git, *, dry_run: bool = False) -> list[Path]:
    """Let go of worktrees whose folder was deleted by hand; their paths."""
    with holding(git) as held:
        gone = [each for each in entries(held) if each.gone and not each.locked and not each.main]
        if not dry_run:
            for entry in gone:
                _take_away(held, entry, drop=False)
        return [entry.path for entry in gone]


def dead_checks(git: Git, *, dry_run: bool = False) -> list[Path]:
    """Clear away worktrees that a killed process had made to check something in, with what runs there."""
    owners = [(each, each.made.owner) for each in entries(git) if each.made]
    checks = [(each, owner.split(":")[1]) for each, owner in owners if owner.startswith(CHECK)]
    dead = [each.path for each, pid in checks if not process.is_alive(int(pid))]
    for path in () if dry_run else dead:
        process.sweep(f"{CHECK}{path.name}")
        discard(git, path)
    return dead


def discard(git: Git, path: Path) -> None:
    """Remove a worktree that never held work of anybody, without a way back."""
    removed = remove(git, path, force=True).operation
    if removed:
        trash.forget(git, operation.journal(git).find(removed))
