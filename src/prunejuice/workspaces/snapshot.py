"""The files of a working tree as commits that no branch knows, and the way back to any of them.

A snapshot has every file that git would not ignore, new ones included, byte for byte; it is taken with an
index of our own, so that the user's index, HEAD and stash are never touched. Of a mode, git keeps the
executable bit. What lies in another repository inside the tree is left alone, and so are new files of
more than `LARGEST` bytes.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice.errors import ConflictError, GitError, StepError
from prunejuice.git import Git
from prunejuice.lock import locked
from prunejuice.workspaces import checkout, operation
from prunejuice.workspaces.operation import Operation

LARGEST = 100_000_000
REFS = "refs/prunejuice/runs"
QUEUE = 300.0


class Snapshot(NamedTuple):
    """The files at one moment: a commit whose parent is the HEAD of that moment."""

    commit: str
    tree: str


class Change(NamedTuple):
    """What became of one file: lines added and removed are None for a binary one."""

    path: str
    added: int | None
    removed: int | None


class Index(NamedTuple):
    """An index of ours for one working tree, held by nobody else meanwhile; `files` is git for it."""

    git: Git
    files: Git

    @property
    def own(self) -> Path:
        """The file of the index; what is known of it lies beside it, under other suffixes."""
        return Path(self.files.environ["GIT_INDEX_FILE"])

    def update(self, last: Path) -> bool:
        """Bring the index to the files as they are; whether anything was new, and `last` holds no more."""
        asked = ("-z", "-t", "--modified", "--deleted", "--others", "--exclude-standard")
        listed = self.files.run("ls-files", *asked, limit=1 << 30).split("\0")
        paths = {line[2:] for line in listed if line[:1] != "?" or self._is_taken(line[2:])}
        paths = (paths | self._tracked(last.with_suffix(".seen"))) - {""}
        if paths:
            last.unlink(missing_ok=True)
            given = b"".join(os.fsencode(path) + b"\0" for path in sorted(paths))
            self.files.run(
                "update-index", "-z", "--add", "--remove", "--replace", "--stdin", given=given, timeout=600
            )
        return bool(paths)

    def _tracked(self, seen: Path) -> set[str]:
        """The files that the user's index has and ours has not: git would ignore them, but for that."""
        theirs = Path(self.git.git_dir) / "index"
        if not theirs.is_file():
            return set()
        stat = theirs.stat()
        stamp = f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}"
        if seen.is_file() and seen.read_text() == stamp:
            return set()
        env = {**self.files.environ, "GIT_INDEX_FILE": str(theirs)}
        wanted = set(self.files._replace(environ=env).run("ls-files", "-z", limit=1 << 30).split("\0"))
        missing = wanted - set(self.files.run("ls-files", "-z", limit=1 << 30).split("\0"))
        seen.write_text(stamp)
        return {path for path in missing if self._is_file(path)}

    def _is_file(self, path: str) -> bool:
        place = os.path.join(self.git.directory, path)  # noqa: PTH118 - names may be any bytes
        return os.path.islink(place) or os.path.isfile(place)  # noqa: PTH113, PTH114

    def _is_taken(self, path: str) -> bool:
        with suppress(OSError):
            return not path.endswith("/") and (
                os.lstat(os.path.join(self.git.directory, path)).st_size <= LARGEST  # noqa: PTH118
            )
        return False

    def snapshot(self, message: str, known: Mapping[str, str] = {}) -> Snapshot:
        """The files as they are; one of the `known` commits (by tree) when it has them."""
        try:
            return self._kept(message, known)
        except GitError:  # the index is damaged, names what is gone, or stands in a merge: look at all anew
            for suffix in (".index", ".tree", ".seen"):
                self.own.with_suffix(suffix).unlink(missing_ok=True)
            return self._kept(message, known)

    def _kept(self, message: str, known: Mapping[str, str]) -> Snapshot:
        tree = self._written()
        if tree in known:
            return Snapshot(known[tree], tree)
        head = self.git.resolve("HEAD")
        return Snapshot(self.git.commit(tree, (head,) if head else (), message), tree)

    def _written(self) -> str:
        """The tree of the files; the one of last time when nothing changed since."""
        last = self.own.with_suffix(".tree")
        known = last.read_text() if last.is_file() else ""
        if self.update(last) or not known:
            known = self.files.run("write-tree").strip()
            last.write_text(known)
        return known

    def become(self, now: Snapshot, tree: str) -> None:
        """Make the files those of a tree, when they are still those of `now`.

        Raises:
            ConflictError: a file changed meanwhile, or an ignored one is in the way; nothing was moved.
        """
        self.own.with_suffix(".tree").unlink(missing_ok=True)
        checkout.follow(self.files, now.tree, tree)


@contextmanager
def index(git: Git, *, exact: bool = True) -> Iterator[Index]:
    """The index of ours for the working tree that `git` is bound to.

    `exact` keeps bytes as they are; otherwise line endings are those that a commit would have.

    Raises:
        StepError: another process does not let go of it.
    """
    name = "exact" if exact else "plain"
    own = Path(git.git_dir) / f"prunejuice.{name}.index"
    try:
        with locked(own.with_suffix(".lock"), QUEUE) as held:
            git = git._replace(keep=(*git.keep, held.fileno()))
            own.with_name(f"{own.name}.lock").unlink(missing_ok=True)  # of a git that was killed
            files = git.apart(own, exact=exact)
            if not own.exists():
                _begin(git, files, own, exact=exact)
            yield Index(git, files)
    except TimeoutError as error:
        raise StepError(f"another process holds {own}") from error
    except OSError as error:
        raise StepError(f"{error.filename or own} cannot be used: {error.strerror}") from error


def _begin(git: Git, files: Git, own: Path, *, exact: bool) -> None:
    """Start from what git knows of the files already, where that says what their bytes are."""
    theirs = Path(git.git_dir) / "index"
    if theirs.is_file() and not (exact and _converts(git, files, theirs)):
        aside = own.with_suffix(".new")
        content, stat = theirs.read_bytes(), theirs.stat()
        aside.write_bytes(content)
        os.utime(aside, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # git trusts entries older than it
        aside.rename(own)
        _unhide(files)


def _converts(git: Git, files: Git, theirs: Path) -> bool:
    """Whether line endings in the repository may differ from those in the files."""
    for key in ("core.autocrlf", "core.eol", "core.attributesFile"):
        if git.try_("config", "--get", key).out.strip() not in {b"", b"false", b"lf"}:
            return True
    asked = ("ls-files", "-z", "--cached", "--others", "--", ":(glob)**/.gitattributes")
    env = {**files.environ, "GIT_INDEX_FILE": str(theirs)}
    config = Path(git.environ.get("XDG_CONFIG_HOME") or Path(git.environ.get("HOME", "/"), ".config"))
    places = (Path(git.common) / "info/attributes", config / "git/attributes", Path("/etc/gitattributes"))
    return any(place.is_file() for place in places) or bool(files._replace(environ=env).run(*asked))


def _unhide(files: Git) -> None:
    """Look at files again that git was told not to look at, if they are there."""
    listed = files.run("ls-files", "-z", "-v", limit=1 << 30).split("\0")
    hidden = [line[2:] for line in listed if line[:1].islower() or line[:1] == "S"]
    there = [path for path in hidden if os.path.lexists(Path(files.directory) / path)]
    given = b"".join(os.fsencode(path) + b"\0" for path in there)
    for flag in ("--no-assume-unchanged", "--no-skip-worktree") if there else ():
        files.run("update-index", "-z", flag, "--stdin", given=given)


def take(git: Git, ref: str, message: str, known: Mapping[str, str] = {}, *, anew: bool = True) -> Snapshot:
    """Keep the files of a working tree under a ref; `known` are commits that have them, by tree.

    Without `anew` a known commit gets no further ref.
    """
    with index(git) as ours:
        found = ours.snapshot(message, known)
        if anew or found.tree not in known:
            git.run("update-ref", ref, found.commit)
    return found


def now(git: Git, *, exact: bool = True) -> Snapshot:
    """The files of a working tree as they are, under no ref."""
    with index(git, exact=exact) as ours:
        return ours.snapshot("now")


def forget(git: Git, run: str) -> None:
    """Let go of the snapshots of a run."""
    listed = git.run("for-each-ref", "--format=%(refname) %(objectname)", f"{REFS}/{run}").split()
    if changes := [(ref, "", commit) for ref, commit in zip(listed[::2], listed[1::2], strict=True)]:
        git.move(*changes)


def numbers(git: Git, old: str, new: str) -> list[Change]:
    """The files that differ between two trees or commits, with how many lines."""
    asked = ("--numstat", "-z", "-r", "--no-renames", "--no-ext-diff", "--no-textconv")
    files = git.apart(Path(git.git_dir) / "index", exact=True)
    listed = files.run("diff-tree", *asked, _tree_of(git, old), new, "--", limit=1 << 28)
    rows = (line.split("\t", 2) for line in listed.split("\0") if line)
    return [Change(path, _number(added), _number(removed)) for added, removed, path in rows]


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def patch(git: Git, old: str, new: str, target: Path) -> None:
    """Write the difference of two trees or commits into a file, as a patch that can be applied."""
    plain = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--binary", "-p", "-r", "-M")
    files = git.apart(Path(git.git_dir) / "index", exact=True)
    files.write(target, "diff-tree", *plain, _tree_of(git, old), new, "--")


def reverse(git: Git, now: Snapshot, before: str, after: str) -> str:
    """The tree in which what led from `before` to `after` is taken back and all else is as it is now.

    Raises:
        ConflictError: something else changed the same lines since; names the files.
    """
    old, new = _tree_of(git, before), _tree_of(git, after)
    if now.tree == new:
        return old
    base = git.commit(new, (), "after")
    ours, theirs = git.commit(now.tree, (base,), "now"), git.commit(old, (base,), "before")
    tree, conflicts = merged(git, ours, theirs)
    if conflicts:
        fix = "change these files back by hand, or undo what came later first"
        raise ConflictError(f"changed since: {', '.join(conflicts[:5])}", fix, conflicts)
    return tree


def _tree_of(git: Git, commit: str) -> str:
    """The tree of a commit; the empty one of none."""
    if not commit:
        return git.run("mktree").strip()
    return git.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").strip()


def merged(git: Git, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """The tree that two commits merge into, and the files in which they conflict."""
    files = git.apart(Path(git.git_dir) / "index", exact=True)
    asked = ("--write-tree", "-z", "--name-only", "--no-messages", "--allow-unrelated-histories")
    done = files.try_("merge-tree", *asked, ours, theirs)
    if done.code not in {0, 1}:
        raise GitError(f"git merge-tree failed: {done.err.decode('utf-8', 'replace').strip()[:400]}")
    tree, *conflicts = os.fsdecode(done.out).strip("\0").split("\0")
    return tree.strip(), tuple(dict.fromkeys(conflicts)) if done.code else ()


def go_to(git: Git, tree_of: str, what: str, run: str = "") -> Operation | None:
    """Make the files those of a commit, keeping what they were; None when they already are."""
    with index(git) as ours:
        now = ours.snapshot("before going back")
        return _went(ours, now, _tree_of(git, tree_of), what, run)


def take_back(git: Git, before: str, after: str, what: str, run: str = "") -> Operation | None:
    """Take back what led from one commit to another, keeping what the files were.

    Raises:
        ConflictError: something else changed the same lines since; nothing was moved.
    """
    with index(git) as ours:
        now = ours.snapshot("before undo")
        return _went(ours, now, reverse(git, now, before, after), what, run)


def _went(ours: Index, now: Snapshot, tree: str, what: str, run: str) -> Operation | None:
    if tree == now.tree:
        return None
    git = ours.git
    journal = operation.journal(git)
    begun = operation.new("restore", what, git.directory)
    goal = git.commit(tree, (now.commit,), what)
    begun = replace(begun, git_dir=git.git_dir, old=now.commit, new=goal, run=run)
    git.run("update-ref", begun.backup, goal)  # its parent is what the files were
    journal.write(begun)
    try:
        ours.become(now, tree)
    except ConflictError:
        journal.forget(begun)
        git.move((begun.backup, "", goal))
        raise
    return journal.mark(begun, "done")
