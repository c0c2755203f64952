"""Take snapshots of the files of a working tree as commits on no branch, and restore them.

A snapshot has every tracked and unignored file byte for byte. It is taken with an index of ours, so that
the user's index, HEAD and stash never change. Of the file modes, git keeps the executable bit only. Nested
repositories are left out, and so are new files of more than `MAX_FILE_BYTES`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice.errors import ConflictError, GitError, StepError
from prunejuice.system.lock import hold_lock
from prunejuice.worktrees import checkout, hidden_files, oplog
from prunejuice.worktrees.file_stamps import (
    MAX_FILES,
    FileStamps,
    Stamp,
    changed_paths,
    file_stamp,
    read_file_stamps,
)
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.oplog import Operation
from prunejuice.worktrees.rule_files import list_rule_files

MAX_FILE_BYTES = 100_000_000
RUN_REFS = "refs/prunejuice/runs"
LOCK_TIMEOUT = 300.0
"""How long to wait for the lock of an index, in seconds."""


class Snapshot(NamedTuple):
    """A commit of all files; its parent is the HEAD at that time."""

    commit: str
    tree: str


class DiffStat(NamedTuple):
    """A changed file; the numbers of lines `added` and `removed` are None for a binary file."""

    path: str
    added: int | None
    removed: int | None


class KnownTree(NamedTuple):
    """The tree of the files with these stamps, the paths in it, and the stamp of our index."""

    files: FileStamps
    tree: str
    included: frozenset[str]
    index_stamp: Stamp | None


Comparison = tuple[FileStamps, set[str]] | None
"""The answer of `changed_paths`."""
KnownTrees = dict[str, KnownTree | None]
"""The last known tree of each working tree, by its git directory; None if git is faster.

It is valid in one process only.
"""


class _FileChanges(NamedTuple):
    """The files that may differ from the index of ours, and the stamps of all files, if they are known."""

    paths: frozenset[str]
    files: FileStamps | None
    included: frozenset[str]


class SnapshotIndex(NamedTuple):
    """An index of ours for one working tree, locked by this process; `files` is git that uses it."""

    git: Git
    files: Git
    known_trees: KnownTrees | None = None
    compared: Comparison = None

    @property
    def index_path(self) -> Path:
        """The index file; files with other suffixes beside it hold cached state."""
        return Path(self.files.environ["GIT_INDEX_FILE"])

    def _find_changes(self) -> _FileChanges:
        """Return what changed since the known tree, or since the last update of the index."""
        if self.known_trees is None:
            return self._list_changes(None)
        known = self.known_trees.get(self.git.git_dir)
        if known is None and self.git.git_dir in self.known_trees:  # git is faster
            return self._list_changes(None)
        if not known or not self.compared or _has_ignore_file(self.compared[1]):
            ignored = self._ignored_folders()
            stamps = read_file_stamps(self.git.directory, ignored, list_rule_files(self.git))
            return self._list_changes(stamps)
        files, changed = self.compared
        if changed <= known.included and known.index_stamp == file_stamp(str(self.index_path)):
            removed = {path for path in changed if path not in files.stamps}
            return _FileChanges(frozenset(changed), files, known.included - removed)
        return self._list_changes(files)

    def _list_changes(self, files: FileStamps | None) -> _FileChanges:
        """Ask git which files changed; `files` were read before."""
        missing = self._adopt_user_index()
        lines = self._list_files()
        if hidden_files.may_be_sparse(self.git) and any(line[:1] == "R" for line in lines):
            # A file outside the patterns that is gone again is hidden, not deleted.
            self.index_path.with_suffix(".seen").unlink(missing_ok=True)
            missing |= self._adopt_user_index()
            lines = self._list_files()
        paths = {line[2:] for line in lines if line[:1] in "CR?" and self._is_included(line)}
        cached = {line[2:] for line in lines if line[:1] not in "CR?"}
        deleted = {line[2:] for line in lines if line[:1] == "R"}
        paths = (paths | missing) - {""}
        included = frozenset(cached | paths) - deleted
        # A file that is tracked although its folder is ignored is one that the stamps do not have.
        is_blind = files is not None and any(path.startswith(tuple(files.ignored)) for path in included)
        return _FileChanges(frozenset(paths), None if is_blind else files, included)

    def _list_files(self) -> list[str]:
        flags = ("-z", "-t", "--cached", "--modified", "--deleted", "--others", "--exclude-standard")
        return self.files.run("ls-files", *flags, limit=1 << 30).split("\0")

    def _ignored_folders(self) -> list[str]:
        """Return the folders that an ignore rule names; what is added in them is ignored too."""
        flags = ("-z", "--ignored=matching", "--untracked-files=all", "--no-renames")
        lines = self.files.run("status", "--porcelain", *flags, limit=1 << 30).split("\0")
        return [line[3:] for line in lines if line.startswith("!! ") and line.endswith("/")]

    def _update(self, paths: frozenset[str]) -> None:
        stdin = b"".join(os.fsencode(path) + b"\0" for path in sorted(paths))
        flags = ("-z", "--add", "--remove", "--replace", "--stdin")
        self.files.run("update-index", *flags, given=stdin, timeout=600)

    def _adopt_user_index(self) -> set[str]:
        """Hide the files that the user's index hides, and take its empty submodules, if that index changed.

        Return the files in it that ours lacks: tracked although they are ignored.
        """
        user_index = Path(self.git.git_dir) / "index"
        stamp_file = self.index_path.with_suffix(".seen")
        if not user_index.is_file():
            return set()
        stat = user_index.stat()
        stamp = f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}"
        if stamp_file.is_file() and stamp_file.read_text() == stamp:
            return set()
        env = {**self.files.environ, "GIT_INDEX_FILE": str(user_index)}
        theirs = hidden_files.read_entries(self.files._replace(environ=env))
        ours = hidden_files.read_entries(self.files)
        last = self.index_path.with_suffix(".tree")
        for adopt in (hidden_files.adopt_hidden_files, hidden_files.adopt_empty_submodules):
            adopt(self.files, ours, theirs, lambda: last.unlink(missing_ok=True))
        stamp_file.write_text(stamp)
        return {path for path in theirs.keys() - ours.keys() if self._is_file(path)}

    def _is_file(self, path: str) -> bool:
        full_path = os.path.join(self.git.directory, path)  # noqa: PTH118 - names may be any bytes
        return os.path.islink(full_path) or os.path.isfile(full_path)  # noqa: PTH113, PTH114

    def _is_included(self, line: str) -> bool:
        """Return whether a file is part of the tree: every tracked one, and new ones that are not huge."""
        path = line[2:]
        if line[:1] != "?":
            return True
        with suppress(OSError):
            return not path.endswith("/") and (
                os.lstat(os.path.join(self.git.directory, path)).st_size <= MAX_FILE_BYTES  # noqa: PTH118
            )
        return False

    def take_snapshot(self, message: str, commits: Mapping[str, str] = {}) -> Snapshot:
        """Return a snapshot of the current files.

        `commits` maps trees to commits; one with the same files and HEAD is returned instead of a new one.
        """
        try:
            return self._commit_snapshot(message, commits)
        except GitError:  # the index is damaged, refers to missing objects or is unmerged: rebuild it
            if self.known_trees is not None:
                self.known_trees.pop(self.git.git_dir, None)
            for suffix in (".index", ".tree", ".seen"):
                self.index_path.with_suffix(suffix).unlink(missing_ok=True)
            return self._commit_snapshot(message, commits)

    def _commit_snapshot(self, message: str, commits: Mapping[str, str]) -> Snapshot:
        tree = self._write_tree()
        if tree in commits and self.git.resolve(f"{commits[tree]}^") == self.git.resolve("HEAD"):
            return Snapshot(commits[tree], tree)
        return Snapshot(self._commit_on_head(tree, message), tree)

    def _commit_on_head(self, tree: str, message: str) -> str:
        try:
            return self.git.commit_tree(tree, ("HEAD",), message)
        except GitError:
            if self.git.resolve("HEAD"):
                raise
            return self.git.commit_tree(tree, (), message)  # the branch has no commit yet

    def _write_tree(self) -> str:
        """Return the tree of the files; reuse the last one if nothing changed."""
        last = self.index_path.with_suffix(".tree")
        changes = self._find_changes()
        tree = last.read_text() if last.is_file() else ""
        if changes.paths:
            last.unlink(missing_ok=True)
            self._update(changes.paths)
        if changes.paths or not tree:
            tree = self.files.run("write-tree").strip()
            last.write_text(tree)
        self._remember_tree(changes, tree)
        return tree

    def _remember_tree(self, changes: _FileChanges, tree: str) -> None:
        if self.known_trees is None:
            return
        self.known_trees.pop(self.git.git_dir, None)
        if changes.files:
            index = file_stamp(str(self.index_path))
            self.known_trees[self.git.git_dir] = KnownTree(changes.files, tree, changes.included, index)
        elif len(changes.included) > MAX_FILES:
            self.known_trees[self.git.git_dir] = None

    def checkout_tree(self, now: Snapshot, tree: str) -> None:
        """Change the files from the snapshot `now` to a tree.

        Raises:
            ConflictError: a file changed since, or would be overwritten; no file was changed.
        """
        self.index_path.with_suffix(".tree").unlink(missing_ok=True)
        # The index has new files outside the sparse patterns, too, which git would remove.
        everywhere = (*self.files.extra_config, ("core.sparsecheckout", "false"))
        checkout.update_files(self.files._replace(extra_config=everywhere), now.tree, tree)


def _has_ignore_file(paths: Iterable[str]) -> bool:
    """Return whether a change of one of the paths may change which others are ignored."""
    return any(path.rpartition("/")[2] == ".gitignore" for path in paths)


@contextmanager
def open_index(
    git: Git,
    *,
    exact: bool = True,
    known_trees: KnownTrees | None = None,
    compared: Comparison = None,
) -> Iterator[SnapshotIndex]:
    """Lock and yield the index of ours for the working tree of `git`.

    With `exact`, bytes are kept as they are; otherwise line endings are converted as in a commit.
    `known_trees` has the trees of an index of the same kind, and receives the new one. `compared` is how
    the files differ from the known tree.

    Raises:
        StepError: another process holds the lock for longer than `LOCK_TIMEOUT`.
    """
    name = "exact" if exact else "plain"
    index = Path(git.git_dir) / f"prunejuice.{name}.index"
    try:
        with hold_lock(index.with_suffix(".lock"), LOCK_TIMEOUT) as lock_file:
            git = git._replace(pass_fds=(*git.pass_fds, lock_file.fileno()))
            index.with_name(f"{index.name}.lock").unlink(missing_ok=True)  # left by a killed git
            files = git.with_clean_config(index, exact=exact)
            if not index.exists():
                _seed_index(git, files, index, exact=exact)
            yield SnapshotIndex(git, files, known_trees, compared)
    except TimeoutError as error:
        raise StepError(f"another process holds {index}") from error
    except OSError as error:
        raise StepError(f"could not use {error.filename or index}: {error.strerror}") from error


def _seed_index(git: Git, files: Git, index: Path, *, exact: bool) -> None:
    """Copy the user's index, which saves hashing every file, if its hashes are of the same bytes."""
    user_index = Path(git.git_dir) / "index"
    if user_index.is_file() and not (exact and _converts_line_endings(git, files, user_index)):
        temporary = index.with_suffix(".new")
        content, stat = user_index.read_bytes(), user_index.stat()
        temporary.write_bytes(content)
        # Keep the time of the index: git rereads the files that are not older than it.
        os.utime(temporary, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        temporary.rename(index)
        _clear_hidden_flags(files)


def _converts_line_endings(git: Git, files: Git, user_index: Path) -> bool:
    """Return whether git may convert line endings, so that its hashes are of other bytes."""
    for key in ("core.autocrlf", "core.eol", "core.attributesFile"):
        if git.try_run("config", "--get", key).stdout.strip() not in {b"", b"false", b"lf"}:
            return True
    arguments = ("ls-files", "-z", "--cached", "--others", "--", ":(glob)**/.gitattributes")
    env = {**files.environ, "GIT_INDEX_FILE": str(user_index)}
    config = Path(git.environ.get("XDG_CONFIG_HOME") or Path(git.environ.get("HOME", "/"), ".config"))
    attribute_files = (
        Path(git.common) / "info/attributes",
        config / "git/attributes",
        Path("/etc/gitattributes"),
    )
    return any(file.is_file() for file in attribute_files) or bool(
        files._replace(environ=env).run(*arguments)
    )


def _clear_hidden_flags(files: Git) -> None:
    """Clear the assume-unchanged and skip-worktree flags of existing files, so that git reads them."""
    lines = files.run("ls-files", "-z", "-v", limit=1 << 30).split("\0")
    hidden = [line[2:] for line in lines if line[:1].islower() or line[:1] == "S"]
    existing = [path for path in hidden if os.path.lexists(Path(files.directory) / path)]
    stdin = b"".join(os.fsencode(path) + b"\0" for path in existing)
    for flag in ("--no-assume-unchanged", "--no-skip-worktree") if existing else ():
        files.run("update-index", "-z", flag, "--stdin", given=stdin)


def save_snapshot(
    git: Git,
    ref: str,
    message: str,
    commits: Mapping[str, str] = {},
    known_trees: KnownTrees | None = None,
) -> Snapshot:
    """Take a snapshot and store it under a ref.

    `commits` maps trees to earlier snapshots that have a ref: one of the same files and HEAD is returned.
    `known_trees` makes it unnecessary to start git while nothing changes.
    """
    # Which files a sparse checkout hides is known by git alone.
    known_trees = None if hidden_files.may_be_sparse(git) else known_trees
    known = known_trees.get(git.git_dir) if known_trees else None
    compared = changed_paths(known.files, git.directory, list_rule_files(git)) if known else None
    if known and known_trees and compared and not compared[1] and known.tree in commits:
        known_trees[git.git_dir] = known._replace(files=compared[0])
        return Snapshot(commits[known.tree], known.tree)
    with open_index(git, known_trees=known_trees, compared=compared) as index:
        saved = index.take_snapshot(message, commits)
        if saved.commit not in commits.values():
            git.run("update-ref", ref, saved.commit)
    return saved


def current_snapshot(git: Git, *, exact: bool = True) -> Snapshot:
    """Return a snapshot of the current files, stored under no ref."""
    with open_index(git, exact=exact) as index:
        return index.take_snapshot("now")


def delete_snapshots(git: Git, run: str) -> None:
    """Delete the snapshot refs of a run."""
    fields = git.run("for-each-ref", "--format=%(refname) %(objectname)", f"{RUN_REFS}/{run}").split()
    if changes := [(ref, "", commit) for ref, commit in zip(fields[::2], fields[1::2], strict=True)]:
        git.update_refs(*changes)


def diff_stats(git: Git, old: str, new: str) -> list[DiffStat]:
    """Return the files that differ between two trees or commits, with their numbers of lines."""
    flags = ("--numstat", "-z", "-r", "--no-renames", "--no-ext-diff", "--no-textconv")
    files = git.with_clean_config(Path(git.git_dir) / "index", exact=True)
    output = files.run("diff-tree", *flags, old or resolve_tree(git, ""), new, "--", limit=1 << 28)
    rows = (line.split("\t", 2) for line in output.split("\0") if line)
    return [DiffStat(path, _parse_count(added), _parse_count(removed)) for added, removed, path in rows]


def _parse_count(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def write_patch(git: Git, old: str, new: str, target: Path) -> None:
    """Write the difference of two trees or commits to a file, as a patch for `git apply`."""
    flags = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--binary", "-p", "-r", "-M")
    files = git.with_clean_config(Path(git.git_dir) / "index", exact=True)
    files.run_to_file(target, "diff-tree", *flags, resolve_tree(git, old), new, "--")


def revert_tree(git: Git, now: Snapshot, before: str, after: str) -> str:
    """Return the tree of `now` without the changes from `before` to `after`.

    Raises:
        ConflictError: the same lines changed since; names the files.
    """
    old, new = resolve_tree(git, before), resolve_tree(git, after)
    if now.tree == new:
        return old
    # A three-way merge with `after` as the base applies the changes in reverse.
    base = git.commit_tree(new, (), "after")
    ours, theirs = git.commit_tree(now.tree, (base,), "now"), git.commit_tree(old, (base,), "before")
    tree, conflicts = merge_commits(git, ours, theirs)
    if conflicts:
        fix = "revert these files by hand, or undo the later changes first"
        raise ConflictError(f"files changed since: {', '.join(conflicts[:5])}", fix, conflicts)
    return tree


def resolve_tree(git: Git, commit: str) -> str:
    """Return the tree of a commit; the empty tree for ""."""
    if not commit:
        return git.run("mktree").strip()
    return git.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").strip()


def merge_commits(git: Git, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """Merge two commits in the object database. Return the tree and the conflicting files.

    Raises:
        GitError: git failed.
    """
    files = git.with_clean_config(Path(git.git_dir) / "index", exact=True)
    flags = ("--write-tree", "-z", "--name-only", "--no-messages", "--allow-unrelated-histories")
    result = files.try_run("merge-tree", *flags, ours, theirs)
    if result.code not in {0, 1}:
        raise GitError(f"git merge-tree failed: {result.stderr.decode('utf-8', 'replace').strip()[:400]}")
    tree, *conflicts = os.fsdecode(result.stdout).strip("\0").split("\0")
    return tree.strip(), tuple(dict.fromkeys(conflicts)) if result.code else ()


def restore_files(git: Git, commit: str, what: str, run: str = "") -> Operation | None:
    """Change the files to those of a commit, with a backup. Return None if they are the same."""
    with open_index(git) as index:
        now = index.take_snapshot("before going back")
        tree = resolve_tree(git, commit)
        return _restore_tree(index, now, _keep_hidden_files(index, now, tree, commit), what, run)


def _keep_hidden_files(index: SnapshotIndex, now: Snapshot, tree: str, source: str) -> str:
    """Return the tree without changes to files that are hidden now and were so in `source`."""
    if not (source and hidden_files.is_sparse(index.files)):
        return tree
    # What differs from HEAD in a snapshot was on the disk.
    written = {stat.path for stat in diff_stats(index.git, index.git.resolve(f"{source}^"), source)}
    return hidden_files.keep_hidden_files(index.files, now.tree, tree, written)


def revert_changes(git: Git, before: str, after: str, what: str, run: str = "") -> Operation | None:
    """Undo the changes between two commits, with a backup. Return None if nothing changes.

    Raises:
        ConflictError: the same lines changed since; no file was changed.
    """
    with open_index(git) as index:
        now = index.take_snapshot("before undo")
        tree = revert_tree(git, now, before, after)
        return _restore_tree(index, now, _keep_hidden_files(index, now, tree, before), what, run)


def _restore_tree(index: SnapshotIndex, now: Snapshot, tree: str, what: str, run: str) -> Operation | None:
    if tree == now.tree:
        return None
    git = index.git
    log = oplog.open_log(git)
    operation = oplog.new_operation("restore", what, git.directory)
    commit = git.commit_tree(tree, (now.commit,), what)
    operation = replace(operation, git_dir=git.git_dir, old=now.commit, new=commit, run=run)
    git.run("update-ref", operation.backup_ref, commit)  # its parent is the backup of the files
    log.write(operation)
    try:
        index.checkout_tree(now, tree)
    except ConflictError:
        log.forget(operation)
        git.update_refs((operation.backup_ref, "", commit))
        raise
    return log.mark_state(operation, "done")
