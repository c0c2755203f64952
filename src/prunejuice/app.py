"""The composition root: picks the alternatives, and says in one place how the parts fit together."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from prunejuice import lifecycle, process, project, settings, trust
from prunejuice import plan as plans
from prunejuice.command import Command
from prunejuice.errors import DefinitionError, NotFoundError, UsageError
from prunejuice.event import Event, PersonCalled, StepEnded
from prunejuice.lifecycle import Tools
from prunejuice.loading import Catalog, Layer
from prunejuice.plan import Plan
from prunejuice.project import Project
from prunejuice.protocols import Handle, StepResult, Stop, Store
from prunejuice.run import Run
from prunejuice.settings import Settings
from prunejuice.steps.builtin import BUILTIN
from prunejuice.steps.carrier import Carrier
from prunejuice.stores.sqlite import SqliteStore
from prunejuice.workflow import Step, Workflow

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

    def step_file(self, project_root: str, name: str) -> Path | None:
        """The script of a step, if there is one, with exactly the bytes that were trusted.

        Raises:
            DeniedError: it was changed since.
        """
        place = Project(Path(project_root))
        path = Catalog((), place.steps, BUILTIN).step_file(name)
        if path is not None:
            trust.demand_file(place, path, self.store)
        return path

    def extension(self, project_root: str, name: str) -> Any:
        """The command that Python code registered under a name: of the trusted project, or of a package.

        Raises:
            DefinitionError: that code fails.
        """
        from prunejuice import extension, vocabulary  # noqa: PLC0415 - only where there is such code

        place = Project(Path(project_root))
        files = extension.files_of(place)
        if files and trust.standing(place, self.store).trusted:
            try:
                extension.load(files)
            except DefinitionError:  # what is broken keeps nobody from a verb that is ours
                if extension.registered(name) is None and not vocabulary.is_built_in(name):
                    raise
        if extension.registered(name) is None:
            extension.load_installed(name)
        return extension.registered(name)

    def tools(
        self,
        tell: Callable[[Run, Event], None] = lambda _run, _event: None,
        hear: Callable[[str, str], None] = lambda _step, _line: None,
        *,
        terminal: bool = False,
    ) -> Tools:
        """What a driver works with; `terminal` says that ours is free for a person to work in."""
        carrier = Carrier(self.settings, self.environ, self.step_file, self.extension, terminal=terminal)
        return Tools(self.store, carrier, self.settings.home, _caller(self), tell, hear)


def open_app(directory: Path | None = None) -> App:
    """The parts, for the project around a directory (the current one when none is given).

    A project's own settings count only when the project is trusted.
    """
    environ = settings.environment()
    found = project.find(directory or project.here())
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
    made = plans.make(
        command,
        given,
        project=str(app.project.root),
        directory=str(directory),
        commands_used=app.catalog.used_by(command),
        worktree=worktree,
    )
    for each in (command, *made.commands.values()):
        for step in each.workflow.steps.values():
            _demand_verb(app, step)
    return structs.replace(made, watched=False)


def _demand_verb(app: App, step: Step) -> None:
    """That what a step lets an agent do is no verb that is misspelt.

    Raises:
        UsageError: there is no such verb.
    """
    if not step.agent:
        return
    from prunejuice import vocabulary  # noqa: PLC0415 - only where there is such a step

    try:
        vocabulary.find(step.agent, app.project, app.environ)
    except NotFoundError as error:
        from prunejuice import extension  # noqa: PLC0415 - only where it may be of Python

        if not error.fix.startswith("did you mean"):  # an earlier step may write it, or a person does it
            return
        own = extension.files_of(app.project) or app.extension(str(app.project.root), step.agent)
        if not own:  # code of a project is looked at when it runs
            raise UsageError(f"step {step.id}: {error.message}", error.fix) from error


def drive_apart(app: App, run: Run) -> None:
    """Have a run that was made driven by a process of its own, which outlives us."""
    argv = [*process.OURSELVES, "resume", run.id, "--json", "--if-pending"]
    call = process.Call(argv, run.plan.directory, app.environ)
    process.detach(call, app.tools().directory(run.id) / "logs" / "driver.log")


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


def _caller(app: App) -> lifecycle.Caller:
    """How a step runs another command: as a run of its own inside this one."""

    def call(handle: Handle, name: str, given: Mapping[str, Any]) -> StepResult:
        command = handle.plan.commands[name]
        plan = plans.make(
            command,
            given,
            project=handle.plan.project,
            directory=handle.workspace.directory,
            commands_used=handle.plan.commands,
            worktree=None if handle.plan.worktree else False,
        )
        plan = structs.replace(plan, workspace=structs.replace(handle.workspace, session="", borrowed=True))
        # Processes of the inner run carry both tags, so that ending the outer one ends them.
        outer = app.environ.get(process.TAG)
        tag = f"{outer}>{handle.tag}" if outer else handle.tag
        inner = app._replace(environ={**app.environ, process.TAG: tag})

        def pass_on(_run: Run, event: Event) -> None:
            if isinstance(event, PersonCalled):
                handle.emit(structs.replace(event, step=handle.step.id, visit=handle.visit))

        return _called(inner.tools(pass_on, lambda _step, line: handle.tell(line)), plan, handle)

    return call


def _called(tools: Tools, plan: Plan, handle: Handle) -> StepResult:
    """Drive the inner run: a new one, or the one that was cut off before."""
    run_id = _inner_id(tools.store, handle)
    known = bool(tools.store.history(run_id))
    run = tools.history.load(run_id) if known else None
    if run is None:
        run = lifecycle.start(
            plan, tools, handle.stop, run_id=run_id, parent=handle.run.id, limit=handle.timeout
        )
    elif run.status != "completed":
        run = lifecycle.resume(run_id, tools, handle.stop, limit=handle.timeout)
    outputs = {"run": run.id, **{v.step: dict(v.outputs) for v in run.visits if v.outputs}}
    if run.status in {"waiting", "interrupted"}:
        return _held(run, handle, outputs)
    said = ": ".join(filter(None, (run.cause, run.error)))
    cause = f"{said} (prj show {run.id[:8]})" if said else ""
    return StepResult(run.status == "completed", cause, run.reason, None, outputs)


def _held(run: Run, handle: Handle, outputs: Mapping[str, Any]) -> StepResult:
    """An inner run that cannot go on by itself holds the outer one."""
    blocked = run.blocked()
    if not blocked:
        return StepResult(ok=False, error="stopped", reason="stopped", outputs=outputs)
    message, fix = f"{blocked[0].step}: {blocked[0].error}", blocked[0].fix
    onward = f"{fix}; and then: prj resume {handle.run.id[:8]}"
    return StepResult(ok=False, error=message, fix=onward, blocked=True, outputs=outputs)


def _inner_id(store: Store, handle: Handle) -> str:
    """The id of the run inside a visit: the first whose result the outer run has not taken yet."""
    taken = {
        event.outputs.get("run")
        for event in store.history(handle.run.id)
        if isinstance(event, StepEnded) and event.status == "completed"
    }
    key = f"{handle.run.id}/{handle.step.id}/{handle.visit}"
    ids = (hashlib.sha256(f"{key}/{number}".encode()).hexdigest()[:12] for number in count())
    return next(run_id for run_id in ids if run_id not in taken)


def execute(
    what: Workflow | Command, given: Mapping[str, Any] | None = None, directory: Path | None = None
) -> Run:
    """Run a workflow or command built in Python, in this process; the run as it then is.

    Raises:
        UsageError: the arguments do not fit, or the graph has mistakes.
    """
    app = open_app(directory)
    command = Command(what.name, what, what.description) if isinstance(what, Workflow) else what
    plan = plans.make(
        command,
        given or {},
        project=str(app.project.root),
        directory=str((directory or project.here()).absolute()),
        commands_used=app.catalog.used_by(command),
    )
    trust.demand(app.project, app.store)
    with closing(Stop()) as stop:
        return lifecycle.start(plan, app.tools(), stop)


def initialise(found: Project) -> list[str]:
    """Make a project's folders and first commands; what was made. Nothing that is there is touched."""
    try:
        return list(_initialised(found))
    except OSError as error:
        raise UsageError(f"cannot make {error.filename}: {error.strerror}", "move it away") from error


def _initialised(found: Project) -> Iterator[str]:
    for name in project.FOLDERS:
        folder = found.prj / name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            yield f".prj/{name}/"
    for name in TEMPLATES:
        target = found.commands / f"{name}.yaml"
        if not target.exists() and not target.is_symlink():
            text = (_builtin_commands() / f"{name}.yaml").read_bytes()
            target.write_bytes(text)
            yield f".prj/commands/{name}.yaml"
