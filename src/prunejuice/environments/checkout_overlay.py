"""Show a tree at the path of a checkout: processes read its files there, and write to a scratch folder.

Linux alone has this: an overlay in a mount namespace of the processes. Nothing has moved for them, so that
scripts, links, editable packages, generated files and git work as in the checkout, which stays as it is.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from prunejuice.environments.active_environment import list_named_environments
from prunejuice.environments.installed_packages import UV_ENVIRONMENT, find_package_folders
from prunejuice.system import process
from prunejuice.system.deletion import delete_folder
from prunejuice.system.untrusted_files import is_behind_link
from prunejuice.worktrees.git import Git

_FOLDERS = ("head", "tree", "main", "up", "work")
_MOUNT_SCRIPT = """
set -e
users_path=$PATH
PATH=/usr/bin:/bin:/usr/sbin:/sbin
cd "$1"; tree=$2 checkout=$3 folder=$4 count=$5; shift 5
mount --bind "$checkout" main
mount --bind "$tree" tree
number=0
for other; do
  [ $number -lt $count ] || break
  mount --bind "$other" other-$number/main
  number=$((number + 1))
done
mount -t overlay -o userxattr,lowerdir=head:tree:main,upperdir=up,workdir=work overlay "$checkout"
number=0
while [ $number -lt $count ]; do
  [ -d "$1" ] || { rm -f "$1"; mkdir "$1"; }
  cd other-$number
  mount -t overlay -o userxattr,lowerdir=head:main,upperdir=up,workdir=work overlay "$1"
  cd ..
  shift
  number=$((number + 1))
done
absent=$PWD/absent
absent_folders=$PWD/absent-folders
cd "$checkout"
xargs -0r rm -rf -- <"$absent"
xargs -0r rmdir -- <"$absent_folders" 2>/dev/null || true
cd "./$folder"
drop=$(command -v setpriv)
PATH=$users_path
"""
"""Mounts the layers of a scratch folder: by relative names, so that no path is quoted in options."""
_PROBE_SCRIPT = 'set -e; test -e own; test ! -e gone; rm -r both; mkdir both; test -z "$(ls both)"; : >new'
_NAMESPACES = (("-m",), ("-Um", "--map-current-user", "--keep-caps"))
"""Options of `unshare`: as root all owners keep their names; in a user namespace only the user does."""
_EXECUTE = {
    _NAMESPACES[0]: 'exec "$@"',
    _NAMESPACES[1]: 'exec "$drop" --inh-caps=-all --ambient-caps=-all -- "$@"',
}
_SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
"""Where the programs are that make an overlay; PATH may begin with folders of the repository."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


class GitHead(NamedTuple):
    """What git says in an overlay: the commit at HEAD, and the index file that belongs to it."""

    commit: str
    index_file: Path


class CheckoutOverlay(NamedTuple):
    """A tree at `root` that stands in for a checkout; `scratch` receives what processes write.

    `namespace` are the options of `unshare` that make the mount namespace. `files` are the files of the
    checkout that the tree replaces: those that it lacks are absent. Writes to the folders `others` reach
    the scratch folder too. With `head`, another commit is that of `git_dir`, in the git directory `common`.
    """

    root: Path
    checkout: Path
    scratch: Path
    namespace: tuple[str, ...]
    files: Collection[str]
    others: tuple[Path, ...] = ()
    git_dir: str = ""
    common: str = ""
    head: GitHead | None = None

    @contextmanager
    def enter(self, argv: Sequence[str], folder: str) -> Iterator[list[str]]:
        """Yield the arguments that run a program in a folder of the tree; delete then what it wrote."""
        self._make_layers()
        try:
            yield [*_mount_argv(self, folder), *argv]
        finally:
            delete_folder(self.scratch)

    def _make_layers(self) -> None:
        absent = self._absent_files()
        folders = _list_absent_folders(self.root, absent)
        caches = [f"{folder}/__pycache__" for folder in folders]
        _make_scratch(self.scratch, [*absent, *caches], folders, len(self.others))
        if self.head:
            number = self.others.index(Path(self.common))
            layer = self.scratch / f"other-{number}/head" / Path(self.git_dir).relative_to(self.common)
            layer.mkdir(parents=True, exist_ok=True)
            (layer / "HEAD").write_text(f"{self.head.commit}\n")
            shutil.copyfile(self.head.index_file, layer / "index")
        if (link := self.checkout / ".git").is_file():  # the tree may have one of its own
            shutil.copyfile(link, self.scratch / "head/.git")

    def with_head(self, head: GitHead) -> "CheckoutOverlay":
        """Return the overlay in which git has another commit at HEAD."""
        others = tuple(dict.fromkeys([*self.others, Path(self.common)]))
        return self._replace(head=head, others=others)

    def _absent_files(self) -> list[str]:
        """Return the files that the tree lacks, and give new stamps to those that could be mistaken.

        Compiled Python files are valid for a source of the same size and second.
        """
        absent = []
        for path in self.files:
            # Behind a link of the tree, a path would lead out of the checkout, to files of the user.
            if is_behind_link(self.root, path):
                continue
            own, other = _read_stat(self.root / path), _read_stat(self.checkout / path)
            if own is None:
                absent.append(path)
            elif (
                other and own.st_mtime_ns != other.st_mtime_ns and int(own.st_mtime) == int(other.st_mtime)
            ):
                os.utime(self.root / path, (own.st_atime + 2, own.st_mtime + 2), follow_symlinks=False)
        return absent


def open_overlay(
    root: Path,
    git: Git | None,
    checkout: Path,
    scratch: Path,
    files: Collection[str],
    environ: Mapping[str, str],
) -> CheckoutOverlay | None:
    """Return the overlay that shows the tree at `root` in place of a checkout, or None if none can be had.

    `git` is that of the checkout, if it is in a repository; `files` are the files of the checkout that the
    tree replaces. Active virtual environments and linked packages outside of the checkout are covered too.
    """
    git_dir, common = (Path(git.git_dir).resolve(), Path(git.common).resolve()) if git else (None, None)
    others = [*([common] if common else []), *_find_outside_packages(checkout, files, environ)]
    top = checkout.resolve()
    outside = tuple(dict.fromkeys(other for other in others if not other.is_relative_to(top)))
    covered = (checkout, *outside)
    if any(scratch.resolve().is_relative_to(folder.resolve()) for folder in covered):
        return None
    # A folder that contains the checkout would hide the tree.
    if any(top.is_relative_to(folder.resolve()) for folder in outside):
        return None
    namespace = find_namespace(scratch.parent)
    if not namespace or any(map(_has_mounts, covered)):
        return None
    if namespace == _NAMESPACES[1] and any(map(_has_other_owners, covered)):
        return None
    return CheckoutOverlay(
        root, checkout, scratch, namespace, files, outside, str(git_dir or ""), str(common or "")
    )


def _find_outside_packages(
    checkout: Path, files: Collection[str], environ: Mapping[str, str]
) -> Iterator[Path]:
    """Yield the folders of packages outside of a checkout that a check could write to."""
    folders = [*list_named_environments(environ), *filter(None, [environ.get(UV_ENVIRONMENT, "")])]
    named = dict.fromkeys((checkout / folder).resolve() for folder in folders)
    marks = ("pyvenv.cfg", "conda-meta")
    active = [path for path in named if any(os.access(path / mark, os.F_OK) for mark in marks)]
    links = (checkout / path for path in find_package_folders(checkout, files))
    linked = [link.resolve() for link in links if link.is_symlink()]
    yield from (folder for folder in (*active, *linked) if os.access(folder, os.W_OK))


@cache
def find_namespace(parent: Path) -> tuple[str, ...]:
    """Return the options of `unshare` with which an overlay works, found by trying them.

    `parent` is the folder for scratch folders: its file system has to support overlays. There are none if
    no overlay works.
    """
    programs = ("unshare", "setpriv", "mount", "xargs")
    if not all(shutil.which(name, path=_SYSTEM_PATH) for name in programs):
        return ()
    place = parent / f"overlay-probe-{os.getpid()}"
    for namespace in _NAMESPACES:
        try:
            if _try_namespace(namespace, place):
                return namespace
        except OSError:
            return ()
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return ()


def _try_namespace(namespace: tuple[str, ...], place: Path) -> bool:
    checkout, tree, scratch = place / "checkout", place / "tree", place / "scratch"
    for path in (checkout / "both/a", tree / "both/b", checkout / "gone", tree / "own"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    overlay = CheckoutOverlay(tree, checkout, scratch, namespace, ["gone"])
    with overlay.enter(["/bin/sh", "-c", _PROBE_SCRIPT], ".") as argv:
        call = process.ProcessSpec(argv, "/", {"PATH": _SYSTEM_PATH}, 30)
        passed = process.capture_output(call).code == 0
    return passed and not (checkout / "new").exists() and (checkout / "both/a").exists()


def _mount_argv(overlay: CheckoutOverlay, folder: str) -> list[str]:
    """Return the arguments that come before the program that runs in a folder."""
    unshare = process.require_program("unshare", _SYSTEM_PATH)
    script = _MOUNT_SCRIPT + _EXECUTE[overlay.namespace]
    places = (str(overlay.scratch), str(overlay.root), str(overlay.checkout), folder)
    others = (str(len(overlay.others)), *map(str, overlay.others))
    return [unshare, *overlay.namespace, "/bin/sh", "-c", script, "sh", *places, *others]


def _make_scratch(scratch: Path, absent: Collection[str], folders: Collection[str], count: int) -> None:
    delete_folder(scratch)
    for parent in ("", *(f"other-{number}" for number in range(count))):
        for name in _FOLDERS:
            (scratch / parent / name).mkdir(parents=True)
    for name, paths in (("absent", absent), ("absent-folders", folders)):
        (scratch / name).write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))


def _list_absent_folders(root: Path, absent: Collection[str]) -> list[str]:
    """Return the folders that a tree lacks and that had the absent files, the deepest first.

    Python would import an empty one, or one with caches, as a package.
    """
    folders = dict.fromkeys(str(parent) for path in absent for parent in Path(path).parents)
    gone = [folder for folder in folders if not os.path.lexists(root / folder)]
    return sorted(gone, key=lambda folder: -folder.count("/"))


def _read_stat(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        return os.lstat(path)
    return None


def _has_mounts(folder: Path) -> bool:
    """Return whether something is mounted below a folder: an overlay would hide it."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return True
    mounts = (_ESCAPED.sub(lambda match: chr(int(match[1], 8)), line.split(" ")[4]) for line in lines)
    return any(mount.startswith(f"{folder.resolve()}/") for mount in mounts)


def _has_other_owners(folder: Path) -> bool:
    """Return whether files at the top of a folder belong to others: nobody could write to their copies."""
    owner = (os.geteuid(), os.getegid())
    entries = [folder, *folder.iterdir()]
    return any((state.st_uid, state.st_gid) != owner for state in map(os.lstat, entries))
