"""The composition root: chooses the implementations and connects them."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from prunejuice.engine import driver, trust
from prunejuice.engine.driver import Runtime
from prunejuice.engine.event import AttentionRequested, Event, StepEnded
from prunejuice.engine.ports import StepContext, StepResult, Store, TrustStore
from prunejuice.engine.run import Run
from prunejuice.engine.stores.registry import open_store, open_trust_store
from prunejuice.errors import DefinitionError, MisspeltError, NotFoundError, UsageError
from prunejuice.sandbox import permissions
from prunejuice.sandbox.programs.registry import find_program
from prunejuice.steps.builtin import BUILTIN_STEPS, EXTENSIONS
from prunejuice.system import file_limit, settings
from prunejuice.system.process_tags import TAG_VARIABLE
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import Stop
from prunejuice.workflow import plan as plans
from prunejuice.workflow import project
from prunejuice.workflow.catalog import BUILTIN_FOLDER, Catalog, CatalogLayer
from prunejuice.workflow.command import Command
from prunejuice.workflow.graph import Step, Workflow
from prunejuice.workflow.plan import Plan
from prunejuice.workflow.project import Project


class App(NamedTuple):
    """The components that the interfaces use, for the project around one directory."""

    project: Project
    settings: Settings
    store: Store
    trust_store: TrustStore
    environ: Mapping[str, str]

    @property
    def catalog(self) -> Catalog:
        """The commands of the project, of the user and of prunejuice."""
        return _open_catalog(self.project, self.environ)

    def has_untrusted_settings(self) -> bool:
        """Return whether the project has settings that do not apply, because it is not trusted."""
        if not self.project.config.is_file():
            return False
        return not trust.trust_state(self.project, self.trust_store).is_trusted

    def is_trusted_by_person(self, project_root: str) -> bool:
        """Return whether a person trusted the project, and no pinned file has changed since."""
        return trust.trust_state(Project(Path(project_root)), self.trust_store).by_person

    def find_step_file(self, project_root: str, name: str) -> Path | None:
        """Return the trusted script of a step, or None if the project has no such script.

        Raises:
            DeniedError: The script has changed since it was trusted.
        """
        step_project = Project(Path(project_root))
        path = Catalog((), step_project.steps, BUILTIN_STEPS).find_step_file(name)
        if path is not None:
            trust.require_trusted_file(step_project, path, self.trust_store)
        return path

    def load_project_variables(self, project_root: str) -> dict[str, str]:
        """Return the variables of the project's `.env` for its steps; none without such a file.

        Raises:
            DeniedError: The file has changed since it was trusted.
            UsageError: The file could not be read.
        """
        step_project = Project(Path(project_root))
        if not step_project.dotenv.is_file() or step_project.dotenv.is_symlink():
            return {}
        content = trust.read_trusted_file(step_project, step_project.dotenv, self.trust_store)
        return settings.parse_dotenv(content, step_project.dotenv)

    def find_extension(self, project_root: str, name: str) -> Any:
        """Return the Python command registered by the trusted project or a package, or None.

        Raises:
            DefinitionError: The code of the command fails to load.
        """
        from prunejuice.verbs import catalog as verb_catalog  # noqa: PLC0415 - only agent steps need it
        from prunejuice.verbs import plugins  # noqa: PLC0415 - only agent steps need it

        step_project = Project(Path(project_root))
        files = plugins.command_files(step_project)
        if files and trust.trust_state(step_project, self.trust_store).is_trusted:
            sources = {
                path: trust.read_trusted_file(step_project, path, self.trust_store) for path in files
            }
            try:
                plugins.load_files(sources)
            except DefinitionError:  # a broken project file must not disable built-in verbs
                if plugins.registered_command(name) is None and not verb_catalog.is_built_in(name):
                    raise
        if plugins.registered_command(name) is None:
            plugins.load_entry_points(name)
        return plugins.registered_command(name)

    def build_runtime(
        self,
        on_event: Callable[[Run, Event], None] = lambda _run, _event: None,
        on_output_line: Callable[[str, str], None] = lambda _step, _line: None,
        *,
        terminal: bool = False,
    ) -> Runtime:
        """Return the dependencies of a driver; `terminal` lets steps use the terminal of this process."""
        from prunejuice.steps.runner import Runner  # noqa: PLC0415 - slow, and only runs need it

        runner = Runner(
            self.settings,
            self.environ,
            self,
            terminal=terminal,
        )
        call_command = _make_command_caller(self)
        file_limit.raise_file_limit()
        max_steps = file_limit.count_possible_steps()
        return Runtime(
            self.store,
            runner,
            self.settings.home,
            call_command,
            on_event,
            on_output_line,
            max_steps=max_steps,
        )


def open_app(directory: Path | None = None) -> App:
    """Return the components for the project around a directory (default: the current directory).

    The settings of a project apply only if the project is trusted.
    """
    environ = settings.environment()
    found_project = project.find_project(directory or project.current_directory())
    # The location of the store comes from the user, since the store decides whether to trust the project.
    app_settings = settings.load(environ)
    store, trust_store = open_store(app_settings.home, environ), open_trust_store(app_settings.home)
    if found_project.config.is_file() and trust.trust_state(found_project, trust_store).is_trusted:
        content = trust.read_trusted_file(found_project, found_project.config, trust_store)
        app_settings = settings.load(environ, found_project.config, content)
    return App(found_project, app_settings, store, trust_store, environ)


def make_plan(
    app: App, name: str, arguments: Mapping[str, Any], directory: Path, worktree: bool | None
) -> Plan:
    """Return the plan of a command with arguments; `worktree` overrides the command if not None.

    Raises:
        UsageError: The command or its arguments are invalid.
    """
    command = app.catalog.load(name)
    plan = plans.make_plan(
        command,
        arguments,
        project=str(app.project.root),
        directory=str(directory),
        commands_used=app.catalog.dependencies(command),
        worktree=worktree,
    )
    for used_command in (command, *plan.commands.values()):
        for step in used_command.workflow.steps.values():
            _require_verb(app, step)
    return with_settings(app, plan, watched=False)


def with_settings(app: App, plan: Plan, *, watched: bool | None = None) -> Plan:
    """Return a plan with what the settings say of every run: names of secrets, and the sandbox.

    Raises:
        UsageError: what a sandbox may let in has a mistake.
        MissingToolError: a sandbox was asked for that cannot be made here.
    """
    plan = structs.replace(
        plan,
        watched=watched,
        secret_names=tuple(app.settings.secret_names),
        sandbox=permissions.read_settings(app.settings),
    )
    steps = (step for command in plan.all_commands() for step in command.workflow.steps.values())
    if any(plan.containment_of(step).is_on for step in steps):
        find_program(app.settings.sandbox_program, app.environ)
    return plan


def _require_verb(app: App, step: Step) -> None:
    """Raise an error if the agent verb of a step is misspelt.

    Raises:
        UsageError: The verb is unknown.
    """
    if not step.agent:
        return
    from prunejuice.verbs import catalog as verb_catalog  # noqa: PLC0415 - only agent steps need it

    try:
        verb_catalog.find_verb(step.agent, app.project, app.environ)
    except NotFoundError as error:
        from prunejuice.verbs import plugins  # noqa: PLC0415 - only agent steps need it

        # Without a similar name it is hardly a typing error: an earlier step may create the verb.
        if not isinstance(error, MisspeltError):
            return
        # The code of a project may register the verb; it is loaded only when the step runs.
        extension = plugins.command_files(app.project) or app.find_extension(
            str(app.project.root), step.agent
        )
        if not extension:
            raise UsageError(f"step {step.id}: {error.message}", error.fix) from error


def drive_in_background(app: App, run: Run) -> None:
    """Drive a pending run in a detached process, which outlives this one."""
    from prunejuice.system import process  # noqa: PLC0415 - commands that only read start no process

    argv = [*process.SELF_ARGV, "resume", run.id, "--json", "--if-pending"]
    call = process.ProcessSpec(argv, run.plan.directory, app.environ)
    process.start_detached(call, app.build_runtime().run_directory(run.id) / "logs" / "driver.log")


def _open_catalog(app_project: Project, environ: Mapping[str, str]) -> Catalog:
    user_commands = settings.config_directory(environ) / "commands"
    layers = (
        CatalogLayer("project", app_project.commands),
        CatalogLayer("user", user_commands),
        CatalogLayer("built-in", BUILTIN_FOLDER),
    )
    return Catalog(layers, app_project.steps, BUILTIN_STEPS, EXTENSIONS)


def _make_command_caller(app: App) -> driver.CommandCaller:
    """Return the function by which a step runs another command as a nested run."""

    def call(handle: StepContext, name: str, arguments: Mapping[str, Any]) -> StepResult:
        command = handle.plan.commands[name]
        plan = plans.make_plan(
            command,
            arguments,
            project=handle.plan.project,
            directory=handle.workspace.directory,
            commands_used=handle.plan.commands,
            worktree=None if handle.plan.worktree else False,
        )
        workspace = structs.replace(handle.workspace, session="", borrowed=True)
        plan = structs.replace(
            plan,
            workspace=workspace,
            secret_names=handle.plan.secret_names,
            sandbox=handle.plan.containment_of(handle.step),
        )
        # Processes of the nested run carry both tags, so that killing the outer run kills them, too.
        outer_tag = app.environ.get(TAG_VARIABLE)
        tag = f"{outer_tag}>{handle.tag}" if outer_tag else handle.tag
        nested_app = app._replace(environ={**app.environ, TAG_VARIABLE: tag})

        def forward_event(_run: Run, event: Event) -> None:
            if isinstance(event, AttentionRequested):
                handle.emit(structs.replace(event, step=handle.step.id, visit=handle.visit))

        return _run_nested_command(
            nested_app.build_runtime(forward_event, lambda _step, line: handle.report_line(line)),
            plan,
            handle,
        )

    return call


def _run_nested_command(runtime: Runtime, plan: Plan, handle: StepContext) -> StepResult:
    """Start the nested run of a step, or resume the one that was interrupted before."""
    run_id = _nested_run_id(runtime.store, handle)
    exists = bool(runtime.store.read_events(run_id))
    run = runtime.registry.load_run(run_id) if exists else None
    if run is None:
        run = driver.start_run(
            plan, runtime, handle.stop, run_id=run_id, parent=handle.run.id, limit=handle.timeout
        )
    elif run.status != "completed":
        run = driver.resume_run(run_id, runtime, handle.stop, limit=handle.timeout)
    outputs = {"run": run.id, **{v.step: dict(v.outputs) for v in run.visits if v.outputs}}
    if run.status in {"waiting", "interrupted"}:
        return _blocked_result(run, handle, outputs)
    cause = ": ".join(filter(None, (run.cause, run.error)))
    error = f"{cause} (prj show {run.id[:8]})" if cause else ""
    return StepResult(run.status == "completed", error, run.reason, None, outputs)


def _blocked_result(run: Run, handle: StepContext, outputs: Mapping[str, Any]) -> StepResult:
    """Return the step result for a nested run that waits for a person or was interrupted."""
    blocked = run.blocked_visits()
    if not blocked:
        return StepResult(ok=False, error="stopped", reason="stopped", outputs=outputs)
    message, fix = f"{blocked[0].step}: {blocked[0].error}", blocked[0].fix
    outer_fix = f"{fix}; then run `prj resume {handle.run.id[:8]}`"
    return StepResult(ok=False, error=message, fix=outer_fix, blocked=True, outputs=outputs)


def _nested_run_id(store: Store, handle: StepContext) -> str:
    """Return the id of the nested run of a visit: the first whose result the outer run has not used."""
    used_ids = {
        event.outputs.get("run")
        for event in store.read_events(handle.run.id)
        if isinstance(event, StepEnded) and event.status == "completed"
    }
    # Derived ids let a resumed step find the nested run that it started before.
    key = f"{handle.run.id}/{handle.step.id}/{handle.visit}"
    ids = (hashlib.sha256(f"{key}/{number}".encode()).hexdigest()[:12] for number in count())
    return next(run_id for run_id in ids if run_id not in used_ids)


def execute(
    definition: Workflow | Command,
    arguments: Mapping[str, Any] | None = None,
    directory: Path | None = None,
) -> Run:
    """Run a workflow or command built in Python in this process; return its final state.

    Raises:
        DeniedError: The project is not trusted.
        UsageError: The arguments or the graph are invalid.
    """
    app = open_app(directory)
    if isinstance(definition, Workflow):
        command = Command(definition.name, definition, definition.description)
    else:
        command = definition
    plan = plans.make_plan(
        command,
        arguments or {},
        project=str(app.project.root),
        directory=str((directory or project.current_directory()).absolute()),
        commands_used=app.catalog.dependencies(command),
    )
    plan = with_settings(app, plan)
    trust.require_trusted_project(app.project, app.trust_store)
    trust.require_trusted_commands(app.project, plan.all_commands(), app.trust_store)
    with closing(Stop()) as stop:
        return driver.start_run(plan, app.build_runtime(), stop)
