"""A command before it runs: its plan, its canonical form, its graph."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from prunejuice.cli import render
from prunejuice.command import Argument, Command
from prunejuice.plan import Plan
from prunejuice.text import safe_line, safe_text
from prunejuice.workflow import STAGES, Step, Workflow, entries, from_lists

_TITLES = {
    "pre": "pre_steps",
    "main": "steps",
    "post": "post_steps",
    "cleanup": "cleanup_on_failure",
}


def show_all(plans: Sequence[Plan], *, as_json: bool) -> None:
    """What one run or several would do."""
    if as_json and len(plans) > 1:
        render.json("plans", [msgspec.to_builtins(plan) for plan in plans])
        return
    show(plans[0], as_json=as_json)
    if len(plans) > 1:
        render.out(f"  {len(plans)} runs of it:")
        for plan in plans:
            given = " ".join(f"{name}={safe_line(_plain(v), 40)}" for name, v in plan.arguments.items())
            render.out(f"    {given or '(no arguments)'}")


def show(plan: Plan, *, as_json: bool) -> None:
    """What a run would do."""
    if as_json:
        render.json("plan", msgspec.to_builtins(plan))
        return
    command = plan.command
    render.out(f"{safe_line(command.name)}: {safe_line(command.description)}")
    render.out(f"  directory    {safe_line(plan.directory, 300)}")
    render.out(f"  timeout      {command.timeout:g} s, at most {plan.workflow.max_parallel} at once")
    for name, value in plan.arguments.items():
        render.out(f"  argument     {name} = {safe_line(_plain(value))}")
    for name, text in command.environment.items():
        shown = "(handed on)" if text is None else safe_line(text)
        render.out(f"  environment  {name}={shown}")
    for line in steps(plan.workflow, worktree=plan.worktree):
        render.out(line)
    for name, inner in plan.commands.items():
        render.out(f"where {safe_line(name)} is")
        for line in steps(inner.workflow, worktree=plan.worktree):
            render.out(line)


def steps(workflow: Workflow, *, worktree: bool = True) -> Iterator[str]:
    """The graph as text: the steps in order, with what leads where."""
    for stage in (*STAGES, "cleanup"):
        listed = workflow.stage(stage)
        if listed:
            yield f"  {_TITLES[stage]}"
        first = entries(workflow, stage)
        for step in listed:
            off = " [turned off]" if step.uses == "create-worktree" and not worktree else ""
            yield f"    {'→' if step.id in first else ' '} {_line(step)}{off}"
            for note in _notes(step):
                yield f"        {note}"


def _line(step: Step) -> str:
    body = safe_line(step.body().strip().replace("\n", "; "), 80)
    return f"{step.id}: {step.kind()} {body}"


def _notes(step: Step) -> Iterator[str]:
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
    yield from _limits(step)


def _limits(step: Step) -> Iterator[str]:
    for key in ("max_visits", "retries", "args", "environment", "working_directory"):
        if value := getattr(step, key):
            yield f"{key} {safe_line(_plain(value))}"
    if step.timeout != step.usual_timeout:
        yield f"timeout {step.timeout:g} s"
    if step.continue_on_error:
        yield "a failure does not fail the run"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def canonical(command: Command) -> dict[str, Any]:
    """A command in the one form that all spellings mean, as keys and values."""
    found: dict[str, Any] = {"name": command.name, "description": command.description}
    found |= {"category": command.category, "timeout": command.timeout}
    for key in ("environment", "working_directory"):
        if value := getattr(command, key):
            found[key] = value
    if command.arguments:
        found["arguments"] = [_argument(argument) for argument in command.arguments]
    flow = command.workflow
    found |= {"max_parallel": flow.max_parallel, "stop_on_failure": flow.stop_on_failure}
    for stage in (*STAGES, "cleanup"):
        if listed := flow.stage(stage):
            found[_TITLES[stage]] = [_step(step) for step in listed]
    if not _is_list(flow):
        found["entry_point"] = flow.entry_point
        found["steps"] = {step.id: _step(step, keyed=True) for step in flow.stage("main")}
    return found


def _is_list(flow: Workflow) -> bool:
    """Whether the main steps are what a list of them says."""
    main = flow.stage("main")
    again = from_lists((), [replace(step, after=()) for step in main])
    return list(again.values()) == list(main) and flow.entry_point in {"", *(s.id for s in main[:1])}


def _argument(argument: Argument) -> dict[str, Any]:
    return {"name": argument.name, **msgspec.to_builtins(argument)}


def _step(step: Step, *, keyed: bool = False) -> dict[str, Any]:
    given: dict[str, Any] = msgspec.to_builtins(step)
    hidden = {"stage", "scope", "after", "name"} | ({"id"} if keyed or step.name == step.id else set())
    named = {} if keyed and step.name == step.id else {"name": step.name}
    return {**named, **{key: value for key, value in given.items() if key not in hidden}}


def yaml_lines(value: Any, indent: str = "") -> Iterator[str]:
    """Plain data as YAML that reads back the same."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{indent}{_scalar(str(key))}:", item, indent + "  ")
    else:
        for item in value:
            inner = list(yaml_lines(item, indent + "  ")) if _nested(item) else []
            if inner:
                yield f"{indent}- {inner[0].lstrip()}"
                yield from inner[1:]
            else:
                yield f"{indent}- {_scalar(item)}"


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, str) and "\n" in item and item == safe_text(item) and _is_block(item):
        yield f"{head} |{'' if item.endswith(chr(10)) else '-'}"
        yield from (f"{indent}{line}" if line else "" for line in item.rstrip("\n").split("\n"))
    elif _nested(item):
        yield head
        yield from yaml_lines(item, indent)
    else:
        yield f"{head} {_scalar(item)}"


def _is_block(text: str) -> bool:
    """Whether a text can stand as a YAML block and read back the same."""
    return not text.startswith((" ", "\n")) and not text.endswith("\n\n") and "\t" not in text


def _nested(item: Any) -> bool:
    return isinstance(item, Mapping | list | tuple) and bool(item)


def _scalar(item: Any) -> str:
    """JSON is YAML; a plain word needs no quotes."""
    if isinstance(item, str) and item.replace("-", "").replace("_", "").isalpha() and len(item) < 60:
        words = {"true", "false", "null", "yes", "no", "on", "off"}
        if item.isascii() and item.lower() not in words and item[0].isalpha():
            return item
    return msgspec.json.encode(item).decode()


def mermaid(workflow: Workflow) -> Iterator[str]:
    """The graph as a Mermaid flowchart."""
    yield "flowchart TD"
    numbers = {step_id: f"s{number}" for number, step_id in enumerate(workflow.steps)}
    for step in workflow.steps.values():
        label = safe_line(step.id).replace('"', "#quot;")
        shape = f'{{{{"{label}"}}}}' if step.condition else f'["{label}"]'
        yield f"  {numbers[step.id]}{shape}"
    for link in workflow.links:
        arrow = {"failure": "-. failure .->", "success": "-- success -->"}.get(link.on, "-->")
        yield f"  {numbers[link.source]} {arrow} {numbers[link.target]}"
    for before, after in _between(workflow):
        yield f"  {numbers[before]} ==> {numbers[after]}"


def _between(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """What ends one stage and begins the next."""
    stages = [stage for stage in STAGES if workflow.stage(stage)]
    for one, following in pairwise(stages):
        going_on = {link.source for link in workflow.links if link.on != "failure"}
        for last in (step.id for step in workflow.stage(one) if step.id not in going_on):
            for first in entries(workflow, following):
                yield last, first
