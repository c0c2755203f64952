"""The composition root: picks the alternatives, and says in one place how the parts fit together."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice import lifecycle, project, settings, trust
from prunejuice import plan as plans
from prunejuice.event import Event
from prunejuice.lifecycle import Tools
from prunejuice.loading import Catalog, Layer
from prunejuice.plan import Plan
from prunejuice.project import Project
from prunejuice.protocols import Handle, StepResult, Store
from prunejuice.run import Run
from prunejuice.settings import Settings
from prunejuice.steps.builtin import BUILTIN
from prunejuice.steps.carrier import Carrier
from prunejuice.stores.sqlite import SqliteStore

TEMPLATES = ("analyze-issue", "code-review", "feature-branch")


class App(NamedTuple):
    """What the front doors work with, for the project around one directory."""

    project: Project
    settings: Settings
    store: Store
    environ: Mapping[str, str]

    @property
    def catalog(self) -> Catalog:
        """The commands that can be run here."""
        return _catalog(self.project, self.environ)

    def tools(
        self,
        tell: Callable[[Run, Event], None] = lambda _run, _event: None,
        hear: Callable[[str, str], None] = lambda _step, _line: None,
    ) -> Tools:
        """What a driver works with."""
        carrier = Carrier(self.settings, self.environ, _step_file)
        return Tools(self.store, carrier, self.settings.home, _caller(self), tell, hear)


def open_app(directory: Path | None = None) -> App:
    """The parts, for the project around a directory (the current one when none is given).

    A project's own settings count only when the project is trusted.
    """
    environ = settings.environment()
    found = project.find(directory or Path.cwd())
    plain = settings.load(environ)
    store = SqliteStore(plain.home / "prunejuice.db")
    if found.config.is_file() and trust.standing(found, store).trusted:
        plain = settings.load(environ, found.config)
    return App(found, plain, store, environ)


def make_plan(
    app: App, name: str, given: Mapping[str, Any], directory: Path, worktree: bool | None
) -> Plan:
    """The plan of a command with arguments.

    Raises:
        UsageError: the command or its arguments are wrong.
    """
    command = app.catalog.load(name)
    return plans.make(
        command,
        given,
        project=str(app.project.root),
        directory=str(directory),
        commands_used=app.catalog.used_by(command),
        worktree=worktree,
    )


def _catalog(found: Project, environ: Mapping[str, str]) -> Catalog:
    own = settings.config_directory(environ) / "commands"
    layers = (
        Layer("project", found.commands),
        Layer("user", own),
        Layer("built-in", _builtin_commands()),
    )
    return Catalog(layers, found.steps, BUILTIN)


def _builtin_commands() -> Path:
    return Path(__file__).with_name("commands")


def _step_file(project_root: str, name: str) -> Path | None:
    return Catalog((), Project(Path(project_root)).steps, BUILTIN).step_file(name)


def _caller(app: App) -> lifecycle.Caller:
    """How a step runs another command: as a run of its own inside this one."""

    def call(handle: Handle, name: str, given: Mapping[str, Any]) -> StepResult:
        plan = plans.make(
            handle.plan.commands[name],
            given,
            project=handle.plan.project,
            directory=handle.workspace.directory,
            commands_used=handle.plan.commands,
            worktree=None if handle.plan.worktree else False,
        )
        return _called(app.tools(hear=lambda _step, line: handle.tell(line)), plan, handle)

    return call


def _called(tools: Tools, plan: Plan, handle: Handle) -> StepResult:
    """Drive the inner run: a new one, or the one that was cut off before."""
    key = f"{handle.run.id}/{handle.step.id}/{handle.visit}"
    run_id = hashlib.sha256(key.encode()).hexdigest()[:12]
    known = tools.store.history(run_id)
    if known:
        run = lifecycle.load(run_id, tools.store)
        if run.status != "completed":
            run = lifecycle.resume(run_id, tools, handle.stop)
    else:
        run = lifecycle.start(plan, tools, handle.stop, run_id=run_id, parent=handle.run.id)
    outputs = {"run": run.id, **{v.step: dict(v.outputs) for v in run.visits if v.outputs}}
    if run.status in {"waiting", "interrupted"}:
        blocked = run.blocked()
        message = blocked[0].error if blocked else "the inner run was cut off"
        fix = blocked[0].fix if blocked else ""
        return StepResult(ok=False, error=message, fix=fix, blocked=True, outputs=outputs)
    return StepResult(run.status == "completed", run.error, run.reason, None, outputs)


def initialise(found: Project) -> list[str]:
    """Make a project's folders and first commands; what was made. Nothing that is there is touched."""
    made = []
    for name in project.FOLDERS:
        folder = found.prj / name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            made.append(f".prj/{name}/")
    for name in TEMPLATES:
        target = found.commands / f"{name}.yaml"
        if not target.exists() and not target.is_symlink():
            text = (_builtin_commands() / f"{name}.yaml").read_bytes()
            target.write_bytes(text)
            made.append(f".prj/commands/{name}.yaml")
    return made
