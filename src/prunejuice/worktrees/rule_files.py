"""Find the files outside of a working tree that decide which of its files a snapshot has."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.worktrees.file_stamps import Stamp, file_stamp
from prunejuice.worktrees.git import Git


class _Settings(NamedTuple):
    """The files with settings of git, their stamps, and the file of `core.excludesFile`, or ""."""

    files: tuple[str, ...]
    stamps: tuple[Stamp | None, ...]
    excludes: str


_settings_by_git_dir: dict[str, _Settings] = {}


def list_rule_files(git: Git) -> tuple[str, ...]:
    """Return the files, also missing ones: while their stamps are equal, the same files count."""
    found = _settings_by_git_dir.get(git.git_dir)
    if found is None or found.stamps != tuple(map(file_stamp, found.files)):
        found = _settings_by_git_dir[git.git_dir] = _read_settings(git)
    user = f"{_user_folder(git)}/git/ignore"
    files = (*found.files, f"{git.git_dir}/index", f"{git.common}/info/exclude", found.excludes or user)
    return (*files, *_head_files(git))


def _read_settings(git: Git) -> _Settings:
    """Ask git which files its settings come from; one can include others."""
    output = os.fsdecode(git.try_run("config", "--list", "--show-origin", "-z").stdout)
    origins = (
        field.removeprefix("file:") for field in output.split("\0")[::2] if field.startswith("file:")
    )
    usual = (
        f"{git.git_dir}/config.worktree",
        f"{git.common}/config",
        f"{git.environ.get('HOME', '')}/.gitconfig",
        f"{_user_folder(git)}/git/config",
        "/etc/gitconfig",
    )
    named = (git.environ.get("GIT_CONFIG_GLOBAL"), git.environ.get("GIT_CONFIG_SYSTEM"))
    paths = [*usual, *filter(None, named), *(_absolute(git, origin) for origin in origins)]
    answer = git.try_run("config", "--type=path", "--get", "core.excludesFile")
    excludes = os.fsdecode(answer.stdout).removesuffix("\n")
    files = tuple(dict.fromkeys(paths))
    return _Settings(files, tuple(map(file_stamp, files)), excludes and _absolute(git, excludes))


def _absolute(git: Git, path: str) -> str:
    return os.path.join(git.directory, path)  # noqa: PTH118 - an absolute path stays


def _user_folder(git: Git) -> str:
    return git.environ.get("XDG_CONFIG_HOME") or f"{git.environ.get('HOME', '')}/.config"


def _head_files(git: Git) -> tuple[str, ...]:
    """Return the files that change when HEAD moves."""
    branch = ""
    with suppress(OSError):
        branch = Path(git.git_dir, "HEAD").read_text().removeprefix("ref: ").strip()
    refs = (f"{git.common}/{branch}", f"{git.common}/packed-refs") if branch.startswith("refs/") else ()
    return (f"{git.git_dir}/HEAD", f"{git.git_dir}/logs/HEAD", *refs)
