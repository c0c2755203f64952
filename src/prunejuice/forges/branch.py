"""Create a branch from file differences, without a checkout, and push it to a remote."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice.edits.diff import FileDiff, Version
from prunejuice.errors import PublishError, UsageError
from prunejuice.forges.remote_url import parse_remote_url
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.user_commit import commit_as_user

_MAX_BLOB_BYTES = 64_000_000
_RECEIVE_PACK = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack"
"""Disables the hooks of a remote that is a local folder, which git would run as the user."""


_UPSTREAM = "upstream"


class Remote(NamedTuple):
    """A git remote: its name, its push URL, and the URL that says on which forge it is."""

    name: str
    url: str
    forge_url: str = ""


def find_remote(git: Git, name: str = "") -> Remote:
    """Return the remote of a name; by default `origin`, or the only one.

    Raises:
        UsageError: the remote does not exist, the choice is ambiguous, or the URL is unsafe.
    """
    names = git.run("remote").split()
    chosen = name or ("origin" if "origin" in names else names[0] if len(names) == 1 else "")
    if chosen not in names:
        problem = (
            f"remote {safe_line(name, 60)!r} does not exist" if name else "the repository has no remote"
        )
        fix = (
            f"choose one with --remote: {', '.join(names)}" if names else "run `git remote add origin URL`"
        )
        raise UsageError(problem if not names or name else "the repository has several remotes", fix)
    url = git.run("remote", "get-url", "--push", chosen).strip()
    is_inside = _is_local(url) and _local_folder(git, url).is_relative_to(Path(git.directory).resolve())
    if url.startswith("-") or is_inside:
        fault = "is inside the working tree" if is_inside else "has an invalid URL"
        raise UsageError(
            f"the remote {chosen} {fault}: {safe_line(url, 100)}", f"run `git remote set-url {chosen} URL`"
        )
    fetch_url = git.run("remote", "get-url", chosen).strip()
    return Remote(chosen, url, fetch_url if _is_local(url) else url)


def find_upstream(git: Git, remote: Remote) -> Remote:
    """Return the remote that pull requests go to: `upstream`, if it is on the host of the fork.

    Raises:
        UsageError: its URL is unsafe.
    """
    if remote.name == _UPSTREAM or _UPSTREAM not in git.run("remote").split():
        return remote
    upstream = find_remote(git, _UPSTREAM)
    hosts = [parse_remote_url(each.forge_url or each.url) for each in (remote, upstream)]
    is_same = all(hosts) and len({host.host for host in hosts if host}) == 1
    return upstream if is_same else remote


def _is_local(url: str) -> bool:
    """Return whether a URL is a local folder, by git's own rule."""
    before, colon, _ = url.partition(":")
    return url.startswith("file://") or not colon or "/" in before


def _local_folder(git: Git, url: str) -> Path:
    return (Path(git.directory) / url.removeprefix("file://")).resolve()


def find_base(git: Git, remote: Remote, name: str) -> tuple[str, str]:
    """Return the base branch of a submission and its commit; the remote's branch comes first.

    Raises:
        UsageError: the branch does not exist.
    """
    chosen = name or find_default_branch(git, remote)
    for ref in (f"refs/remotes/{remote.name}/{chosen}", f"refs/heads/{chosen}"):
        if commit := git.resolve(ref):
            return chosen, commit
    raise UsageError(f"branch {safe_line(chosen, 80)!r} does not exist", "name the base branch with --base")


def find_default_branch(git: Git, remote: Remote) -> str:
    """Return the default branch of a remote, or else that of this repository."""
    ref = f"refs/remotes/{remote.name}/HEAD"
    head = git.try_run("symbolic-ref", "--quiet", "--short", ref).stdout.decode().strip()
    if head:
        return head.removeprefix(f"{remote.name}/")
    return next(
        (name for name in ("main", "master") if git.resolve(f"refs/heads/{name}")), git.current_branch()
    )


def commit_file_reader(
    git: Git, commit: str, bases: Callable[[str], Sequence[bytes]] = lambda _path: ()
) -> Callable[[str], Version]:
    """Return a function that returns the file at a path of a commit, as a checkout has it.

    `bases` returns contents that a file of the tree had: one that git stores as the file of the commit is
    returned as it is, since a filter need not give back the bytes that it stored.
    """
    files = git.with_clean_config(Path(git.git_dir) / "index")

    def see(path: str) -> Version:
        entry = files.run("ls-tree", "-z", commit, "--", f":(literal){path}").strip("\0")
        mode, kind, blob = (*entry.partition("\t")[0].split(), "", "", "")[:3]
        if kind != "blob":
            return Version(None)
        permissions = 0o755 if mode == "100755" else 0o644
        for base in bases(path):
            if mode != "120000" and _stored_blob(files, path, base) == blob:
                return Version(base, permissions)
        # As in a checkout, with the line endings and filters that the files of the changes have.
        filtered = ("cat-file", "--filters", f"--path={path}", blob)
        content = ("cat-file", "blob", blob) if mode == "120000" else filtered
        result = files.try_run(*content, limit=_MAX_BLOB_BYTES)
        if result.code:
            raise PublishError(
                f"git could not read {safe_line(path, 120)}: {safe_line(result.stderr, 300)}",
                "see that the filter of the file works, such as git-lfs or git-crypt",
            )
        return Version(result.stdout, permissions, mode == "120000")

    return see


def find_submodule(git: Git, commit: str, path: str) -> str:
    """Return the submodule of a commit that a path lies in; empty if it lies in none."""
    parts = path.split("/")
    folders = [f":(literal){'/'.join(parts[:count])}" for count in range(1, len(parts))]
    listed = git.run("ls-tree", "-z", commit, "--", *folders) if folders else ""
    modules = [entry.partition("\t")[2] for entry in listed.split("\0") if entry.startswith("160000 ")]
    return modules[0] if modules else ""


def _stored_blob(files: Git, path: str, content: bytes) -> str:
    """Return the id of the blob that git stores for a content at a path."""
    return files.run("hash-object", f"--path={path}", "--stdin", given=content).strip()


def commit_differences(git: Git, parent: str, differences: Sequence[FileDiff], message: str) -> str:
    """Create a commit on `parent` with the differences applied, in no branch, as the user; return it."""
    return commit_as_user(git, write_differences(git, parent, differences), (parent,), message)


def write_differences(git: Git, parent: str, differences: Sequence[FileDiff]) -> str:
    """Return the tree of a commit with differences applied."""
    with tempfile.TemporaryDirectory(prefix="prj-index-") as folder:
        files = git.with_clean_config(Path(folder) / "index")
        files.run("read-tree", parent)
        rows = []
        zero = "0" * len(parent)
        for diff in differences:
            if diff.new.data is None or diff.to:
                rows.append(f"0 {zero}\t{diff.path}")
            if diff.new.data is not None:
                name = diff.to or diff.path
                # What `git add` would store: filters and line endings are those of the path.
                how = "--no-filters" if diff.new.link else f"--path={name}"
                blob = files.run("hash-object", "-w", how, "--stdin", given=diff.new.data).strip()
                mode = "120000" if diff.new.link else "100755" if diff.new.mode & 0o100 else "100644"
                rows.append(f"{mode} {blob}\t{diff.to or diff.path}")
        stdin = b"".join(os.fsencode(row) + b"\0" for row in rows)
        files.run("update-index", "-z", "--index-info", given=stdin)
        return files.run("write-tree").strip()


def create_branch(
    git: Git, base_name: str, onto: str, tip: str, *, exact: bool, continued: str = ""
) -> str:
    """Create a branch at `tip` and return its name; one that is at the commit `continued` moves on.

    A name in use gets a number appended, or is refused if `exact`. An existing branch with the same files,
    commit by commit from `onto`, is reused.

    Raises:
        UsageError: the name is invalid or in use.
    """
    if git.try_run("check-ref-format", "--branch", base_name).code:
        raise UsageError(
            f"{safe_line(base_name, 80)!r} is not a valid branch name", "choose another name with --branch"
        )
    for number in range(1, 100):
        name = base_name if number == 1 else f"{base_name}-{number}"
        existing = git.resolve(f"refs/heads/{name}")
        if not existing:
            git.update_refs((f"refs/heads/{name}", tip, ""))
            return name
        if continued and existing == continued:
            git.update_refs((f"refs/heads/{name}", tip, continued))
            return name
        if _is_same_history(git, onto, existing, tip):
            return name
        if exact:
            break
    raise UsageError(
        f"branch {safe_line(base_name, 80)!r} already exists with other content",
        "choose another name with --branch",
    )


def _is_same_history(git: Git, onto: str, left: str, right: str) -> bool:
    """Return whether two branches have the same trees, commit by commit."""
    arguments = ("log", "--format=%T", "--no-show-signature")
    return git.run(*arguments, f"{onto}..{left}") == git.run(*arguments, f"{onto}..{right}")


def push_branch(git: Git, remote: Remote, name: str) -> None:
    """Push a branch to a remote with the user's git credentials; no hook runs.

    Raises:
        PublishError: the remote rejected the branch or is unreachable; the local branch stays.
    """
    tip = git.resolve(f"refs/heads/{name}")
    local = [_RECEIVE_PACK] if _is_local(remote.url) else []
    # The URL, not the name: the clean configuration of `with_network` has no remotes.
    arguments = ("push", "--porcelain", *local, "--", remote.url, f"{tip}:refs/heads/{name}")
    result = git.with_network().try_run(*arguments, timeout=600)
    if result.code == 0:
        return
    output = result.stderr.decode("utf-8", "replace") + result.stdout.decode("utf-8", "replace")
    reason = next(
        (line for line in output.splitlines() if line.startswith(("!", "fatal:", "remote:", "error:"))),
        output,
    )
    raise PublishError(
        f"could not push branch {name} to {safe_line(redact_url(remote.url), 200)}: "
        f"{safe_line(reason, 300)}",
        f"the local branch {name} and the pending change sets are kept; fix the problem and try again, "
        f"or run `git push {remote.name} {name}`",
    )


def redact_url(url: str) -> str:
    """Return a URL without its user name and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator and "@" in rest.partition("/")[0] else url
