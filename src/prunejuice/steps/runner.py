"""Runs a step with the implementation for its kind."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.engine.run import InterruptedVisit, Run, StepRun
from prunejuice.environments.services import Services
from prunejuice.errors import PruneJuiceError, StepError
from prunejuice.steps import script, tmux_window
from prunejuice.steps.builtin import BUILTIN_STEPS, EXTENSIONS
from prunejuice.steps.containment import StepContainment, collect_outputs, take_over_recovered
from prunejuice.steps.environment import StepEnvironment, build_step_environment, step_secret_values
from prunejuice.steps.resources import ProjectAccess, StepResources
from prunejuice.steps.tracker import SnapshotMemory, SnapshotTracker, restore_interrupted_steps
from prunejuice.system import settings
from prunejuice.system.output import OutputLog
from prunejuice.system.process import ProcessSpec
from prunejuice.system.process_tags import kill_tagged
from prunejuice.system.redact import mask_text
from prunejuice.system.settings import Settings
from prunejuice.verbs.arguments import SUMMARIZE
from prunejuice.workflow import interpolation
from prunejuice.workflow.graph import Step
from prunejuice.workflow.plan import Plan


class Runner:
    """Runs steps on this machine: scripts, step files, agents, built-in steps and other commands."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        project: ProjectAccess,
        *,
        terminal: bool = False,
    ) -> None:
        self.settings = settings
        self.environ = environ
        self.project = project
        self.terminal = terminal
        self.snapshot_memory = SnapshotMemory()
        self._services: dict[str, Services] = {}
        self._services_lock = threading.Lock()

    def run_step(self, handle: StepContext) -> StepResult:
        """Run a step; return only when none of its processes is left running.

        Snapshots of the worktree are taken before and after a step that may change files.

        Raises:
            PruneJuiceError: the step failed; a `HumanNeededError` blocks it instead.
        """
        try:
            return self._run_with_snapshots(handle)
        except PruneJuiceError as error:
            hidden = self._secret_values(handle.plan, handle.step)
            error.message, error.fix = mask_text(error.message, hidden), mask_text(error.fix, hidden)
            raise

    def _run_with_snapshots(self, handle: StepContext) -> StepResult:
        step = handle.step
        if step.uses in BUILTIN_STEPS:
            return self._run_builtin(handle)
        if not self.settings.snapshots or _leaves_files_unchanged(step):
            return self._dispatch_step(handle)
        tracker = SnapshotTracker(handle, self.environ, self.snapshot_memory)
        tracker.snapshot_before()
        try:
            return self._dispatch_step(handle)
        finally:
            tracker.snapshot_after()

    def _dispatch_step(self, handle: StepContext) -> StepResult:
        self._require_services(handle)
        step = handle.step
        if step.agent == SUMMARIZE:
            from prunejuice.steps import summarize  # noqa: PLC0415 - a slow import that few runs need

            return self._run_function(handle, summarize.run_summarize_step)
        if step.agent:
            from prunejuice.steps import agent  # noqa: PLC0415

            return self._run_function(handle, agent.run_agent_step)
        path = None if step.script else self.project.find_step_file(handle.plan.project, step.uses)
        if step.script or path:
            return self._run_program(handle, path)
        if step.uses in handle.plan.commands:
            return handle.call_command(
                handle, step.uses, interpolation.render(step.args, handle.expression_data)
            )
        if step.uses in EXTENSIONS:
            return self._run_function(handle, EXTENSIONS.load(step.uses))
        raise StepError(f"unknown step {step.uses!r}", f"create .prj/steps/{step.uses}.sh")

    def _run_program(self, handle: StepContext, path: Path | None) -> StepResult:
        """Run the script of a step, or its step file at a path, in its sandbox if it has one."""
        environment = self._step_environment(handle)
        with StepContainment(handle, self.environ, self.settings).open_worktree() as sandbox:
            if path is None:
                return script.run_script(handle, environment, self.settings, sandbox)
            return script.run_step_file(path, handle, environment, self.settings, sandbox)

    def recover_result(self, run: Run, visit: StepRun, directory: Path) -> StepResult | None:
        """Return the result of a program that finished although its driver died."""
        step = run.plan.workflow.steps[visit.step]
        is_program = step.script or (step.uses and step.uses not in BUILTIN_STEPS)
        if not is_program or not visit.log:
            return None
        collect_outputs(directory, Path(visit.log))
        result = script.recover_result(directory, visit.log, self._secret_values(run.plan, step))
        if result is not None:
            take_over_recovered(run, visit, directory, self.environ)
        return result

    def restore_files(self, run: Run, interrupted: Sequence[InterruptedVisit]) -> str:
        """Undo the changes of interrupted steps; return the id of the undo operation, or ""."""
        directory = self.settings.home / "runs" / run.id
        return restore_interrupted_steps(run, interrupted, self.environ, directory)

    def end_run(self, run_id: str) -> None:
        """Stop the services of a run."""
        with self._services_lock:
            services = self._services.pop(run_id, None)
        if services is not None:
            services.stop()

    def _require_services(self, handle: StepContext) -> None:
        """Start the services of the project in the worktree of a run, before its first step there.

        Raises:
            StepError: they could not be started, or have ended.
        """
        if not (self.settings.services and handle.workspace.own_worktree):
            return
        with self._services_lock:
            services = self._services.get(handle.run.id)
            if services is None:
                environment = self._step_environment(handle)
                tag = f"{handle.run.id}/services"
                sandbox = StepContainment(handle, self.environ, self.settings).contain_services()
                worktree = handle.workspace.worktree
                call = ProcessSpec((), worktree, environment.variables, tag=tag, sandbox=sandbox)
                log = handle.directory / "logs" / "services.log"
                services = self._services[handle.run.id] = Services(
                    self.settings, call, log, environment.hidden
                )
        services.ensure_running(handle.stop)

    def kill_processes(self, tag: str) -> int:
        """Kill the remaining processes that carry `tag`."""
        tmux_window.delete_orders(self.settings.home / "runs" / tag.partition("/")[0])
        return kill_tagged(tag)

    def _step_environment(self, handle: StepContext) -> StepEnvironment:
        variables = self.project.load_project_variables(handle.plan.project)
        return build_step_environment(handle, self.environ, variables, self.settings.secret_names)

    def _secret_values(self, plan: Plan, step: Step) -> tuple[str, ...]:
        # Values to hide may come from a file that nobody trusts; nothing else is done with them.
        variables = settings.read_dotenv(Path(plan.project) / ".env")
        return step_secret_values(plan, step, self.environ, variables, self.settings.secret_names)

    def _run_builtin(self, handle: StepContext) -> StepResult:
        return self._run_function(handle, EXTENSIONS.load(handle.step.uses))

    def _run_function(
        self, handle: StepContext, function: Callable[[StepContext, StepResources], StepResult]
    ) -> StepResult:
        """Run a step function with rendered arguments and a log file."""
        args = interpolation.render(handle.step.args, handle.expression_data)
        hidden = self._secret_values(handle.plan, handle.step)
        # An agent step reports every line by itself.
        report = None if handle.step.agent else handle.report_line
        log = OutputLog(handle.log, self.settings.log_limit, hidden, report)
        try:
            resources = StepResources(
                self.settings,
                self.environ,
                args,
                handle.stop,
                log,
                self.project,
                self.terminal,
                hidden,
            )
            result = function(handle, resources)
            log(result.output.encode() + b"\n")
        finally:
            log.close()
        return result


def _leaves_files_unchanged(step: Step) -> bool:
    """Return whether a step leaves the workspace as it is because its changes are kept or wait."""
    return bool(step.agent) and step.args.get("changes") in {"wait", "keep"}
