"""Remove the sessions and clean worktrees of ended runs.

Worktrees with work that exists nowhere else are kept. `prj undo --list` shows how to restore what was
removed; after `trash_days` it is deleted for good.
"""

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.engine import driver
from prunejuice.engine.run import FINAL_STATUSES
from prunejuice.engine.view import RunSummary
from prunejuice.errors import PruneJuiceError
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import snapshot, tmux, trash, worktree


class CleanupAction(NamedTuple):
    """A removal that was done or would be done, or the reason (`why`) something was kept."""

    run: str
    what: str
    done: bool
    why: str = ""


@click.command("cleanup")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be removed, without removing it.")
@click.option(
    "--days",
    type=click.IntRange(0, 100_000),
    help="Also delete ended runs older than this many days, with their logs and artifacts.",
)
@json_option
def cleanup_command(*, dry_run: bool, days: int | None, as_json: bool) -> None:
    app = wiring.open_app()
    tools = app.build_runtime()
    driver.recover_lost_runs(tools)
    cleanup = _ProjectCleanup(app, tools, dry_run=dry_run)
    actions = [action for run in cleanup.ended for action in cleanup.clear_run(run)]
    if days is not None:
        before = time.time() - days * 86400
        old = [run for run in cleanup.ended if run.ended < before and not run.parent]
        actions += [cleanup.forget_run(run) for run in old]
    actions += cleanup.empty_trash()
    if as_json:
        items = [
            {key: value for key, value in action._asdict().items() if value != ""} for action in actions
        ]
        render.print_json("cleanup", items)
        return
    for action in actions:
        render.print_line(_format_action(action, dry_run=dry_run))
    if not actions:
        render.print_line("nothing to clean up")


def _format_action(action: CleanupAction, *, dry_run: bool) -> str:
    verb = "kept" if action.why else "would remove" if dry_run else "removed"
    why = f"  ({safe_line(action.why)})" if action.why else ""
    return f"{action.run[:8]}  {verb}  {safe_line(action.what, 300)}{why}"


class _ProjectCleanup:
    """The ended runs of a project, and the unfinished runs whose resources must be kept."""

    def __init__(self, app: wiring.App, tools: driver.Runtime, *, dry_run: bool) -> None:
        self.app = app
        self.tools = tools
        self.dry_run = dry_run
        lines = app.store.summaries(limit=100_000, children=True)
        project = str(app.project.root)
        self.ended = [x for x in lines if x.status in FINAL_STATUSES and x.project == project]
        self.children: dict[str, list[str]] = {}
        for line in lines:
            self.children.setdefault(line.parent, []).append(line.id)
        self.worktrees = {line.id: line.worktree for line in self.ended if line.worktree}
        self.live = [line for line in lines if line.status not in FINAL_STATUSES]

    @cached_property
    def sessions(self) -> Collection[str]:
        """The sessions that were created here."""
        listed = tmux.list_sessions(self.app.settings.tmux_socket)
        return {name for name, session in listed.items() if session.mark}

    def clear_run(self, line: RunSummary) -> Iterator[CleanupAction]:
        """Kill the session and remove the worktree of an ended run."""
        socket = self.app.settings.tmux_socket
        if line.session and line.session in self.sessions:
            why = "another run uses it" if any(other.session == line.session for other in self.live) else ""
            if not why and not self.dry_run:
                tmux.kill_session(line.session, socket)
            yield CleanupAction(line.id, f"session {line.session}", not (why or self.dry_run), why)
        if line.worktree and Path(line.worktree).is_dir():
            why = self.remove_worktree(line)
            yield CleanupAction(line.id, f"worktree {line.worktree}", not (why or self.dry_run), why)

    def remove_worktree(self, line: RunSummary) -> str:
        """Remove a worktree, or return why it is kept. A branch with commits of its own is kept."""
        path = Path(line.worktree)
        if any(Path(other.directory).is_relative_to(path) for other in self.live):
            return "another run uses it"
        try:
            git = gits.open_git(line.project, dict(self.app.environ)).locate()
            return worktree.remove(git, path, dry_run=self.dry_run).why
        except PruneJuiceError as error:
            return error.message

    def empty_trash(self) -> Iterator[CleanupAction]:
        """Delete expired backups from the trash, and worktrees that killed checks left behind."""
        try:
            git = gits.open_git(str(self.app.project.root), dict(self.app.environ)).locate()
        except PruneJuiceError:
            return
        before = time.time() - self.app.settings.trash_days * 86400
        for backup in trash.empty_trash(git, before, dry_run=self.dry_run):
            yield CleanupAction(backup.id, f"backup of {backup.what}", done=not self.dry_run)
        for path in worktree.remove_dead_checks(git, dry_run=self.dry_run):
            yield CleanupAction("check", f"worktree {path}", done=not self.dry_run)

    def run_and_descendants(self, run_id: str) -> Iterator[str]:
        """Yield the id of a run and of all runs inside it."""
        yield run_id
        for child in self.children.get(run_id, ()):
            yield from self.run_and_descendants(child)

    def forget_run(self, line: RunSummary) -> CleanupAction:
        """Delete the history and the folder of a run."""
        what = f"run {line.command}, with its logs and artifacts"
        family = set(self.run_and_descendants(line.id))
        worktrees = [self.worktrees[run_id] for run_id in family if run_id in self.worktrees]
        if any(Path(worktree_path).is_dir() for worktree_path in worktrees):
            return CleanupAction(line.id, what, done=False, why="its worktree still exists")
        if not self.dry_run:
            self.forget_snapshots(line, family)
            self.app.store.delete_run(line.id)
            for family_id in self.run_and_descendants(line.id):
                shutil.rmtree(self.tools.run_directory(family_id), ignore_errors=True)
        return CleanupAction(line.id, what, done=not self.dry_run)

    def forget_snapshots(self, line: RunSummary, family: set[str]) -> None:
        """Delete the snapshots of forgotten runs. The project itself may no longer exist."""
        with suppress(PruneJuiceError):
            git = gits.open_git(line.project, dict(self.app.environ)).locate()
            for run_id in family:
                snapshot.delete_snapshots(git, run_id)
