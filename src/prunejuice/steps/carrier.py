"""Carries a step out: chooses by what the step is, and nothing more."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prunejuice import process, template
from prunejuice.errors import StepError
from prunejuice.output import Log
from prunejuice.protocols import Handle, StepResult
from prunejuice.run import Cut, Run, StepRun
from prunejuice.settings import Settings
from prunejuice.steps import script, window
from prunejuice.steps.builtin import BUILTIN
from prunejuice.steps.environment import hidden_from, surroundings
from prunejuice.steps.tracking import Tracker, put_back
from prunejuice.steps.world import World
from prunejuice.told import SUMMARIZE
from prunejuice.workflow import Step


class Carrier:
    """Carries out the steps of this machine: scripts, step files, built-in steps, other commands."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        step_file: Callable[[str, str], Path | None],
        extension: Callable[[str, str], Any] = lambda _project, _name: None,
        *,
        terminal: bool = False,
    ) -> None:
        self.settings = settings
        self.environ = environ
        self.step_file = step_file
        self.extension = extension
        self.terminal = terminal

    def carry_out(self, handle: Handle) -> StepResult:
        """Do what the step says; only returns when nothing of it is left running.

        The files of the worktree are kept as they were before and after whatever may change them.
        """
        step = handle.step
        if step.uses in BUILTIN:
            return self._built_in(handle)
        if not self.settings.snapshots or _stays_out(step):
            return self._carried_out(handle)
        tracker = Tracker(handle, self.environ)
        tracker.before()
        try:
            return self._carried_out(handle)
        finally:
            tracker.after()

    def _carried_out(self, handle: Handle) -> StepResult:
        step = handle.step
        if step.agent == SUMMARIZE:
            from prunejuice.steps import summary  # noqa: PLC0415 - slow, and few runs have one

            return self._within(handle, summary.carried_out)
        if step.agent:
            from prunejuice.steps import agent  # noqa: PLC0415

            return self._within(handle, agent.carried_out)
        if step.script:
            return script.inline(handle, surroundings(handle, self.environ), self.settings)
        if path := self.step_file(handle.plan.project, step.uses):
            return script.file(path, handle, surroundings(handle, self.environ), self.settings)
        if step.uses in handle.plan.commands:
            return handle.call(handle, step.uses, template.fill(step.args, handle.facts))
        raise StepError(f"there is no step {step.uses!r}", f"write .prj/steps/{step.uses}.sh")

    def adopt(self, run: Run, visit: StepRun, directory: Path) -> StepResult | None:
        """The result of a program that finished although its driver died."""
        step = run.plan.workflow.steps[visit.step]
        is_program = step.script or (step.uses and step.uses not in BUILTIN)
        if not is_program or not visit.log:
            return None
        return script.adopted(directory, visit.log, hidden_from(run.plan, step, self.environ))

    def put_back(self, run: Run, cut: Sequence[Cut]) -> str:
        """Take back what steps that were cut off had changed; the operation that did it, if any did."""
        return put_back(run, cut, self.environ)

    def sweep(self, tag: str) -> int:
        """Kill what is left of the processes that carry `tag`."""
        window.forget(self.settings.home / "runs" / tag.partition("/")[0])
        return process.sweep(tag)

    def _built_in(self, handle: Handle) -> StepResult:
        return self._within(handle, BUILTIN[handle.step.uses])

    def _within(self, handle: Handle, do: Callable[[Handle, World], StepResult]) -> StepResult:
        """Let a function of ours carry a step out, with its arguments filled in and a log."""
        args = template.fill(handle.step.args, handle.facts)
        hidden = hidden_from(handle.plan, handle.step, self.environ)
        tell = None if handle.step.agent else handle.tell  # an agent's step tells every line by itself
        log = Log(handle.log, self.settings.log_limit, hidden, tell)
        try:
            world = World(
                self.settings, self.environ, args, handle.stop, log, self.extension, self.terminal
            )
            result = do(handle, world)
            log(result.output.encode() + b"\n")
        finally:
            log.close()
        return result


def _stays_out(step: Step) -> bool:
    """Whether a step changes nothing where the run works: what an agent changes waits, or is kept."""
    return bool(step.agent) and step.args.get("changes") in {"wait", "keep"}
