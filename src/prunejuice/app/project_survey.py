"""Find out what a project is made of, from its files, its repository and the installed programs."""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice.code import languages
from prunejuice.environments import manifests
from prunejuice.errors import UsageError
from prunejuice.forges import branch
from prunejuice.forges.registry import find_forge
from prunejuice.verbs.verify import default_checks
from prunejuice.worktrees.git import Git

_AGENT_PROGRAMS = {"claude": "claude", "codex": "codex", "opencode": "acp:opencode", "gemini": "acp:gemini"}
"""Programs of agents, and the agent that uses each."""
_MAX_LANGUAGES = 3


class ProjectSurvey(NamedTuple):
    """What a project is made of; empty where nothing was found.

    `languages` has those with most files first, `managers` the programs that install packages. `check`
    runs the tests, `lint` and `types` are the commands of these tools. `base` is the branch that work
    starts from, `forge` the repository on a forge, `agents` are the agents that are installed.
    """

    languages: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    check: str = ""
    lint: str = ""
    types: str = ""
    base: str = ""
    forge: str = ""
    agents: tuple[str, ...] = ()


def find_installed_agents(environ: Mapping[str, str]) -> list[str]:
    """Return the agents whose programs are installed, the preferred first."""
    path = environ.get("PATH")
    return [agent for program, agent in _AGENT_PROGRAMS.items() if shutil.which(program, path=path)]


def survey_project(root: Path, git: Git | None, environ: Mapping[str, str]) -> ProjectSurvey:
    """Return what the project at `root` is made of; `git` is that of its repository, if it is in one.

    Nothing is executed besides git, and nothing is sent anywhere.
    """
    paths = _list_paths(root, git)
    counts = Counter(filter(None, map(languages.language_for_path, paths)))
    locks = manifests.find_lock_files(paths)
    base, forge = _find_forge(git, environ) if git else ("", "")
    return ProjectSurvey(
        tuple(name for name, _ in counts.most_common(_MAX_LANGUAGES)),
        tuple(dict.fromkeys(lock.installer.argv[0] for lock in locks)),
        default_checks.find_test_command(root),
        default_checks.find_default_check("lint", root),
        default_checks.find_default_check("fix-types", root),
        base,
        forge,
        tuple(find_installed_agents(environ)),
    )


def _list_paths(root: Path, git: Git | None) -> list[str]:
    """Return the files that git tracks below the root, or without git those at its top."""
    if git is None:
        return sorted(path.name for path in root.iterdir() if path.is_file())
    folder = os.path.relpath(root, git.directory)
    prefix = "" if folder == "." else f"{folder}/"
    return [path.removeprefix(prefix) for path in git.list_tracked() if path.startswith(prefix)]


def _find_forge(git: Git, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the base branch and the repository on its forge."""
    try:
        remote = branch.find_remote(git)
    except UsageError:
        return git.current_branch(), ""
    base = branch.find_default_branch(git, remote)
    try:
        return base, find_forge(remote.forge_url or remote.url, environ).title
    except UsageError:
        return base, ""
