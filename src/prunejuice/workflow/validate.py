"""Find every mistake in a workflow graph: ids, links, limits, expressions, loops without a bound."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prunejuice.errors import ConditionError, DefinitionError, Problem
from prunejuice.text import safe_line, spelling_hint
from prunejuice.workflow import condition, interpolation
from prunejuice.workflow.graph import Link, Step, Workflow

MAX_STEPS = 1000
_ID = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,98}\w)?\Z", re.ASCII)


# -- validation ---------------------------------------------------------------------------------


class GraphProblem(NamedTuple):
    """One mistake in a workflow: the step, its key, the problem and the fix."""

    step: str
    key: str
    message: str
    fix: str = ""


def find_problems(workflow: Workflow) -> tuple[GraphProblem, ...]:
    """Return every mistake in the workflow. It can be run if there is none."""
    problems = [problem for step in workflow.steps.values() for problem in _step_problems(workflow, step)]
    if len(workflow.steps) > MAX_STEPS:
        problems.append(GraphProblem("", "steps", f"more than {MAX_STEPS} steps"))
    if workflow.entry_point and workflow.entry_point not in workflow.steps:
        hint = spelling_hint(workflow.entry_point, workflow.steps)
        problems.append(GraphProblem("", "entry_point", f"unknown step {workflow.entry_point!r}", hint))
    if not 1 <= workflow.max_parallel <= 256:
        problems.append(GraphProblem("", "max_parallel", "must be from 1 to 256"))
    # The graph can be searched only if every link has a target.
    return tuple(problems) if problems else tuple(_graph_problems(workflow))


def require_valid(workflow: Workflow) -> Workflow:
    """Return the workflow unchanged if it is valid.

    Raises:
        DefinitionError: the workflow is invalid. The error lists every mistake.
    """
    problems = find_problems(workflow)
    if problems:
        raise DefinitionError(
            tuple(Problem(workflow.name, 0, f"{p.step}.{p.key}", p.message, p.fix) for p in problems)
        )
    return workflow


def _step_problems(workflow: Workflow, step: Step) -> Iterator[GraphProblem]:
    if not _ID.match(step.id):
        yield GraphProblem(
            step.id, "name", "may contain only letters, digits, '_', '.' and '-', at most 100"
        )
    if sum(map(bool, (step.uses, step.script, step.agent))) != 1:
        yield GraphProblem(step.id, "name", "needs exactly one of uses, script and agent")
    if interpolation.OPEN in step.script:
        fix = "pass the value in args: or environment: and read the variable"
        yield GraphProblem(step.id, "script", f"{interpolation.OPEN} is not expanded in a script", fix)
    yield from _limit_problems(step)
    yield from _target_problems(workflow, step)
    if step.stage == "cleanup" and any(_link_targets(step)):
        yield GraphProblem(step.id, "name", "cleanup steps run in order and cannot have links")
    yield from _expression_problems(workflow, step)


def _limit_problems(step: Step) -> Iterator[GraphProblem]:
    for key, minimum in (("timeout", 0.001), ("retries", 0), ("retry_delay", 0), ("max_visits", 1)):
        value = getattr(step, key)
        if value is not None and not minimum <= value <= 1_000_000:
            yield GraphProblem(step.id, key, f"must be at least {minimum:g} and at most 1000000")


def _target_problems(workflow: Workflow, step: Step) -> Iterator[GraphProblem]:
    for key, target in _link_targets(step):
        if target not in workflow.steps:
            hint = spelling_hint(target, workflow.steps)
            yield GraphProblem(step.id, key, f"unknown step {target!r}", hint)
        elif target == step.id and key in {"needs", "parallel_with"}:
            yield GraphProblem(step.id, key, "a step cannot wait for itself or run in parallel with itself")
        elif workflow.steps[target].stage != step.stage:
            yield GraphProblem(step.id, key, f"{target!r} is in another list of steps")


def _link_targets(step: Step) -> Iterator[tuple[str, str]]:
    for key in ("on_success", "on_failure"):
        if target := getattr(step, key):
            yield key, target
    for key in ("parallel_with", "needs", "after"):
        for target in getattr(step, key):
            yield key, target


def _expression_problems(workflow: Workflow, step: Step) -> Iterator[GraphProblem]:
    known = [other.id.removeprefix(step.scope) for other in workflow.steps.values()]
    for key in ("condition", "args", "environment", "working_directory"):
        value = getattr(step, key)
        try:
            nodes = list(interpolation.expressions(value))
            if key == "condition" and value:
                nodes = [condition.parse(value)]
        except ConditionError as error:
            yield GraphProblem(step.id, key, error.message, error.fix)
            continue
        for name in sorted(set().union(*map(condition.referenced_steps, nodes)) - set(known)):
            hint = spelling_hint(name, known)
            yield GraphProblem(step.id, key, f"unknown step {safe_line(name, 60)!r}", hint)


def _graph_problems(workflow: Workflow) -> Iterator[GraphProblem]:
    links = workflow.links
    reachable = _reachable_steps(workflow, links)
    for step in workflow.steps.values():
        if step.id not in reachable and step.stage != "cleanup":
            yield GraphProblem(step.id, "name", "can never run", "link to it or remove it")
    prerequisites = {step: set[str]() for step in workflow.steps}
    unbounded = {step: set[str]() for step in workflow.steps}
    for link in links:
        # A step with max_visits breaks every loop that contains it.
        if workflow.steps[link.source].max_visits is None:
            unbounded[link.source].add(link.target)
        if link.join == "done":
            prerequisites[link.target] |= set(workflow.parallel_groups[link.source])
    deadlocked = _nodes_on_cycle(prerequisites)
    for step_id in deadlocked:
        yield GraphProblem(step_id, "needs", "waits for itself through the steps it needs")
    # Steps that wait for each other also form a loop; reporting both would be confusing.
    for step_id in _nodes_on_cycle(unbounded) if not deadlocked else ():
        fix = "set max_visits on one of the steps in the loop"
        yield GraphProblem(step_id, "on_success", "is in an unbounded loop", fix)


def _reachable_steps(workflow: Workflow, links: tuple[Link, ...]) -> set[str]:
    # A step with explicit links for both outcomes never continues with the next step of its list.
    with_success = {link.source for link in links if link.on == "success"}
    with_failure = {link.source for link in links if link.on == "failure"}
    reached = set(workflow.entry_steps)
    frontier = set(reached)
    while frontier:
        frontier = {
            link.target
            for link in links
            if link.source in frontier
            and not (link.on == "next" and link.source in with_success & with_failure)
        } - reached
        reached |= frontier
    return reached


def _nodes_on_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes that lie on a cycle."""
    # Leaves lie on no cycle. Removing them repeatedly empties a graph without cycles, the usual case.
    rest = {node: set(targets) for node, targets in graph.items()}
    leaves = [node for node, targets in rest.items() if not targets]
    while leaves:
        removed = set(leaves)
        rest = {node: targets - removed for node, targets in rest.items() if node not in removed}
        leaves = [node for node, targets in rest.items() if not targets]
    return [node for node in rest if _can_reach_itself(rest, node)]


def _can_reach_itself(graph: Mapping[str, set[str]], node: str) -> bool:
    reached: set[str] = set()
    frontier = graph[node]
    while frontier:
        reached |= frontier
        frontier = {target for source in frontier for target in graph.get(source, ())} - reached
    return node in reached
