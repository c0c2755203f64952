"""The canonical form of a command, which is the same for every spelling of it."""

from typing import Any

import msgspec
from msgspec.structs import replace

from prunejuice.cli.plan_view import STAGE_KEYS
from prunejuice.workflow.command import Argument, Command
from prunejuice.workflow.graph import STAGES, Step, Workflow, link_steps


def canonical_form(command: Command) -> dict[str, Any]:
    """Return a command in canonical form, as keys and values."""
    form: dict[str, Any] = {"name": command.name, "description": command.description}
    form |= {"category": command.category, "timeout": command.timeout}
    for key in ("environment", "working_directory", "sandbox"):
        if value := getattr(command, key):
            form[key] = value
    if allow := msgspec.to_builtins(command.allow):
        form["allow"] = allow
    if command.arguments:
        form["arguments"] = [_argument_to_dict(argument) for argument in command.arguments]
    workflow = command.workflow
    form |= {"max_parallel": workflow.max_parallel, "stop_on_failure": workflow.stop_on_failure}
    for stage in (*STAGES, "cleanup"):
        if steps := workflow.steps_in_stage(stage):
            form[STAGE_KEYS[stage]] = [_step_to_dict(step) for step in steps]
    if not _is_plain_list(workflow):
        form["entry_point"] = workflow.entry_point
        form["steps"] = {
            step.id: _step_to_dict(step, keyed=True) for step in workflow.steps_in_stage("main")
        }
    return form


def _is_plain_list(workflow: Workflow) -> bool:
    """Tell whether the main steps are those that a plain list of them would give."""
    main_steps = workflow.steps_in_stage("main")
    relinked = link_steps((), [replace(step, after=()) for step in main_steps])
    return list(relinked.values()) == list(main_steps) and workflow.entry_point in {
        "",
        *(s.id for s in main_steps[:1]),
    }


def _argument_to_dict(argument: Argument) -> dict[str, Any]:
    return {"name": argument.name, **msgspec.to_builtins(argument)}


def _step_to_dict(step: Step, *, keyed: bool = False) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(step)
    hidden = {"stage", "scope", "after", "name"} | ({"id"} if keyed or step.name == step.id else set())
    label = {} if keyed and step.name == step.id else {"name": step.name}
    return {**label, **{key: value for key, value in fields.items() if key not in hidden}}
