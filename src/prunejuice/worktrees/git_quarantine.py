"""Let processes commit in a worktree that must not change the repository otherwise.

They see folders of a quarantine in place of the objects, refs and reflogs; the rest of the git directory is
read-only. Afterwards the commits of the worktree's branch are taken over. All else is left behind.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import GitError
from prunejuice.sandbox.policy import Bind
from prunejuice.system.private import make_private_folder
from prunejuice.system.untrusted_files import read_bounded
from prunejuice.text import safe_line
from prunejuice.worktrees.git import WORKTREE_CONFIG, Git
from prunejuice.worktrees.listing import parse_head, read_first_line

_REAL_OBJECTS = "/run/prunejuice/objects"
"""Where processes see the objects of the repository, from which the quarantine borrows."""
_OWN_REFS = "prunejuice"
_PROTECTED = ("commondir", "gitdir", WORKTREE_CONFIG, "locked", "modules", "hooks", "prunejuice")
"""Entries of the git directory of a worktree that decide what runs, or that are ours."""
_COMMIT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?\n?")
_MAX_REF_BYTES = 1000
_MAX_LOG_BYTES = 8 << 20
_IMPORT_SECONDS = 600


class GitQuarantine(NamedTuple):
    """The quarantine in `folder` for the worktree of `git`, on `branch`, which was at `tip`."""

    folder: Path
    git: Git
    branch: str
    tip: str
    refs: Mapping[str, bytes]

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
    return GitQuarantine(folder, git, branch, git.resolve("HEAD"), dict(_read_refs(folder / "refs")))


def reopen_quarantine(git: Git, folder: Path) -> GitQuarantine | None:
    """Return the quarantine that a process left behind in a folder when its driver died, if any."""
    if not (folder / "objects").is_dir():
        return None
    branch = git.current_branch()
    return GitQuarantine(folder, git, branch, git.resolve(f"refs/heads/{branch}") if branch else "", {})


def take_over(quarantine: GitQuarantine) -> list[str]:
    """Take over the commits of the worktree's branch, or of the new branch that it is on.

    Return the names of other refs that the processes wanted to change.

    Raises:
        GitError: git failed, or the commits are not whole.
    """
    git, folder = quarantine.git, quarantine.folder
    for name in ("alternates", "http-alternates"):  # they could lead to the objects of other repositories
        (folder / "objects/info" / name).unlink(missing_ok=True)
    after = dict(_read_refs(folder / "refs"))
    own = f"refs/heads/{quarantine.branch}" if quarantine.branch else ""
    detached, branch = parse_head(read_first_line(Path(git.git_dir) / "HEAD"))
    wanted = {own, f"refs/heads/{branch}" if branch else ""}
    moved = {
        ref: after[ref].decode()
        for ref in filter(None, wanted)
        if ref in after and (ref == own or not git.resolve(ref)) and after[ref].decode() != git.resolve(ref)
    }
    loose = [detached] if detached and detached != quarantine.tip else []
    if wanted_commits := [*moved.values(), *loose, *_list_new_positions(quarantine)]:
        _import_objects(quarantine, list(dict.fromkeys(wanted_commits)))
    for ref, commit in moved.items():
        _move_ref(git, ref, commit, quarantine.tip if ref == own else "")
    changed = (ref for ref in after.keys() | quarantine.refs.keys() if ref not in moved)
    return sorted(ref for ref in changed if quarantine.refs and after.get(ref) != quarantine.refs.get(ref))


def _list_new_positions(quarantine: GitQuarantine) -> list[str]:
    """Return the commits at which HEAD was meanwhile, such as one that was amended: its log names them."""
    lines = read_bounded(Path(quarantine.git.git_dir) / "logs/HEAD", _MAX_LOG_BYTES).splitlines()
    named = {words[1] for words in (line.split(b" ", 2) for line in lines) if len(words) > 1}
    commits = sorted(name for name in named if _COMMIT.fullmatch(name))
    new = [line for line in _read_objects(quarantine.git, commits) if line.endswith(b" missing")]
    borrowed = _with_quarantined(quarantine.git, quarantine.folder)
    there = _read_objects(borrowed, [line.split(b" ")[0] for line in new])
    return [line.split(b" ")[0].decode() for line in there if line.split(b" ")[1:2] == [b"commit"]]


def _read_objects(git: Git, names: Sequence[bytes]) -> list[bytes]:
    """Return a line for each object: its name, type and size, or `missing`."""
    if not names:
        return []
    return git.try_run("cat-file", "--batch-check", given=b"\n".join(names) + b"\n").stdout.splitlines()


def _with_quarantined(git: Git, folder: Path) -> Git:
    """Return git that also finds the objects of a quarantine."""
    source = _quote(str(folder / "objects"))
    return git._replace(environ={**git.environ, "GIT_ALTERNATE_OBJECT_DIRECTORIES": source})


def _move_ref(git: Git, ref: str, commit: str, old: str) -> None:
    """Move a ref, unless somebody else has moved it meanwhile: then keep the commit beside it."""
    try:
        git.update_refs((ref, commit, old))
    except GitError as error:
        kept = f"refs/prunejuice/kept/{commit[:12]}"
        git.update_refs((kept, commit, git.resolve(kept)))
        branch = ref.removeprefix("refs/heads/")
        problem = f"the branch {branch!r} moved while a step committed to it; its commit is {commit[:12]}"
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
