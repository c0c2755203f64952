"""Make the policy of a sandbox in which the code of a tree is executed."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from prunejuice.edits.protected_files import is_protected
from prunejuice.environments import outside_paths
from prunejuice.errors import UsageError
from prunejuice.sandbox.home_folder import list_caches, list_hidden, list_tools
from prunejuice.sandbox.permissions import Containment
from prunejuice.sandbox.policy import GitAccess, GivenFile, Policy, is_below
from prunejuice.sandbox.sandbox import TEMPORARY
from prunejuice.system import settings
from prunejuice.system.untrusted_files import read_small_text
from prunejuice.text import safe_line
from prunejuice.worktrees import git_quarantine
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.git_quarantine import GitQuarantine
from prunejuice.worktrees.waiting_changes import find_git_dir

_TEMPORARY_FOLDERS = (TEMPORARY, "/var/tmp")  # noqa: S108 - replaced by private ones
_MANIFEST_DEPTH = 3
_NO_MANIFESTS = frozenset({".git", "node_modules", ".venv", "venv", "target", "__pycache__"})
_MAX_LINKS = 40
_MAX_PROTECTED = 1000
"""How many control files are mounted; bubblewrap takes no more. Later ones are looked at afterwards."""
_GIT_SETTING = re.compile(
    r"(user\.(name|email)|core\.(autocrlf|eol|safecrlf|excludesfile|attributesfile|quotepath|precomposeunicode)"
    r"|init\.defaultbranch|filter\..*|merge\..*|diff\..*|pull\..*|rebase\..*|branch\..*|status\..*|commit\.(cleanup|verbose))"
)


class TreeAccess(NamedTuple):
    """A tree that processes may write to, at the path where they see it, and what else they need.

    `checkout` is where its packages may be. `write`, `read`, `hidden` and `protected` (read-only) are
    further paths. `quarantine` lets them commit. `given` are files in private folders. `covers_git` says
    that writes to git directories are thrown away.
    """

    tree: Path
    checkout: Path
    environ: Mapping[str, str]
    write: Sequence[str] = ()
    read: Sequence[str] = ()
    hidden: Sequence[str] = ()
    protected: Sequence[str] = ()
    git: Git | None = None
    quarantine: GitQuarantine | None = None
    given: Sequence[GivenFile] = ()
    covers_git: bool = False


def make_policy(containment: Containment, access: TreeAccess) -> Policy:
    """Return the policy of processes that work in a tree.

    Raises:
        UsageError: the tree, or what is allowed, would show the whole home folder.
    """
    home = os.path.realpath(access.environ.get("HOME") or Path("~").expanduser())
    tree = os.path.realpath(access.tree)
    allow = containment.allow
    git_dir = [access.quarantine.git.git_dir] if access.quarantine else []
    write = [tree, *_real((*git_dir, *access.write)), *_resolve(allow.write, home, tree)]
    read = [*_real(access.read), *_resolve(allow.read, home, tree)]
    for path in (*write, *read):
        _require_below_home(path, home)
    hidden = _list_hidden(access)
    private = _list_private(access, home)
    covered = (*hidden, *private, *write)

    # A tool below the tree, such as its virtual environment, is as writable as the tree.
    tools = (path for path in list_tools(home, access.environ) if not _is_covered(path, write))
    beside = _find_beside(access, home)
    visible = (*tools, *_find_shown_folders(access, home), *map(os.path.realpath, beside), *read)
    protected = (*_real(access.protected), *_list_protected(access, tree))
    caches = (path for path in list_caches(home, access.environ) if not _is_covered(path, write))
    policy = Policy(
        write=tuple(dict.fromkeys(write)),
        read=tuple(dict.fromkeys((*(path for path in visible if _is_covered(path, covered)), *protected))),
        hidden=hidden,
        scratch=tuple(path for path in caches if _is_covered(path, covered) and path not in read),
        private=private,
        given=(*_list_given(access), *_git_identity(access, home)),
        binds=tuple(access.quarantine.list_binds()) if access.quarantine else (),
        hosts=allow.host_rules() if containment.mode == "files+net" else None,
        ports=allow.ports(),
        git=_git_access(access),
        limits=containment.limits,
    )
    return policy._replace(links=tuple(_find_hidden_links(access, beside, policy)))


def _is_covered(path: str, folders: Iterable[str]) -> bool:
    return any(is_below(path, folder) for folder in folders)


def _find_beside(access: TreeAccess, home: str) -> list[str]:
    """Return the folders outside of a tree that its manifests name, such as `../x`."""
    found = outside_paths.find_outside_folders(access.tree, _list_manifests(str(access.tree)))
    paths = [os.path.normpath(access.tree / path) for path in found]
    return [path for path in paths if not is_below(home, os.path.realpath(path))]


def _list_manifests(tree: str) -> Iterator[str]:
    """Yield the manifests at the top of a tree and a few folders below it."""
    for folder, names, files in os.walk(tree):
        relative = os.path.relpath(folder, tree)
        depth = 0 if relative == "." else relative.count(os.sep) + 1
        names[:] = [name for name in names if depth < _MANIFEST_DEPTH and name not in _NO_MANIFESTS]
        yield from (f"{relative}/{name}" for name in outside_paths.MANIFESTS.intersection(files))


def _list_hidden(access: TreeAccess) -> tuple[str, ...]:
    """Return what is hidden: folders of others, our own state and settings, and what the tree needs not."""
    ours = (settings.state_directory(access.environ), settings.config_directory(access.environ))
    return tuple(dict.fromkeys((*list_hidden(map(str, ours)), *_real(access.hidden))))


def _list_private(access: TreeAccess, home: str) -> tuple[str, ...]:
    """Return the folders that a process has for itself: the home folder, and those for temporary files."""
    temporary = (*_TEMPORARY_FOLDERS, access.environ.get("TMPDIR", ""))
    return tuple(dict.fromkeys((home, *_real(temporary))))


def _list_given(access: TreeAccess) -> Iterator[GivenFile]:
    return (GivenFile(os.path.realpath(file.target), file.content) for file in access.given)


def _git_access(access: TreeAccess) -> GitAccess:
    return "commit" if access.quarantine else "none"


def _require_below_home(path: str, home: str) -> None:
    if is_below(home, path):
        raise UsageError(
            f"a sandbox cannot show {safe_line(path, 200)}: your home folder with its keys is in it",
            "work in a worktree or in a folder below it, or use `sandbox: off`",
        )


def _real(paths: Iterable[str]) -> list[str]:
    return [os.path.realpath(path) for path in paths if path and os.path.lexists(path)]


def _resolve(paths: Iterable[str], home: str, tree: str) -> list[str]:
    """Return the real paths that a person named: in the home folder, absolute or relative to the tree."""
    full = (os.path.join(tree, home + path[1:] if path.split("/")[0] == "~" else path) for path in paths)  # noqa: PTH118
    return [os.path.realpath(path) for path in full]


def _find_shown_folders(access: TreeAccess, home: str) -> Iterator[str]:
    """Yield what the tree refers to: its checkout, its repository, and repositories that lends objects."""
    checkout = os.path.realpath(access.checkout)
    if not is_below(home, checkout):
        yield checkout
    if access.git:
        borrowed = git_quarantine.list_borrowed_folders(access.git)
        yield from _real([access.git.common, *borrowed])


def _list_protected(access: TreeAccess, tree: str) -> Iterator[str]:
    """Yield what must not change in a tree although it is writable: git's files, and control files."""
    if access.covers_git:
        return
    if os.path.lexists(link := os.path.join(tree, ".git")):  # noqa: PTH118 - many strings
        yield link
        if access.git is None:
            yield from _real([str(find_git_dir(Path(tree)))])
    if access.quarantine:
        yield from access.quarantine.list_protected()
    tracked = access.git.list_tracked() if access.git else []
    names = (*(entry.name for entry in os.scandir(tree)), *tracked)
    protected = dict.fromkeys(filter(None, map(_protected_part, names)))
    for name in islice(protected, _MAX_PROTECTED):
        path = os.path.join(tree, name)  # noqa: PTH118
        if os.access(path, os.F_OK) and not os.path.islink(path):  # noqa: PTH114
            yield path


def _protected_part(name: str) -> str:
    """Return the outermost part of a path that is a control file or a folder of them, or ""."""
    if not is_protected(name):
        return ""
    parts = name.split("/")
    heads = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((head for head in heads if is_protected(head)), "")


def _git_identity(access: TreeAccess, home: str) -> Iterator[GivenFile]:
    """Yield the part of a user's configuration of git that decides about files and commits.

    Credentials, remote addresses and programs that are started with keys are left out.
    """
    if access.quarantine is None:
        return
    git = access.quarantine.git
    listed = git.try_run("config", "--global", "--includes", "--list", "-z").stdout
    entries = (entry.partition("\n") for entry in os.fsdecode(listed).split("\0") if entry)
    settings = [(name, value) for name, _, value in entries if _GIT_SETTING.fullmatch(name)]
    text = "".join(_format_setting(name, value) for name, value in settings)
    yield GivenFile(f"{home}/.gitconfig", os.fsencode(text))
    folder = access.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    named = [value for name, value in settings if name in {"core.excludesfile", "core.attributesfile"}]
    own = [home + path[1:] if path.startswith("~/") else path for path in named]
    for path in (*own, f"{folder}/git/ignore", f"{folder}/git/attributes"):
        if is_below(os.path.realpath(path), home) and (
            content := read_small_text(Path(path), follow_link=True)
        ):
            yield GivenFile(os.path.realpath(path), content.encode())


def _format_setting(name: str, value: str) -> str:
    section, _, key = name.rpartition(".")
    head, _, subsection = section.partition(".")
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    escaped = subsection.replace("\\", "\\\\").replace('"', '\\"')
    label = f'{head} "{escaped}"' if subsection else head
    return f'[{label}]\n\t{key} = "{quoted}"\n'


def _find_hidden_links(
    access: TreeAccess, beside: Sequence[str], policy: Policy
) -> Iterator[tuple[str, str]]:
    """Yield the symbolic links, in paths of a tree, that folders which the sandbox empties would lack."""
    own = (str(access.tree), str(access.checkout), access.environ.get("HOME", ""))
    paths = (*own, *access.write, *access.read, *beside)
    found: dict[str, str] = {}
    pending = [path for path in paths if path.startswith("/") and os.path.realpath(path) != path]
    for _ in range(_MAX_LINKS):
        if not pending:
            break
        path = pending.pop()
        parts = Path(path).parts
        prefixes = (Path(*parts[:count]) for count in range(2, len(parts) + 1))
        link = next((prefix for prefix in prefixes if os.path.islink(prefix)), None)  # noqa: PTH114
        if link is None:
            continue
        target = str(link.readlink())
        parent = os.path.realpath(link.parent)
        if not policy.is_visible(parent):
            found[f"{parent}/{link.name}"] = target
        rest = Path(path).relative_to(link)
        pending.append(os.path.normpath(Path(parent, target, rest)))
    yield from found.items()
