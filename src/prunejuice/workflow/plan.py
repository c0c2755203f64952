"""Plans: a command with all arguments and dependencies resolved, as `--dry-run` prints it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from prunejuice.errors import UsageError
from prunejuice.sandbox.permissions import Containment
from prunejuice.workflow import command as commands
from prunejuice.workflow.command import Command
from prunejuice.workflow.graph import Step, Workflow, stage_entries
from prunejuice.workflow.interpolation import expressions
from prunejuice.workflow.validate import require_valid
from prunejuice.workflow.workspace import Workspace

WORKTREE_STEP = "create-worktree"


class Plan(Struct, frozen=True, omit_defaults=True):
    """Everything that a run needs to start.

    `commands` holds the commands that its steps use, by name. `workspace` is the workspace of the parent
    run, if the run is a step of another. `watched` is true if the caller waits for the result, as with a
    verb in a terminal. `secret_names` are names of arguments, with `*`, whose values nothing may show.
    `sandbox` is that of the settings when the plan was made, or of the flag that chose one.
    """

    command: Command
    project: str
    directory: str
    arguments: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    worktree: bool = True
    workspace: Workspace | None = None
    watched: bool | None = None
    secret_names: tuple[str, ...] = ()
    sandbox: Containment = Containment()

    @property
    def workflow(self) -> Workflow:
        """Return the workflow of the command."""
        return self.command.workflow

    def containment_of(self, step: Step) -> Containment:
        """Return what contains the processes of a step: the plan, its command and the step itself."""
        return self.command_containment.combine(Containment(step.sandbox, step.allow))

    @property
    def command_containment(self) -> Containment:
        """Return what contains the processes of every step of the command."""
        return self.sandbox.combine(Containment(self.command.sandbox, self.command.allow))

    def all_commands(self) -> tuple[Command, ...]:
        """Return the command and those that its steps use."""
        return (self.command, *self.commands.values())


def make_plan(
    command: Command,
    arguments: Mapping[str, Any],
    *,
    project: str,
    directory: str,
    commands_used: Mapping[str, Command],
    worktree: bool | None = None,
) -> Plan:
    """Return the plan of one run.

    `worktree` true adds a `create-worktree` step if the command has none; false disables these steps.

    Raises:
        UsageError: the arguments are invalid, or a workflow is.
    """
    if worktree and not any(step.uses == WORKTREE_STEP for step in command.workflow.steps.values()):
        command = replace(command, workflow=_add_worktree_step(command.workflow))
    require_valid(command.workflow)
    for used in commands_used.values():
        require_valid(used.workflow)
    for caller in (command, *commands_used.values()):
        _require_valid_calls(caller, commands_used)
    return Plan(
        command=command,
        project=project,
        directory=directory,
        arguments=commands.bind_arguments(command, arguments),
        commands=dict(commands_used),
        worktree=worktree is not False,
    )


def _require_valid_calls(caller: Command, commands_used: Mapping[str, Command]) -> None:
    """Check the arguments that a command passes to others, except those computed during the run."""
    for step in caller.workflow.steps.values():
        used = commands_used.get(step.uses)
        if used is None:
            continue
        known = {argument.name for argument in used.arguments}
        fixed = {
            name: value
            for name, value in step.args.items()
            if name not in known or not list(expressions(value))
        }
        deferred = {name: None for name in step.args if name not in fixed}
        for key in ("environment", "working_directory"):
            if getattr(step, key):
                raise UsageError(f"step {step.id!r} uses a command: set {key} in that command instead")
        commands.bind_arguments(used, {**fixed, **deferred}, deferred=deferred)


def _add_worktree_step(workflow: Workflow) -> Workflow:
    name = WORKTREE_STEP if WORKTREE_STEP not in workflow.steps else f"{WORKTREE_STEP}-first"
    first = Step(name=name, id=name, uses=WORKTREE_STEP, stage="pre")
    steps = {name: first, **workflow.steps}
    for entry in stage_entries(workflow, "pre"):
        steps[entry] = replace(steps[entry], after=(name,))
    return replace(workflow, steps=steps)
