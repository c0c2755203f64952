"""A command with everything resolved, before anything happens. `--dry-run` prints it; a run keeps it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from prunejuice import command as commands
from prunejuice.command import Command
from prunejuice.errors import UsageError
from prunejuice.template import expressions
from prunejuice.workflow import Step, Workflow, checked, entries
from prunejuice.workspace import Workspace

WORKTREE_STEP = "create-worktree"


class Plan(Struct, frozen=True, omit_defaults=True):
    """What one run will do. `commands` holds every other command that its steps use, by name.

    `workspace` is that of the run of which it is a step, if it is one. `watched` when how it ends is told
    to whoever called for it, as a verb in a terminal is.
    """

    command: Command
    project: str
    directory: str
    arguments: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    worktree: bool = True
    workspace: Workspace | None = None
    watched: bool | None = None

    @property
    def workflow(self) -> Workflow:
        """The graph of the command."""
        return self.command.workflow


def make(
    command: Command,
    given: Mapping[str, Any],
    *,
    project: str,
    directory: str,
    commands_used: Mapping[str, Command],
    worktree: bool | None = None,
) -> Plan:
    """The plan of one run. `worktree` true adds a `create-worktree` step, false turns them off.

    Raises:
        UsageError: the arguments do not fit, or the graph has mistakes.
    """
    if worktree and not any(step.uses == WORKTREE_STEP for step in command.workflow.steps.values()):
        command = replace(command, workflow=_with_worktree(command.workflow))
    checked(command.workflow)
    for inner in commands_used.values():
        checked(inner.workflow)
    for user in (command, *commands_used.values()):
        _check_calls(user, commands_used)
    return Plan(
        command=command,
        project=project,
        directory=directory,
        arguments=commands.bind(command, given),
        commands=dict(commands_used),
        worktree=worktree is not False,
    )


def _check_calls(user: Command, commands_used: Mapping[str, Command]) -> None:
    """What a command hands to those it uses must fit, as far as it is known before the run."""
    for step in user.workflow.steps.values():
        used = commands_used.get(step.uses)
        if used is None:
            continue
        known = {argument.name for argument in used.arguments}
        given = {n: v for n, v in step.args.items() if n not in known or not list(expressions(v))}
        later = {name: None for name in step.args if name not in given}
        for key in ("environment", "working_directory"):
            if getattr(step, key):
                raise UsageError(f"step {step.id!r} uses a command: {key} belongs into that command")
        commands.bind(used, {**given, **later}, later=later)


def _with_worktree(workflow: Workflow) -> Workflow:
    name = WORKTREE_STEP if WORKTREE_STEP not in workflow.steps else f"{WORKTREE_STEP}-first"
    first = Step(name=name, id=name, uses=WORKTREE_STEP, stage="pre")
    steps = {name: first, **workflow.steps}
    for entry in entries(workflow, "pre"):
        steps[entry] = replace(steps[entry], after=(name,))
    return replace(workflow, steps=steps)
