"""Let processes commit in a worktree that must not change the repository otherwise.

They see folders of a quarantine in place of the objects, refs and reflogs; the rest of the git directory is
read-only. Afterwards the commits of the worktree's branch are taken over. All else is left behind.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.edits.protected_files import is_protected
from prunejuice.errors import GitError
from prunejuice.sandbox.policy import Bind
from prunejuice.system.deletion import delete_folder
from prunejuice.system.private import make_private_folder
from prunejuice.system.untrusted_files import read_bounded
from prunejuice.text import safe_line
from prunejuice.worktrees.git import WORKTREE_CONFIG, Git
from prunejuice.worktrees.listing import branch_name_error, parse_head, read_first_line

_REAL_OBJECTS = "/run/prunejuice/objects"
"""Where processes see the objects of the repository, from which the quarantine borrows."""
_OWN_REFS = "prunejuice"
_PROTECTED = ("commondir", "gitdir", WORKTREE_CONFIG, "locked", "modules", "hooks", "prunejuice")
"""Entries of the git directory of a worktree that decide what runs, or that are ours."""
_COMMIT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?\n?")
_PLAIN_FILES = ("HEAD", "index", "logs/HEAD", "COMMIT_EDITMSG", "MERGE_HEAD", "MERGE_MSG", "ORIG_HEAD")
_HEADS = (
    *("MERGE_HEAD", "ORIG_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE"),
    *("rebase-merge/orig-head", "rebase-merge/onto", "rebase-merge/stopped-sha", "rebase-merge/autostash"),
    *("rebase-apply/orig-head", "rebase-apply/onto"),
)
"""Files of the git directory of a worktree that name commits."""
_TODO_LISTS = ("rebase-merge/git-rebase-todo", "rebase-merge/git-rebase-todo.backup", "sequencer/todo")
_ODD = "it was no plain file"
_PROGRAM_LINE = re.compile(rb"\s*(?:x|exec)\s")
_SAVED = "worktree"
"""The file of a quarantine with the branch of the worktree and its commit."""
_MAX_REF_BYTES = 1000
_MAX_LOG_BYTES = 8 << 20
_IMPORT_SECONDS = 600


class GitQuarantine(NamedTuple):
    """The quarantine in `folder` for the worktree of `git`, on `branch`, which was at `tip`.

    `refs` are those that there were. With `has_no_config`, the worktree had no settings of its own.
    """

    folder: Path
    git: Git
    branch: str
    tip: str
    refs: Mapping[str, bytes]
    has_no_config: bool = True

    def list_binds(self) -> list[Bind]:
        """Return the folders that processes see in place of those of the repository."""
        common = self.git.common
        private = [
            Bind(str(self.folder / name), f"{common}/{name}") for name in ("objects", "refs", "logs")
        ]
        return [*private, Bind(f"{common}/objects", _REAL_OBJECTS, is_writable=False)]

    def list_protected(self) -> list[str]:
        """Return the existing entries of the worktree's git directory that processes may not change."""
        paths = (f"{self.git.git_dir}/{name}" for name in _PROTECTED)
        ours = map(str, Path(self.git.git_dir).glob("prunejuice.*"))
        return [path for path in (*paths, *ours) if os.path.lexists(path)]


def open_quarantine(git: Git, folder: Path) -> GitQuarantine:
    """Make a quarantine in a new folder for the worktree that `git` is located in.

    Raises:
        OSError: a file could not be written.
    """
    common = Path(git.common)
    make_private_folder(folder)
    (folder / "objects/info").mkdir(parents=True)
    (folder / "objects/pack").mkdir()
    alternates = [_REAL_OBJECTS.encode(), *_list_alternates(common / "objects")]
    (folder / "objects/info/alternates").write_bytes(b"\n".join(alternates) + b"\n")
    shutil.copytree(
        common / "refs", folder / "refs", symlinks=True, ignore=shutil.ignore_patterns(_OWN_REFS)
    )
    (common / "logs").mkdir(exist_ok=True)
    branch = git.current_branch()
    log = common / "logs/refs/heads" / branch
    (folder / "logs/refs/heads" / branch).parent.mkdir(parents=True, exist_ok=True)
    if branch and log.is_file():
        shutil.copyfile(log, folder / "logs/refs/heads" / branch)
    _reserve_worktree_config(git)
    tip = git.resolve("HEAD")
    (folder / _SAVED).write_text(f"{branch}\n{tip}")
    has_no_config = not (Path(git.git_dir) / WORKTREE_CONFIG).exists()
    return GitQuarantine(folder, git, branch, tip, dict(_read_refs(folder / "refs")), has_no_config)


def reopen_quarantine(git: Git, folder: Path) -> GitQuarantine | None:
    """Return the quarantine that a process left behind in a folder when its driver died, if any."""
    saved = folder / _SAVED
    if not saved.is_file():
        return None
    branch, tip = saved.read_text().split("\n")
    refs = {ref: value.encode() for ref, value in _list_real_refs(git)}
    return GitQuarantine(folder, git, branch, tip, refs)


def take_over(quarantine: GitQuarantine, allowed: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Take over the commits of the worktree's branch, or of the new branch that it is on.

    All other commits are kept below `refs/prunejuice/kept`. Return what was refused, and where it is: other
    refs, what the git directory of a worktree must not have, and commits that change control files, except
    those that are `allowed`, as paths relative to the top.

    Raises:
        GitError: git failed, or the commits are not whole.
    """
    git, folder = quarantine.git, quarantine.folder
    refused = list(sanitize_git_dir(quarantine))
    for name in ("alternates", "http-alternates"):  # they could lead to the objects of other repositories
        (folder / "objects/info" / name).unlink(missing_ok=True)
    after = {ref: value.decode() for ref, value in _read_refs(folder / "refs")}
    before = {ref: value.decode() for ref, value in quarantine.refs.items()}
    changed = {ref: commit for ref, commit in after.items() if before.get(ref) != commit}
    there = set(_find_quarantined(quarantine, [*changed.values(), *_list_named_objects(quarantine)]))
    if there:
        _import_objects(quarantine, sorted(there))
    own = f"refs/heads/{quarantine.branch}" if quarantine.branch else ""
    _, branch = parse_head(read_first_line(Path(git.git_dir) / "HEAD"))
    new = f"refs/heads/{branch}" if branch and not git.resolve(f"refs/heads/{branch}") else ""
    for ref, commit in changed.items():
        if not git.resolve(commit):
            continue
        if ref not in {own, new}:
            refused.append((ref, f"it is kept as {_keep(git, ref, commit)}"))
        elif names := _find_control_files(git, quarantine.tip, commit, allowed):
            kept = _keep(git, ref, commit)
            refused.append((
                names[0],
                f"a commit has it, which is kept as {kept}; allow it: allow: {{write: [{names[0]}]}}",
            ))
        else:
            _move_ref(git, ref, commit, quarantine.tip if ref == own else "")
    deleted = [ref for ref in before if ref not in after and ref != own and git.resolve(ref)]
    return [*refused, *((ref, "it was not deleted") for ref in deleted)]


def sanitize_git_dir(quarantine: GitQuarantine) -> Iterator[tuple[str, str]]:
    """Make the git directory of a worktree harmless before any git runs there; yield what was removed.

    Only plain files and folders stay, HEAD names the branch or a new one, and what would run programs goes.
    """
    git_dir = Path(quarantine.git.git_dir)
    yield from _remove_odd_files(git_dir)
    if quarantine.has_no_config and (git_dir / WORKTREE_CONFIG).exists():
        (git_dir / WORKTREE_CONFIG).unlink()
        yield WORKTREE_CONFIG, "settings of a worktree can run programs"
    for name in _TODO_LISTS:
        if _drop_programs(git_dir / name):
            yield name, "its lines `exec` were dropped"
    if not _is_sound_head(quarantine):
        head = f"ref: refs/heads/{quarantine.branch}" if quarantine.branch else quarantine.tip
        (git_dir / "HEAD").write_text(f"{head}\n")
        yield "HEAD", "it named no branch of this worktree"


def _remove_odd_files(git_dir: Path) -> Iterator[tuple[str, str]]:
    """Remove links, pipes and sockets, through which git would write elsewhere or wait for ever."""
    for parent, folders, files in os.walk(git_dir):
        for name in [*folders, *files]:
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                path.unlink()
                yield str(path.relative_to(git_dir)), _ODD
    for name in filter(lambda name: (git_dir / name).is_dir(), _PLAIN_FILES):
        delete_folder(git_dir / name)
        yield name, _ODD


def _is_sound_head(quarantine: GitQuarantine) -> bool:
    """Return whether HEAD is a commit, the branch of the worktree, or one that did not exist before."""
    content = read_bounded(Path(quarantine.git.git_dir) / "HEAD", _MAX_REF_BYTES)
    if _COMMIT.fullmatch(content):
        return True
    ref = os.fsdecode(content).removesuffix("\n").removeprefix("ref: ")
    if ref == f"refs/heads/{quarantine.branch}":
        return True
    name = ref.removeprefix("refs/heads/")
    is_valid = name != ref and not branch_name_error(quarantine.git, name)
    return is_valid and not quarantine.git.resolve(ref)


def _drop_programs(todo: Path) -> bool:
    """Remove the lines of a rebase that run programs; return whether there were any."""
    content = read_bounded(todo, _MAX_LOG_BYTES) if todo.is_file() else b""
    lines = content.splitlines(keepends=True)
    kept = [line for line in lines if not _PROGRAM_LINE.match(line)]
    if len(kept) == len(lines):
        return False
    todo.write_bytes(b"".join(kept))
    return True


def _keep(git: Git, ref: str, commit: str) -> str:
    """Keep a commit under a ref of ours that nothing confuses with a branch or a tag; return it."""
    kept = f"refs/prunejuice/kept/{commit[:12]}/{ref.removeprefix('refs/')}"
    git.update_refs((kept, commit, git.resolve(kept)))
    return kept


def _find_control_files(git: Git, old: str, new: str, allowed: Sequence[str]) -> list[str]:
    """Return the control files that commits change, unless an older commit has the same content there."""
    if not old:
        return []
    words = git.run("diff-tree", "-r", "-z", "--no-renames", old, new, limit=1 << 28).split("\0")
    blobs = {path: meta.split(" ")[3] for meta, path in zip(words[::2], words[1::2], strict=False)}
    found = {path: blob for path, blob in blobs.items() if is_protected(path) and path not in allowed}
    if not found:
        return []
    known = [f"^{ref}" for ref, _ in _list_real_refs(git)]
    revisions = "\n".join([new, *known, ""]).encode()
    boundary = git.run("rev-list", "--boundary", "--stdin", given=revisions, limit=1 << 28).split()
    older = [commit[1:] for commit in boundary if commit.startswith("-")]
    return sorted(
        path
        for path, blob in found.items()
        if not any(_find_blob(git, commit, path) == blob for commit in older)
    )


def _find_blob(git: Git, commit: str, path: str) -> str:
    """Return the id of a file in a commit; zeros if it has none."""
    found = git.try_run("rev-parse", "--verify", "-q", f"{commit}:{path}").stdout.decode().strip()
    return found or "0" * len(commit)


def _list_real_refs(git: Git) -> list[tuple[str, str]]:
    listed = git.run("for-each-ref", "--format=%(refname) %(objectname)", limit=1 << 28).splitlines()
    return [(ref, commit) for ref, _, commit in (line.partition(" ") for line in listed)]


def _list_named_objects(quarantine: GitQuarantine) -> Iterator[str]:
    """Yield the objects that a worktree names besides refs: in its index, its log, half-done merges."""
    git_dir = Path(quarantine.git.git_dir)
    for name in _HEADS:
        yield from _read_plain(git_dir / name).split()
    for line in _read_plain(git_dir / "logs/HEAD").splitlines():
        yield from line.split(" ", 2)[1:2]
    entries = quarantine.git.try_run("ls-files", "-s", "-z", limit=1 << 28).stdout
    yield from (line.split(" ")[1] for line in os.fsdecode(entries).split("\0") if line)


def _read_plain(path: Path) -> str:
    """Return the text of a plain file; empty if there is none."""
    return read_bounded(path, _MAX_LOG_BYTES).decode("utf-8", "replace") if path.is_file() else ""


def _find_quarantined(quarantine: GitQuarantine, names: Iterable[str]) -> list[str]:
    """Return the objects that are in the quarantine and not in the repository."""
    wanted = sorted({text for name in names if _COMMIT.fullmatch(text := name.encode("ascii", "replace"))})
    new = _list_in_state(quarantine.git, wanted, is_missing=True)
    both = _with_quarantined(quarantine.git, quarantine.folder)
    return [name.decode() for name in _list_in_state(both, new, is_missing=False)]


def _list_in_state(git: Git, names: Sequence[bytes], *, is_missing: bool) -> list[bytes]:
    lines = _read_objects(git, names)
    return [line.split(b" ")[0] for line in lines if line.endswith(b" missing") == is_missing]


def _read_objects(git: Git, names: Sequence[bytes]) -> list[bytes]:
    """Return a line for each object: its name, type and size, or `missing`."""
    if not names:
        return []
    given = b"\n".join(names) + b"\n"
    return git.try_run("cat-file", "--batch-check", given=given, limit=1 << 28).stdout.splitlines()


def _with_quarantined(git: Git, folder: Path) -> Git:
    """Return git that also finds the objects of a quarantine."""
    source = _quote(str(folder / "objects"))
    return git._replace(environ={**git.environ, "GIT_ALTERNATE_OBJECT_DIRECTORIES": source})


def _move_ref(git: Git, ref: str, commit: str, old: str) -> None:
    """Move a ref, unless somebody else has moved it meanwhile: then keep the commit beside it."""
    try:
        git.update_refs((ref, commit, old))
    except GitError as error:
        kept, branch = _keep(git, ref, commit), ref.removeprefix("refs/heads/")
        problem = f"the branch {branch!r} could not be moved to {commit[:12]}, to which a step committed"
        if git.resolve(ref) != old:
            problem = (
                f"the branch {branch!r} moved while a step committed to it; its commit is {commit[:12]}"
            )
        raise GitError(problem, f"run `git merge {kept}` in {git.directory}") from error


def _import_objects(quarantine: GitQuarantine, commits: list[str]) -> None:
    """Copy the new objects of commits into the repository; git computes their names again."""
    git = quarantine.git
    both = _with_quarantined(git, quarantine.folder)
    known = [f"^{quarantine.tip}"] if quarantine.tip else []
    revisions = "\n".join([*commits, *known, ""]).encode()
    packed = both.try_run(
        "pack-objects", "--revs", "--stdout", "-q", given=revisions, timeout=_IMPORT_SECONDS, limit=1 << 30
    )
    if packed.code or packed.truncated:
        raise GitError(f"the commits of the sandbox cannot be read: {safe_line(packed.stderr, 300)}")
    git.run("index-pack", "--stdin", "--fix-thin", "--strict", given=packed.stdout, timeout=_IMPORT_SECONDS)
    git.run("rev-list", "--objects", "--quiet", *commits, *known, timeout=_IMPORT_SECONDS)


def _read_refs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the loose refs of a folder that hold a commit."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(OSError):
                content = read_bounded(path, _MAX_REF_BYTES)
                if _COMMIT.fullmatch(content):
                    yield f"refs/{path.relative_to(folder)}", content.strip()


def _list_alternates(objects: Path) -> list[bytes]:
    """Return the folders from which the objects of a repository borrow, as absolute paths."""
    with suppress(OSError):
        lines = (objects / "info/alternates").read_bytes().splitlines()
        return [os.fsencode(objects / os.fsdecode(line)) for line in lines if line[:1] not in {b"", b"#"}]
    return []


def list_borrowed_folders(git: Git) -> list[str]:
    """Return the folders from which the objects of a repository borrow."""
    return list(map(os.fsdecode, _list_alternates(Path(git.common, "objects"))))


def _reserve_worktree_config(git: Git) -> None:
    """Make the settings file of a worktree that git would read, so that it can be protected."""
    is_read = git.try_run("config", "--type=bool", "--get", "extensions.worktreeConfig").stdout
    if is_read.strip() == b"true":
        with suppress(FileExistsError):
            (Path(git.git_dir) / WORKTREE_CONFIG).touch(exist_ok=False)


def _quote(path: str) -> str:
    """Return a path as git reads it in a list of paths."""
    if ":" not in path and not path.startswith('"'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
