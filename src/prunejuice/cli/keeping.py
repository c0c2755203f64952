"""The commands that keep house: cleanup, doctor."""

import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

import prunejuice
from prunejuice import app as apps
from prunejuice import git as gits
from prunejuice import lifecycle, process, trust
from prunejuice.cli import render
from prunejuice.errors import PruneJuiceError, StoreError
from prunejuice.run import ENDED
from prunejuice.stores.sqlite import SqliteStore
from prunejuice.text import safe_line
from prunejuice.view import Summary
from prunejuice.workspaces import tmux, worktree

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


class Deed(NamedTuple):
    """Something cleared away, or kept and why."""

    run: str
    what: str
    done: bool
    why: str = ""


@click.command("cleanup")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--days",
    type=click.IntRange(0, 100_000),
    help="Also forget ended runs older than this, with their logs and artifacts.",
)
@_JSON
def cleanup_command(*, dry_run: bool, days: int | None, as_json: bool) -> None:
    """Clear away the sessions and clean worktrees of ended runs. Work that is nowhere else is kept."""
    app = apps.open_app()
    tools = app.tools()
    lifecycle.recover(tools)
    lines = app.store.summaries(statuses=sorted(ENDED), project=str(app.project.root), limit=100_000)
    deeds = [deed for line in lines for deed in _cleared(app, line, dry_run=dry_run)]
    if days is not None:
        old = [line for line in lines if line.ended < time.time() - days * 86400]
        deeds += [_forgotten(app, tools, line, dry_run=dry_run) for line in old]
    if as_json:
        items = [{k: v for k, v in deed._asdict().items() if v != ""} for deed in deeds]
        render.json("cleanup", items)
        return
    for deed in deeds:
        word = "kept" if deed.why else "would clear" if dry_run else "cleared"
        render.out(f"{deed.run[:8]}  {word}  {safe_line(deed.what)}" + (f"  ({deed.why})" * bool(deed.why)))
    if not deeds:
        render.out("nothing to clear away")


def _cleared(app: apps.App, line: Summary, *, dry_run: bool) -> Iterator[Deed]:
    if line.session and tmux.exists(line.session, app.settings.tmux_socket):
        done = not dry_run and tmux.kill(line.session, app.settings.tmux_socket)
        yield Deed(line.id, f"session {line.session}", done)
    if line.worktree and Path(line.worktree).is_dir():
        yield _worktree(app, line, dry_run=dry_run)


def _worktree(app: apps.App, line: Summary, *, dry_run: bool) -> Deed:
    """Remove the worktree of an ended run; its branch stays when it holds anything."""
    what = f"worktree {line.worktree}"
    try:
        git = gits.git(line.project, dict(app.environ))
        base = lifecycle.load(line.id, app.store).workspace.base
        path = Path(line.worktree)
        if dry_run:
            why = "" if git.at(path).is_clean() else worktree.DIRTY
        else:
            why = worktree.remove(git, path, line.branch, base)
    except PruneJuiceError as error:
        why = error.message
    return Deed(line.id, what, not dry_run and not why, why)


def _forgotten(app: apps.App, tools: lifecycle.Tools, line: Summary, *, dry_run: bool) -> Deed:
    if line.worktree and Path(line.worktree).is_dir():
        return Deed(line.id, "run", done=False, why="its worktree is still there")
    if not dry_run:
        app.store.forget(line.id)
        shutil.rmtree(tools.directory(line.id), ignore_errors=True)
    return Deed(line.id, f"run {line.command}, with its logs and artifacts", done=not dry_run)


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    fix: str = ""


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Put a damaged history aside and start a new one.")
@_JSON
def doctor_command(*, repair: bool, as_json: bool) -> int:
    """Check that everything needed is there and well."""
    app = apps.open_app()
    checks = [*_tools(app), _store(app, repair=repair), *_project(app), *_settings(app)]
    if as_json:
        render.json("doctor", [{k: v for k, v in c._asdict().items() if v != ""} for c in checks])
    else:
        for row in render.columns(_row(check) for check in checks):
            render.out(row)
    return 0 if all(check.ok for check in checks) else 1


def _row(check: Check) -> tuple[str, ...]:
    word = click.style("ok", fg="green") if check.ok else click.style("no", fg="red")
    return (word, check.name, safe_line(check.found), check.fix and f"fix: {check.fix}")


def _tools(app: apps.App) -> Iterator[Check]:
    yield Check("prunejuice", ok=True, found=prunejuice.__version__)
    yield Check("python", ok=True, found=f"{platform.python_version()} on {platform.platform()}")
    for name, flag, needed in (
        ("git", "--version", True),
        ("bash", "--version", True),
        ("tmux", "-V", False),
    ):
        try:
            program = process.which(name, app.environ.get("PATH"))
            call = process.Call([program, flag], "/", app.environ, timeout=5)
            yield Check(name, ok=True, found=process.capture(call).out.decode().split("\n")[0])
        except PruneJuiceError as error:
            found = error.message if needed else "not installed: runs go on without sessions"
            yield Check(name, ok=not needed, found=found, fix=error.fix)


def _store(app: apps.App, *, repair: bool) -> Check:
    path = app.settings.home / "prunejuice.db"
    store = SqliteStore(path)
    try:
        fault = store.check()
    except StoreError as error:
        fault = error.message
    if fault and repair:
        return Check("history", ok=True, found=f"was damaged; kept as {store.put_aside()}")
    if fault:
        return Check("history", ok=False, found=fault, fix="prj doctor --repair keeps a copy, starts anew")
    return Check("history", ok=True, found=f"{path} ({len(store.summaries(limit=100_000))} runs)")


def _project(app: apps.App) -> Iterator[Check]:
    found = app.project
    if not found.prj.is_dir():
        yield Check("project", ok=True, found=f"{found.root} has no .prj", fix="prj init makes one")
        return
    trusted = trust.standing(found, app.store).trusted
    word = "trusted" if trusted else "not trusted"
    yield Check("project", ok=trusted, found=f"{found.root} ({word})", fix="" if trusted else "prj trust")
    for listed in app.catalog.listed():
        try:
            app.catalog.used_by(app.catalog.load(listed.name))
        except PruneJuiceError as error:
            yield Check(f"command {listed.name}", ok=False, found=error.message, fix=error.fix)


def _settings(app: apps.App) -> Iterator[Check]:
    for name, value in app.settings._asdict().items():
        if name != "sources":
            source = app.settings.sources.get(name, "default")
            yield Check(f"setting {name}", ok=True, found=f"{value} ({source})")
