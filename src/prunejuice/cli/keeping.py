"""The commands that keep house: cleanup, doctor."""

import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click

import prunejuice
from prunejuice import app as apps
from prunejuice import git as gits
from prunejuice import lifecycle, process, settings, trust
from prunejuice.cli import render
from prunejuice.errors import DamagedError, PruneJuiceError, StoreError
from prunejuice.run import ENDED
from prunejuice.stores.sqlite import SqliteStore
from prunejuice.text import safe_line
from prunejuice.view import Summary
from prunejuice.workspaces import listing, snapshot, tmux, trash, worktree

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
    """Clear away the sessions and clean worktrees of ended runs. Work that is nowhere else is kept.

    What is removed can be had back for a while (prj undo --list); after trash_days it goes for good.
    """
    app = apps.open_app()
    tools = app.tools()
    lifecycle.recover(tools)
    house = _House(app, tools, dry_run=dry_run)
    deeds = [deed for line in house.ended for deed in house.cleared(line)]
    if days is not None:
        before = time.time() - days * 86400
        old = [line for line in house.ended if line.ended < before and not line.parent]
        deeds += [house.forgotten(line) for line in old]
    deeds += house.trash()
    if as_json:
        items = [{k: v for k, v in deed._asdict().items() if v != ""} for deed in deeds]
        render.json("cleanup", items)
        return
    for deed in deeds:
        render.out(_told(deed, dry_run=dry_run))
    if not deeds:
        render.out("nothing to clear away")


def _told(deed: Deed, *, dry_run: bool) -> str:
    word = "kept" if deed.why else "would clear" if dry_run else "cleared"
    why = f"  ({safe_line(deed.why)})" if deed.why else ""
    return f"{deed.run[:8]}  {word}  {safe_line(deed.what, 300)}{why}"


class _House:
    """The runs of a project that are over, and what those that are not still use."""

    def __init__(self, app: apps.App, tools: lifecycle.Tools, *, dry_run: bool) -> None:
        self.app = app
        self.tools = tools
        self.dry_run = dry_run
        lines = app.store.summaries(limit=100_000, children=True)
        project = str(app.project.root)
        self.ended = [x for x in lines if x.status in ENDED and x.project == project]
        self.inside = {line.id: [x.id for x in lines if x.parent == line.id] for line in lines}
        self.live = [line for line in lines if line.status not in ENDED]

    def cleared(self, line: Summary) -> Iterator[Deed]:
        """End the session and remove the worktree of a run that is over."""
        socket = self.app.settings.tmux_socket
        if line.session and tmux.exists(line.session, socket):
            why = "another run uses it" if any(x.session == line.session for x in self.live) else ""
            if not why and not self.dry_run:
                tmux.kill(line.session, socket)
            yield Deed(line.id, f"session {line.session}", not (why or self.dry_run), why)
        if line.worktree and Path(line.worktree).is_dir():
            why = self.kept_or_removed(line)
            yield Deed(line.id, f"worktree {line.worktree}", not (why or self.dry_run), why)

    def kept_or_removed(self, line: Summary) -> str:
        """Why a worktree stays; nothing when it goes. Its branch stays when it holds anything."""
        path = Path(line.worktree)
        if any(Path(other.directory).is_relative_to(path) for other in self.live):
            return "another run uses it"
        try:
            git = gits.git(line.project, dict(self.app.environ)).located()
            if not self.dry_run:
                return worktree.remove(git, path).why
            entry = next(iter(listing.entries(git, path)), None)
            return listing.unsaved(git.bound(path, entry.git_dir)) if entry else ""
        except PruneJuiceError as error:
            return error.message

    def trash(self) -> Iterator[Deed]:
        """Empty what has been in the trash for long enough, and what a killed check left behind."""
        try:
            git = gits.git(str(self.app.project.root), dict(self.app.environ)).located()
        except PruneJuiceError:
            return
        before = time.time() - self.app.settings.trash_days * 86400
        for old in trash.empty(git, before, dry_run=self.dry_run):
            yield Deed(old.id, f"backup of {old.what}", done=not self.dry_run)
        for path in worktree.dead_checks(git, dry_run=self.dry_run):
            yield Deed("check", f"worktree {path}", done=not self.dry_run)

    def family(self, run_id: str) -> Iterator[str]:
        """A run and all inside it."""
        yield run_id
        for each in self.inside.get(run_id, ()):
            yield from self.family(each)

    def forgotten(self, line: Summary) -> Deed:
        """Remove the history of a run, and its folder."""
        what = f"run {line.command}, with its logs and artifacts"
        family = set(self.family(line.id))
        trees = [x.worktree for x in self.ended if x.id in family and x.worktree]
        if any(Path(tree).is_dir() for tree in trees):
            return Deed(line.id, what, done=False, why="its worktree is still there")
        if not self.dry_run:
            self.forget_snapshots(line, family)
            self.app.store.forget(line.id)
            for each in self.family(line.id):
                shutil.rmtree(self.tools.directory(each), ignore_errors=True)
        return Deed(line.id, what, done=not self.dry_run)

    def forget_snapshots(self, line: Summary, family: set[str]) -> None:
        """Let go of the files of runs that are forgotten; their project may be gone."""
        with suppress(PruneJuiceError):
            git = gits.git(line.project, dict(self.app.environ)).located()
            for each in family:
                snapshot.forget(git, each)


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
    environ = settings.environment()
    checks = [*_tools(environ), _store(settings.home(environ), repair=repair)]
    for look in (_project, _settings):
        try:
            checks += look(apps.open_app())
        except PruneJuiceError as error:
            checks.append(Check(look.__name__[1:], ok=False, found=error.message, fix=error.fix))
    if as_json:
        render.json("doctor", [{k: v for k, v in c._asdict().items() if v != ""} for c in checks])
    else:
        for row in render.columns(_row(check) for check in checks):
            render.out(row)
    return 0 if all(check.ok for check in checks) else 1


def _row(check: Check) -> tuple[str, ...]:
    word = click.style("ok", fg="green") if check.ok else click.style("no", fg="red")
    fix = safe_line(f"fix: {check.fix}") if check.fix else ""
    return (word, safe_line(check.name), safe_line(check.found), fix)


def _tools(environ: Mapping[str, str]) -> Iterator[Check]:
    yield Check("prunejuice", ok=True, found=prunejuice.__version__)
    yield Check("python", ok=True, found=f"{platform.python_version()} on {platform.platform()}")
    for name, flag, needed in (
        ("git", "--version", True),
        ("bash", "--version", True),
        ("tmux", "-V", False),
    ):
        try:
            path = environ.get("PATH")
            program = gits.git("/", dict(environ)).program if name == "git" else process.which(name, path)
            call = process.Call([program, flag], "/", environ, timeout=5)
            yield Check(name, ok=True, found=process.capture(call).out.decode().split("\n")[0])
        except PruneJuiceError as error:
            found = error.message if needed else "not installed: runs go on without sessions"
            yield Check(name, ok=not needed, found=found, fix=error.fix)


def _store(home: Path, *, repair: bool) -> Check:
    store = SqliteStore(home / "prunejuice.db")
    try:
        fault = store.check()
        if not fault:
            count = len(store.summaries(limit=100_000))
            return Check("history", ok=True, found=f"{store.path} ({count} runs)")
    except DamagedError as error:
        fault = error.message
    except StoreError as error:
        return Check("history", ok=False, found=error.message, fix=error.fix)
    if repair:
        return Check("history", ok=True, found=f"was damaged; kept as {store.put_aside()}")
    return Check("history", ok=False, found=fault, fix="prj doctor --repair keeps a copy, starts anew")


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
