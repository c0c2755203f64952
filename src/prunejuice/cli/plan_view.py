"""Plans and workflow graphs as text."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from prunejuice.cli import render
from prunejuice.sandbox.permissions import Containment
from prunejuice.text import safe_line
from prunejuice.workflow.graph import STAGES, Step, Workflow, stage_entries
from prunejuice.workflow.plan import Plan

STAGE_KEYS = {
    "pre": "pre_steps",
    "main": "steps",
    "post": "post_steps",
    "cleanup": "cleanup_on_failure",
}


def show_plans(plans: Sequence[Plan], *, as_json: bool) -> None:
    """Print the plan of one run or of several."""
    if as_json and len(plans) > 1:
        render.print_json("plans", [msgspec.to_builtins(plan) for plan in plans])
        return
    show_plan(plans[0], as_json=as_json)
    if len(plans) > 1:
        render.print_line(f"  {len(plans)} runs:")
        for plan in plans:
            arguments = " ".join(
                f"{name}={safe_line(format_value(value), 40)}" for name, value in plan.arguments.items()
            )
            render.print_line(f"    {arguments or '(no arguments)'}")


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """Print the plan of a run."""
    if as_json:
        render.print_json("plan", msgspec.to_builtins(plan))
        return
    command = plan.command
    render.print_line(f"{safe_line(command.name)}: {safe_line(command.description)}")
    render.print_line(f"  directory    {safe_line(plan.directory, 300)}")
    render.print_line(f"  timeout      {command.timeout:g} s, at most {plan.workflow.max_parallel} at once")
    for name, value in plan.arguments.items():
        render.print_line(f"  argument     {name} = {safe_line(format_value(value))}")
    for name, text in command.environment.items():
        value_shown = "(inherited)" if text is None else safe_line(text)
        render.print_line(f"  environment  {name}={value_shown}")
    render.print_line(f"  sandbox      {sandbox_text(plan.command_containment)}")
    for line in step_lines(plan.workflow, worktree=plan.worktree):
        render.print_line(line)
    for name, used in plan.commands.items():
        render.print_line(f"steps of {safe_line(name)}:")
        for line in step_lines(used.workflow, worktree=plan.worktree):
            render.print_line(line)


def sandbox_text(containment: Containment) -> str:
    """Return what contains the processes of a command, and what they may do, as one line."""
    if not containment.mode:
        return "files for checks, where the system can; none for steps"
    allow = msgspec.to_builtins(containment.allow)
    items = (f"{kind} {safe_line(', '.join(names), 200)}" for kind, names in allow.items() if names)
    return "; ".join([containment.mode, *items])


def step_lines(workflow: Workflow, *, worktree: bool = True) -> Iterator[str]:
    """Yield the steps of a workflow in order, with their links and limits, as lines of text."""
    for stage in (*STAGES, "cleanup"):
        steps = workflow.steps_in_stage(stage)
        if steps:
            yield f"  {STAGE_KEYS[stage]}"
        entries = stage_entries(workflow, stage)
        for step in steps:
            disabled = " [disabled]" if step.uses == "create-worktree" and not worktree else ""
            yield f"    {'→' if step.id in entries else ' '} {_step_line(step)}{disabled}"
            for note in _step_notes(step):
                yield f"        {note}"


def _step_line(step: Step) -> str:
    body = safe_line(step.body().strip().replace("\n", "; "), 80)
    return f"{step.id}: {step.kind()} {body}"


def _step_notes(step: Step) -> Iterator[str]:
    if step.after:
        yield f"after {', '.join(step.after)}"
    if step.needs:
        yield f"needs {', '.join(step.needs)}"
    if step.parallel_with:
        yield f"parallel with {', '.join(step.parallel_with)}"
    if step.condition:
        yield f"if {safe_line(step.condition)}"
    if step.on_success:
        yield f"on success → {step.on_success}"
    if step.on_failure:
        yield f"on failure → {step.on_failure}"
    yield from _step_limits(step)


def _step_limits(step: Step) -> Iterator[str]:
    for key in ("max_visits", "retries", "args", "environment", "working_directory"):
        if value := getattr(step, key):
            yield f"{key} {safe_line(format_value(value))}"
    if step.timeout != step.default_timeout:
        yield f"timeout {step.timeout:g} s"
    if step.continue_on_error:
        yield "continue on error"
    if step.sandbox:
        yield f"sandbox {step.sandbox}"


def format_value(value: Any) -> str:
    """Return a value of an argument as text, or as JSON if it is none."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
