"""`pots`: sessions by hand. Only sessions that we made are ever called orphans, or killed."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click

import prunejuice
from prunejuice import git as gits
from prunejuice import process, project, settings
from prunejuice.cli import boundary, render
from prunejuice.errors import (
    DeniedError,
    MissingToolError,
    NotFoundError,
    PruneJuiceError,
    UsageError,
)
from prunejuice.text import nearest, safe_line
from prunejuice.view import stamp
from prunejuice.workspaces import tmux
from prunejuice.workspaces.tmux import Mark, Session

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(prunejuice.__version__, "--version", message="PruneJuice %(version)s")
def pots() -> None:
    """Make, list, attach and end tmux sessions for worktrees."""


def _socket() -> str:
    return settings.load(settings.environment()).tmux_socket


def _known(name: str) -> Session:
    """The session of a name.

    Raises:
        NotFoundError: there is none.
    """
    if not tmux.is_installed():
        raise MissingToolError("tmux is not installed", "install tmux 3.2 or newer")
    there = tmux.sessions(_socket())
    if name not in there:
        hint = nearest(name, there) or "pots list shows them"
        raise NotFoundError(f"there is no session {safe_line(name, 100)!r}", hint)
    return there[name]


@pots.command("create")
@click.argument("directory", metavar="DIR")
@click.argument("task", required=False, default="", metavar="[TASK]")
@click.option("-t", "--task", "named", default="", help="What it is for  [POTS_DEFAULT_TASK, or dev].")
@click.option("--no-attach", is_flag=True, help="Leave it in the background.")
@_JSON
def create_command(*, directory: str, task: str, named: str, no_attach: bool, as_json: bool) -> None:
    """Make a session that starts in DIR, called project-worktree-task, and attach to it."""
    if task and named:
        raise UsageError("the task is given twice", "as [TASK] or with -t")
    environ = settings.environment()
    given = settings.shell_tools(environ, "pots")
    path = Path(os.path.normpath(Path(directory).expanduser().absolute()))
    if not path.is_dir():
        raise UsageError(
            f"there is no directory {safe_line(str(path), 300)!r}", "plum list shows worktrees"
        )
    task = named or task or str(given.get("POTS_DEFAULT_TASK") or "dev")
    owner = _project(path)
    name = tmux.session_name(owner, path.resolve().name, task)
    made = tmux.create(name, str(path), _socket(), Mark(owner, str(path), task))
    if as_json:
        render.json("session", {"name": name, "directory": str(path), "task": task, "created": made})
        return
    word = "Created" if made else "Found"
    render.out(safe_line(f"{word} session '{name}' for worktree '{path}'", 400))
    render.out(f"Session created: {name}")
    auto = str(given.get("POTS_AUTO_ATTACH", "true")) == "true"
    if auto and not no_attach and sys.stdin.isatty() and sys.stdout.isatty():
        process.become(tmux.attach(name, _socket(), environ), environ)


def _project(path: Path) -> str:
    """The name of the main worktree around a directory, or of the directory itself."""
    try:
        git = gits.git(path, dict(settings.environment())).located()
        return Path(git.main or git.common).name
    except PruneJuiceError:
        return project.find(path).root.name


@pots.command("list")
@click.argument("pattern", required=False, default="")
@click.option("-v", "--verbose", is_flag=True, help="Where each works, since when, whether somebody looks.")
@click.option("-f", "--filter", "wanted", default="", metavar="PATTERN", help="A regular expression.")
@_JSON
def list_command(*, pattern: str, verbose: bool, wanted: str, as_json: bool) -> None:
    """List sessions, those of others too."""
    try:
        match = re.compile(wanted or pattern)
    except re.error as error:
        raise UsageError(
            f"{safe_line(wanted or pattern, 80)!r} is no regular expression: {error}", "put a \\ before it"
        ) from error
    found = [each for name, each in sorted(tmux.sessions(_socket()).items()) if match.search(name)]
    if as_json:
        render.json("sessions", [_item(each) for each in found])
        return
    if not found:
        render.say("No tmux sessions found")
    for each in found:
        for line in _lines(each) if verbose else (each.name,):
            render.out(safe_line(line, 400))


def _lines(each: Session) -> tuple[str, ...]:
    where = each.mark.directory if each.mark else "(not made by pots)"
    return (
        f"Session: {each.name}",
        f"  Working Directory: {where}",
        f"  Created: {stamp(each.created)}",
        f"  Attached: {'Yes' if each.attached else 'No'}",
    )


def _item(each: Session) -> dict[str, Any]:
    about = {
        "name": each.name,
        "created": stamp(each.created),
        "attached": each.attached,
        "ours": bool(each.mark),
    }
    if each.mark is None:
        return about
    more = {"project": each.mark.project, "directory": each.mark.directory, "task": each.mark.task}
    return {**about, **more, "run": each.mark.run or None, "orphan": _is_orphan(each)}


@pots.command("attach")
@click.argument("name")
def attach_command(*, name: str) -> None:
    """Bring this terminal to a session; leave it again with Ctrl-b d."""
    _known(name)
    environ = settings.environment()
    argv = tmux.attach(name, _socket(), environ)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("attaching needs a terminal", f"the words are: {shlex.join(argv)}")
    process.become(argv, environ)


@pots.command("kill")
@click.argument("name")
@click.option("-f", "--force", is_flag=True, help="Without asking.")
def kill_command(*, name: str, force: bool) -> None:
    """End a session of ours."""
    if _known(name).mark is None:
        words = ["tmux", *(["-L", _socket()] if _socket() else []), "kill-session", "-t", f"={name}"]
        raise DeniedError(f"session {name!r} was not made by pots", shlex.join(words))
    if not force and not click.confirm(f"Are you sure you want to kill session '{name}'?", err=True):
        render.out("Cancelled")
        return
    tmux.kill(name, _socket())
    render.out(f"Killed session '{name}'")


def _is_orphan(each: Session) -> bool:
    return each.mark is not None and not Path(each.mark.directory).is_dir()


@pots.command("cleanup")
@click.option("-p", "--project", "wanted", default="", help="Only sessions of this project.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say which.")
@click.option("-y", "--yes", is_flag=True, help="Without asking.")
@_JSON
def cleanup_command(*, wanted: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """End the sessions of ours whose folder is gone."""
    every = tmux.sessions(_socket()).values()
    found = [e for e in every if _is_orphan(e) and e.mark and wanted in {"", e.mark.project}]
    if not found and not as_json:
        render.out("No orphaned sessions found")
        return
    if not as_json:
        render.out("Found orphaned sessions:")
        for each in found:
            render.out(safe_line(f"  - {each.name}"))
    sure = yes or dry_run or (found and click.confirm("Kill them?", err=True))
    ended = [each.name for each in found if sure and not dry_run and tmux.kill(each.name, _socket())]
    if as_json:
        render.json("cleanup", [{"name": each.name, "killed": each.name in ended} for each in found])
    elif not dry_run:
        render.out(f"Killed {len(ended)} sessions" if ended else "Cancelled")


def main() -> None:
    """The entry point of the script."""
    sys.exit(boundary.guarded(pots))
