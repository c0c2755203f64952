"""A command with everything resolved, before anything happens. `--dry-run` prints it; a run keeps it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from prunejuice import command as commands
from prunejuice.command import Command
from prunejuice.workflow import Step, Workflow, checked

WORKTREE_STEP = "create-worktree"


class Plan(Struct, frozen=True, omit_defaults=True):
    """What one run will do. `commands` holds every other command that its steps use, by name."""

    command: Command
    project: str
    directory: str
    arguments: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    worktree: bool = True

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
    checked(command.workflow)
    if worktree and not any(step.uses == WORKTREE_STEP for step in command.workflow.steps.values()):
        command = replace(command, workflow=_with_worktree(command.workflow))
    return Plan(
        command=command,
        project=project,
        directory=directory,
        arguments=commands.bind(command, given),
        commands=dict(commands_used),
        worktree=worktree is not False,
    )


def _with_worktree(workflow: Workflow) -> Workflow:
    first = Step(name=WORKTREE_STEP, id=WORKTREE_STEP, uses=WORKTREE_STEP, stage="pre")
    behind = workflow.stage("pre")[:1]
    steps = {WORKTREE_STEP: first, **workflow.steps}
    for step in behind:
        steps[step.id] = replace(step, after=(WORKTREE_STEP,))
    return replace(workflow, steps=steps)
