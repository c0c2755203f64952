"""Check that the tools, the store and the settings are in order."""

import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from prunejuice.app import wiring
from prunejuice.app.extension_points import extension_points
from prunejuice.cli import plan_view, render
from prunejuice.cli.options import json_option
from prunejuice.engine import trust
from prunejuice.engine.stores.registry import open_sqlite
from prunejuice.environments import checkout_overlay, equipment
from prunejuice.errors import DamagedStoreError, MissingToolError, PruneJuiceError, StoreError
from prunejuice.sandbox import permissions
from prunejuice.sandbox.programs.registry import find_program
from prunejuice.system import process, settings
from prunejuice.text import safe_line
from prunejuice.version import __version__
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import oplog, worktree


class HealthCheck(NamedTuple):
    """The result of one check."""

    name: str
    ok: bool
    found: str
    fix: str = ""


@click.command("doctor")
@click.option(
    "--repair",
    is_flag=True,
    help="Set a damaged history aside and start a new one; finish interrupted operations.",
)
@click.option("--equip", is_flag=True, help="Show what a new worktree gets from this checkout.")
@json_option
def doctor_command(*, repair: bool, equip: bool, as_json: bool) -> int:
    environ = settings.environment()
    checks = [*_check_tools(environ), _check_store(settings.state_directory(environ), repair=repair)]
    checks += _check_extensions()
    project_checks: dict[str, Callable[[wiring.App], Iterator[HealthCheck]]] = {
        "project": _check_project,
        "settings": _check_settings,
        "operations": partial(_check_operations, repair=repair),
        "checks": _check_overlay,
        "sandbox": _check_sandbox,
        **({"equip": _check_equipment} if equip else {}),
    }
    for name, check in project_checks.items():
        try:
            checks += check(wiring.open_app())
        except PruneJuiceError as error:
            checks.append(HealthCheck(name, ok=False, found=error.message, fix=error.fix))
    if as_json:
        render.print_json(
            "doctor",
            [{key: value for key, value in item._asdict().items() if value != ""} for item in checks],
        )
    else:
        for row in render.align_columns(_check_row(check) for check in checks):
            render.print_line(row)
    return 0 if all(check.ok for check in checks) else 1


def _check_row(check: HealthCheck) -> tuple[str, ...]:
    label = click.style("ok", fg="green") if check.ok else click.style("no", fg="red")
    fix = safe_line(f"fix: {check.fix}") if check.fix else ""
    return (label, safe_line(check.name), safe_line(check.found), fix)


def _check_tools(environ: Mapping[str, str]) -> Iterator[HealthCheck]:
    yield HealthCheck("prunejuice", ok=True, found=__version__)
    yield HealthCheck("python", ok=True, found=f"{platform.python_version()} on {platform.platform()}")
    for name, flag, needed in (
        ("git", "--version", True),
        ("bash", "--version", True),
        ("tmux", "-V", False),
    ):
        try:
            path = environ.get("PATH")
            program = (
                gits.open_git("/", dict(environ)).program
                if name == "git"
                else process.require_program(name, path)
            )
            spec = process.ProcessSpec([program, flag], "/", environ, timeout=5)
            yield HealthCheck(
                name, ok=True, found=process.capture_output(spec).stdout.decode().split("\n")[0]
            )
        except PruneJuiceError as error:
            found = error.message if needed else "not installed: runs work without sessions"
            yield HealthCheck(name, ok=not needed, found=found, fix=error.fix)


def _check_store(home: Path, *, repair: bool) -> HealthCheck:
    store = open_sqlite(home, {})
    try:
        problem = store.check_integrity()
        if not problem:
            count = len(store.summaries(limit=100_000))
            return HealthCheck("history", ok=True, found=f"{store.path} ({count} runs)")
    except DamagedStoreError as error:
        problem = error.message
    except StoreError as error:
        return HealthCheck("history", ok=False, found=error.message, fix=error.fix)
    if repair:
        return HealthCheck(
            "history", ok=True, found=f"was damaged; kept as {store.set_aside_damaged_file()}"
        )
    return HealthCheck(
        "history",
        ok=False,
        found=problem,
        fix="run `prj doctor --repair` to keep a copy and start a new history",
    )


def _check_extensions() -> Iterator[HealthCheck]:
    """Yield the alternatives of each kind, and import those of other packages to see that they work."""
    for point in extension_points():
        extensions = list(point.list_all())
        names = ", ".join(extension.name for extension in extensions if not extension.package)
        kind = point.group.rpartition(".")[2]
        if names:
            yield HealthCheck(kind, ok=True, found=names)
        for extension in filter(lambda each: each.package, extensions):
            name, found = f"{kind} {extension.name}", f"{extension.target} ({extension.package})"
            try:
                point.load(extension.name)
                yield HealthCheck(name, ok=True, found=found)
            except PruneJuiceError as error:
                fix = f"update or uninstall {extension.package.split()[0]}"
                yield HealthCheck(name, ok=False, found=f"{found}: {error.message}", fix=fix)


def _check_operations(app: wiring.App, *, repair: bool) -> Iterator[HealthCheck]:
    """Yield the operations on branches and worktrees that were interrupted; finish them to repair."""
    git = gits.open_git(app.project.root, dict(app.environ))
    if not git.is_repository():
        return
    located = git.locate()
    interrupted = oplog.open_log(located).interrupted_operations()
    if interrupted and repair:
        with worktree.lock_worktrees(located):
            pass  # whoever takes the lock finishes what was interrupted
        names = ", ".join(f"{operation.kind} of {operation.what}" for operation in interrupted)
        yield HealthCheck("operations", ok=True, found=f"finished: {names}")
        return
    for operation in interrupted:
        found = f"interrupted: {operation.kind} of {operation.what}"
        yield HealthCheck("operations", ok=False, found=found, fix="finish it: prj doctor --repair")


def _check_overlay(app: wiring.App) -> Iterator[HealthCheck]:
    """Yield where checks of copies and merges run."""
    found = "run in copies of the checkout"
    if not app.settings.overlay:
        found += " (setting overlay)"
    elif checkout_overlay.find_namespace(Path(tempfile.gettempdir())):
        found = "run at the path of the checkout, in an overlay that keeps their writes"
    yield HealthCheck("checks", ok=True, found=found)


def _check_sandbox(app: wiring.App) -> Iterator[HealthCheck]:
    """Yield whether a sandbox can be made, found by trying; it is a fault only if one was asked for."""
    try:
        program = find_program(app.settings.sandbox_program, app.environ)
    except MissingToolError as error:
        is_needed = permissions.read_settings(app.settings).is_on
        yield HealthCheck("sandbox", ok=not is_needed, found=error.message, fix=error.fix)
        return
    found = f"{program.name} works; {plan_view.sandbox_text(permissions.read_settings(app.settings))}"
    yield HealthCheck("sandbox", ok=True, found=found)


def _check_equipment(app: wiring.App) -> Iterator[HealthCheck]:
    """Yield what a new worktree gets from the checkout."""
    git = gits.open_git(app.project.root, dict(app.environ))
    supplies = equipment.preview_equipment(git, app.environ, app.settings)
    for supply in supplies:
        yield HealthCheck("equip", ok=supply.kind != "missing", found=str(supply))
    if not supplies:
        yield HealthCheck("equip", ok=True, found="nothing: the checkout has no packages and no .env")


def _check_project(app: wiring.App) -> Iterator[HealthCheck]:
    checked = app.project
    if not checked.prj.is_dir():
        yield HealthCheck(
            "project", ok=True, found=f"{checked.root} has no .prj", fix="run `prj init` to create it"
        )
        return
    trusted = trust.trust_state(checked, app.trust_store).is_trusted
    state = "trusted" if trusted else "not trusted"
    yield HealthCheck(
        "project", ok=trusted, found=f"{checked.root} ({state})", fix="" if trusted else "run `prj trust`"
    )
    for entry in app.catalog.command_entries():
        try:
            app.catalog.dependencies(app.catalog.load(entry.name))
        except PruneJuiceError as error:
            yield HealthCheck(f"command {entry.name}", ok=False, found=error.message, fix=error.fix)


def _check_settings(app: wiring.App) -> Iterator[HealthCheck]:
    for name, value in app.settings._asdict().items():
        if name != "sources":
            source = app.settings.sources.get(name, "default")
            yield HealthCheck(f"setting {name}", ok=True, found=f"{value} ({source})")
