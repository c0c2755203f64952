"""A branch made of differences, apart from every checkout, and its way to a remote."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import PublishError, UsageError
from prunejuice.git import Git
from prunejuice.hunk import Difference, Version
from prunejuice.text import safe_line

_LARGEST = 64_000_000
_RECEIVES = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack"
"""What takes a push, where that is a folder of this machine: its hooks may be the repository's own."""


class Remote(NamedTuple):
    """Another repository, by its name here and its address."""

    name: str
    url: str


def remote(git: Git, name: str = "") -> Remote:
    """The remote of a name, or the one that there is.

    Raises:
        UsageError: there is none, or there are several and none is called origin.
    """
    names = git.run("remote").split()
    wanted = name or ("origin" if "origin" in names else names[0] if len(names) == 1 else "")
    if wanted not in names:
        what = f"there is no remote {safe_line(name, 60)!r}" if name else "the repository has no remote"
        listed = f"--remote: {', '.join(names)}" if names else "git remote add origin URL"
        raise UsageError(what if not names or name else "there are several remotes", listed)
    url = git.run("remote", "get-url", "--push", wanted).strip()
    inside = _is_local(url) and _folder(git, url).is_relative_to(Path(git.directory).resolve())
    if url.startswith("-") or inside:
        why = "lies in the working tree itself" if inside else "is no address"
        raise UsageError(
            f"the remote {wanted} {why}: {safe_line(url, 100)}", f"git remote set-url {wanted} URL"
        )
    return Remote(wanted, url)


def _is_local(url: str) -> bool:
    """Whether an address is a folder of this machine, by git's own rule."""
    before, colon, _ = url.partition(":")
    return url.startswith("file://") or not colon or "/" in before


def _folder(git: Git, url: str) -> Path:
    return (Path(git.directory) / url.removeprefix("file://")).resolve()


def base(git: Git, to: Remote, name: str) -> tuple[str, str]:
    """The branch that changes are handed in for, and the commit where it is known to be.

    Raises:
        UsageError: there is no such branch.
    """
    wanted = name or _usual(git, to)
    for ref in (f"refs/remotes/{to.name}/{wanted}", f"refs/heads/{wanted}"):
        if commit := git.resolve(ref):
            return wanted, commit
    raise UsageError(f"there is no branch {safe_line(wanted, 80)!r}", "name the one to change: --base")


def _usual(git: Git, to: Remote) -> str:
    """The branch that a remote, or this repository, takes for its main one."""
    head = (
        git.try_("symbolic-ref", "--quiet", "--short", f"refs/remotes/{to.name}/HEAD").out.decode().strip()
    )
    if head:
        return head.removeprefix(f"{to.name}/")
    return next((name for name in ("main", "master") if git.resolve(f"refs/heads/{name}")), git.branch())


def seeing(git: Git, commit: str) -> Callable[[str], Version]:
    """What says what a commit has at a path."""
    files = git.apart(Path(git.git_dir) / "index", exact=True)

    def see(path: str) -> Version:
        listed = files.run("ls-tree", "-z", commit, "--", f":(literal){path}").strip("\0")
        mode, kind, blob = (*listed.partition("\t")[0].split(), "", "", "")[:3]
        if kind != "blob":
            return Version(None)
        done = files.try_("cat-file", "blob", blob, limit=_LARGEST)
        executable = 0o755 if mode == "100755" else 0o644
        return Version(done.out, executable, mode == "120000")

    return see


def commit(git: Git, parent: str, found: Sequence[Difference], message: str) -> str:
    """A commit on top of another in which files are what differences make of them; in no branch yet."""
    with tempfile.TemporaryDirectory(prefix="prj-index-") as folder:
        files = git.apart(Path(folder) / "index", exact=True)
        files.run("read-tree", parent)
        rows = []
        none = "0" * len(parent)
        for each in found:
            if each.new.data is None or each.to:
                rows.append(f"0 {none}\t{each.path}")
            if each.new.data is not None:
                blob = files.run(
                    "hash-object", "-w", "--no-filters", "--stdin", given=each.new.data
                ).strip()
                mode = "120000" if each.new.link else "100755" if each.new.mode & 0o100 else "100644"
                rows.append(f"{mode} {blob}\t{each.to or each.path}")
        given = b"".join(os.fsencode(row) + b"\0" for row in rows)
        files.run("update-index", "-z", "--index-info", given=given)
        tree = files.run("write-tree").strip()
    return git.commit(tree, (parent,), message, author=None)


def named(git: Git, wanted: str, onto: str, tip: str, *, exact: bool) -> str:
    """Have a branch at a commit; a taken name gets a number behind it, unless it has to be `exact`.

    One that was made before with the same files, commit by commit from `onto`, is taken as it is.

    Raises:
        UsageError: git takes no such name, or it is taken.
    """
    if git.try_("check-ref-format", "--branch", wanted).code:
        raise UsageError(f"{safe_line(wanted, 80)!r} is no name of a branch", "name another: --branch")
    for number in range(1, 100):
        name = wanted if number == 1 else f"{wanted}-{number}"
        there = git.resolve(f"refs/heads/{name}")
        if not there:
            git.move((f"refs/heads/{name}", tip, ""))
            return name
        if _same(git, onto, there, tip):
            return name
        if exact:
            break
    raise UsageError(
        f"there is a branch {safe_line(wanted, 80)} with something else", "name another: --branch"
    )


def _same(git: Git, onto: str, one: str, other: str) -> bool:
    """Whether two branches have the same files, commit by commit."""
    asked = ("log", "--format=%T", "--no-show-signature")
    return git.run(*asked, f"{onto}..{one}") == git.run(*asked, f"{onto}..{other}")


def push(git: Git, to: Remote, name: str) -> None:
    """Bring a branch to a remote, with the login that the user's own git has; no hook is run.

    Raises:
        PublishError: the remote refuses, or cannot be reached; the branch stays.
    """
    tip = git.resolve(f"refs/heads/{name}")
    local = [_RECEIVES] if _is_local(to.url) else []
    words = ("push", "--porcelain", *local, "--", to.url, f"{tip}:refs/heads/{name}")
    done = git.outwards().try_(*words, timeout=600)
    if done.code == 0:
        return
    said = done.err.decode("utf-8", "replace") + done.out.decode("utf-8", "replace")
    why = next(
        (line for line in said.splitlines() if line.startswith(("!", "fatal:", "remote:", "error:"))), said
    )
    raise PublishError(
        f"{safe_line(shown(to.url), 200)} did not take the branch {name}: {safe_line(why, 300)}",
        f"the branch {name} stays here, and what waits still waits; see to it, and do it again "
        f"(or git push {to.name} {name})",
    )


def shown(url: str) -> str:
    """An address without the login that may stand in it."""
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found and "@" in rest.partition("/")[0] else url
