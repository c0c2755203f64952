"""The graph a command runs: steps, and the links that say what follows what.

Both spellings end here. A list (`pre_steps`, `steps`, `post_steps`) becomes steps whose `after` names
their predecessors; linked steps (`on_success`, `on_failure`, `parallel_with`, `needs`) are kept as
they are. `Workflow.links` reads the one graph out of either.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from prunejuice import condition, template
from prunejuice.errors import ConditionError, DefinitionError, Problem
from prunejuice.text import nearest, safe_line

Stage = Literal["pre", "main", "post", "cleanup"]
STAGES: tuple[Stage, ...] = ("pre", "main", "post")
MAX_STEPS = 1000
TIMEOUT, AGENT_TIMEOUT = 300.0, 1800.0
"""Seconds that a step has, and one of an agent, when a file says nothing else."""

_ID = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,98}\w)?\Z", re.ASCII)


class Step(Struct, frozen=True, omit_defaults=True):
    """One node: exactly one of `uses` (built-in step, step file or command), `script`, `agent`.

    `timeout` and `retry_delay` are seconds; a timeout of 0 is the usual one. `max_visits` bounds how often
    links may come back here; every loop needs one. `after` is the order of a list; `scope` is the prefix
    that composition gave to the ids this step's expressions mean.
    """

    name: str
    id: str = ""
    uses: str = ""
    script: str = ""
    agent: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)
    working_directory: str = ""
    condition: str = ""
    on_success: str = ""
    on_failure: str = ""
    parallel_with: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    timeout: float = 0
    retries: int = 0
    retry_delay: float = 0
    max_visits: int | None = None
    continue_on_error: bool = False
    on_interrupt: Literal["rerun", "skip", "ask"] = "rerun"
    stage: Stage = "main"
    scope: str = ""

    def __post_init__(self) -> None:
        """Give the step the time that its kind has."""
        if not self.timeout:
            force_setattr(self, "timeout", self.usual_timeout)

    @property
    def usual_timeout(self) -> float:
        """The seconds that a step of its kind has when nothing else is said."""
        return AGENT_TIMEOUT if self.agent else TIMEOUT

    def kind(self) -> str:
        """`uses`, `script` or `agent`."""
        return "script" if self.script else "agent" if self.agent else "uses"

    def body(self) -> str:
        """What it uses, its script, or its agent."""
        return self.script or self.agent or self.uses


WorkflowStep = Step


class Workflow(Struct, frozen=True, omit_defaults=True, dict=True):
    """Steps by id. The main stage begins at `entry_point` and what is parallel with it."""

    name: str
    description: str = ""
    steps: dict[str, Step] = field(default_factory=dict)
    entry_point: str = ""
    max_parallel: int = 5
    stop_on_failure: bool = True

    def __post_init__(self) -> None:
        if any(step.id != key for key, step in self.steps.items()):
            force_setattr(self, "steps", {k: replace(s, id=k) for k, s in self.steps.items()})

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """By step, all that start together (`parallel_with`, in both directions)."""
        found: dict[str, set[str]] = {step_id: {step_id} for step_id in self.steps}
        for step_id, step in self.steps.items():
            for partner in step.parallel_with:
                together = found[step_id] | found.get(partner, set())
                found.update(dict.fromkeys(together, together))
        place = {step_id: number for number, step_id in enumerate(self.steps)}
        return {each: tuple(sorted(found[each], key=place.__getitem__)) for each in self.steps}

    @cached_property
    def links(self) -> tuple["Link", ...]:
        """Every link of the graph, in the order of the steps."""
        found: list[Link] = []
        for step in self.steps.values():
            found += _explicit(self, step)
            found += [Link(source, "next", step.id, "done") for source in step.after]
            found += [Link(source, "done", step.id, "done") for source in step.needs]
        return tuple(found)

    @cached_property
    def incoming(self) -> Mapping[str, tuple["Link", ...]]:
        """The links that lead to each step."""
        found: dict[str, list[Link]] = {step_id: [] for step_id in self.steps}
        for link in self.links:
            found.setdefault(link.target, []).append(link)
        return {step_id: tuple(every) for step_id, every in found.items()}

    @cached_property
    def outgoing(self) -> Mapping[str, tuple["Link", ...]]:
        """The links that lead away from each step."""
        found: dict[str, list[Link]] = {step_id: [] for step_id in self.steps}
        for link in self.links:
            found.setdefault(link.source, []).append(link)
        return {step_id: tuple(every) for step_id, every in found.items()}

    def stage(self, stage: Stage) -> tuple[Step, ...]:
        """The steps of one stage, in the order they were written."""
        return self.stages[stage]

    @cached_property
    def stages(self) -> Mapping[Stage, tuple[Step, ...]]:
        """The steps of every stage, in the order they were written."""
        listed: dict[Stage, list[Step]] = {"pre": [], "main": [], "post": [], "cleanup": []}
        for step in self.steps.values():
            listed[step.stage].append(step)
        return {stage: tuple(steps) for stage, steps in listed.items()}

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """The steps that some stage begins with."""
        return frozenset(entry for stage in STAGES for entry in entries(self, stage))


class Link(NamedTuple):
    """When `source` ends in the way of `on`, `target` is due.

    `next` is the order of a list and gives way to an explicit `success` link; `done` is `needs`.
    Links of one target with the same `join` wait for whatever else may still arrive by that join.
    """

    source: str
    on: Literal["success", "failure", "done", "next"]
    target: str
    join: str


def _explicit(workflow: Workflow, step: Step) -> Iterator[Link]:
    ways: tuple[tuple[Literal["success", "failure"], str], ...] = (
        ("success", step.on_success),
        ("failure", step.on_failure),
    )
    for on, target in ways:
        if not target:
            continue
        partners = [workflow.steps[each] for each in workflow.groups[step.id]]
        shared = all(getattr(each, f"on_{on}") == target for each in partners)
        join = f"{partners[0].id if shared else step.id}.{on}"
        for each in workflow.groups.get(target, (target,)):
            needed = each in workflow.steps and step.id in workflow.steps[each].needs
            yield Link(step.id, on, each, "done" if needed else join)


def entries(workflow: Workflow, stage: Stage) -> tuple[str, ...]:
    """The steps that a stage begins with."""
    steps = workflow.stage(stage)
    if not steps:
        return ()
    first = workflow.entry_point if stage == "main" else steps[0].id
    return workflow.groups.get(first or steps[0].id, ())


def from_lists(
    pre_steps: Iterable[Step], steps: Iterable[Step], post_steps: Iterable[Step] = ()
) -> dict[str, Step]:
    """Steps by id, each linked to what stands before it in its list.

    A step that a step in the order links forward to leaves it; steps that are parallel stand at the
    place of their first; a step with `needs` is placed by them; a plain one waits for all before it.
    """
    ordered: dict[str, Step] = {}
    for stage, listed in zip(STAGES, (pre_steps, steps, post_steps), strict=True):
        ordered.update(_in_order([replace(step, stage=stage) for step in listed]))
    return ordered


def _in_order(steps: list[Step]) -> dict[str, Step]:
    placed = {step.id: step for step in steps}
    groups = Workflow("", steps=placed).groups
    left: set[str] = set()
    tips: list[str] = []
    for number, step in enumerate(steps, 1):
        if step.id in left:
            continue
        placed[step.id] = _plainer(step, steps[number : number + 1])
        together = [each for each in groups[step.id] if each not in left]
        left.update(together, _jumps([placed[each] for each in together], steps[number:]))
        for each in together:
            after = () if placed[each].needs else tuple(tips)
            placed[each] = replace(placed[each], after=after)
        needed = {need for each in together for need in placed[each].needs}
        tips = [tip for tip in tips if needed and tip not in needed] + together
    return placed


def _plainer(step: Step, following: list[Step]) -> Step:
    """The step without a success link that only repeats the order of the list."""
    repeats = step.on_success in {each.id for each in following} - {step.on_failure}
    if step.parallel_with or not repeats:
        return step
    return replace(step, on_success="")


def _jumps(sources: list[Step], later: list[Step]) -> set[str]:
    """Later steps that leave the order because a step that is in it links to them."""
    targets = {target for step in sources for target in (step.on_success, step.on_failure)}
    return {step.id for step in later if step.id in targets}


# -- composition --------------------------------------------------------------------------------


def sequence(*workflows: Workflow) -> Workflow:
    """One workflow that runs the given ones in turn; ids become `<workflow>_<id>`."""
    names = _names(workflows)
    steps: dict[str, Step] = {}
    ends: tuple[str, ...] = ()
    for name, flow in zip(names, workflows, strict=True):
        added = _prefixed(flow, f"{name}_")
        for entry in entries(flow, "main"):
            step = added[f"{name}_{entry}"]
            added[step.id] = replace(step, after=step.after + ends)
        steps.update(added)
        ends = tuple(f"{name}_{end}" for end in _ends(flow))
    return _composed("sequence", workflows, steps, f"{names[0]}_{entries(workflows[0], 'main')[0]}")


def parallel(*workflows: Workflow) -> Workflow:
    """One workflow that runs the given ones side by side; ids become `<workflow>_<id>`."""
    names = _names(workflows)
    steps: dict[str, Step] = {}
    heads: list[str] = []
    for name, flow in zip(names, workflows, strict=True):
        steps.update(_prefixed(flow, f"{name}_"))
        heads += [f"{name}_{entry}" for entry in entries(flow, "main")]
    for head in heads:
        others = tuple(other for other in heads if other != head)
        steps[head] = replace(steps[head], parallel_with=others)
    return _composed("parallel", workflows, steps, heads[0])


def _composed(
    how: str, workflows: tuple[Workflow, ...], steps: dict[str, Step], entry_point: str
) -> Workflow:
    return Workflow(
        name=f"{how}_{'_'.join(flow.name for flow in workflows)}",
        description=f"{how.capitalize()} of {', '.join(flow.name for flow in workflows)}",
        steps=steps,
        entry_point=entry_point,
        max_parallel=max(flow.max_parallel for flow in workflows),
        stop_on_failure=all(flow.stop_on_failure for flow in workflows),
    )


def _names(workflows: tuple[Workflow, ...]) -> list[str]:
    if not workflows:
        raise DefinitionError((Problem("workflow", 0, "", "there is nothing to compose"),))
    names: list[str] = []
    for flow in workflows:
        count = sum(1 for name in names if name.split("~")[0] == flow.name)
        names.append(f"{flow.name}~{count + 1}" if count else flow.name)
    return [name.replace("~", "_") for name in names]


def _prefixed(flow: Workflow, prefix: str) -> dict[str, Step]:
    return {
        prefix + step.id: replace(
            step,
            id=prefix + step.id,
            scope=prefix + step.scope,
            on_success=step.on_success and prefix + step.on_success,
            on_failure=step.on_failure and prefix + step.on_failure,
            parallel_with=tuple(prefix + other for other in step.parallel_with),
            needs=tuple(prefix + other for other in step.needs),
            after=tuple(prefix + other for other in step.after),
        )
        for step in flow.steps.values()
    }


def _ends(flow: Workflow) -> tuple[str, ...]:
    """The steps after which nothing follows on success."""
    going_on = {link.source for link in flow.links if link.on != "failure"}
    return tuple(step.id for step in flow.stage("main") if step.id not in going_on)


# -- checking -----------------------------------------------------------------------------------


class Fault(NamedTuple):
    """One mistake in a graph: the step, the key of it, what is wrong and what to do."""

    step: str
    key: str
    message: str
    fix: str = ""


def faults(workflow: Workflow) -> tuple[Fault, ...]:
    """Every mistake in the graph; an empty answer means that it can be run."""
    found = [fault for step in workflow.steps.values() for fault in _step_faults(workflow, step)]
    if len(workflow.steps) > MAX_STEPS:
        found.append(Fault("", "steps", f"more than {MAX_STEPS} steps"))
    if workflow.entry_point and workflow.entry_point not in workflow.steps:
        hint = nearest(workflow.entry_point, workflow.steps)
        found.append(Fault("", "entry_point", f"no step {workflow.entry_point!r}", hint))
    if not 1 <= workflow.max_parallel <= 256:
        found.append(Fault("", "max_parallel", "must be from 1 to 256"))
    return tuple(found) if found else tuple(_graph_faults(workflow))


def checked(workflow: Workflow) -> Workflow:
    """The workflow itself.

    Raises:
        DefinitionError: with every mistake in it.
    """
    found = faults(workflow)
    if found:
        raise DefinitionError(
            tuple(Problem(workflow.name, 0, f"{f.step}.{f.key}", f.message, f.fix) for f in found)
        )
    return workflow


def _step_faults(workflow: Workflow, step: Step) -> Iterator[Fault]:
    if not _ID.match(step.id):
        yield Fault(step.id, "name", "must be letters, digits, '_', '.', '-', at most 100")
    if sum(map(bool, (step.uses, step.script, step.agent))) != 1:
        yield Fault(step.id, "name", "needs exactly one of uses, script and agent")
    if template.OPEN in step.script:
        fix = "hand it over as args: or environment: and read the variable"
        yield Fault(step.id, "script", f"{template.OPEN} is not filled in inside a script", fix)
    yield from _limit_faults(step)
    yield from _target_faults(workflow, step)
    if step.stage == "cleanup" and any(_targets(step)):
        yield Fault(step.id, "name", "clean-up steps run in order and take no links")
    yield from _expression_faults(workflow, step)


def _limit_faults(step: Step) -> Iterator[Fault]:
    for key, low in (("timeout", 0.001), ("retries", 0), ("retry_delay", 0), ("max_visits", 1)):
        value = getattr(step, key)
        if value is not None and not low <= value <= 1_000_000:
            yield Fault(step.id, key, f"must be at least {low:g} and at most 1000000")


def _target_faults(workflow: Workflow, step: Step) -> Iterator[Fault]:
    for key, target in _targets(step):
        if target not in workflow.steps:
            yield Fault(step.id, key, f"no step {target!r}", nearest(target, workflow.steps))
        elif target == step.id and key in {"needs", "parallel_with"}:
            yield Fault(step.id, key, "a step cannot wait for or join itself")
        elif workflow.steps[target].stage != step.stage:
            yield Fault(step.id, key, f"{target!r} is in another list of steps")


def _targets(step: Step) -> Iterator[tuple[str, str]]:
    for key in ("on_success", "on_failure"):
        if target := getattr(step, key):
            yield key, target
    for key in ("parallel_with", "needs", "after"):
        for target in getattr(step, key):
            yield key, target


def _expression_faults(workflow: Workflow, step: Step) -> Iterator[Fault]:
    known = [s.id.removeprefix(step.scope) for s in workflow.steps.values()]
    for key in ("condition", "args", "environment", "working_directory"):
        value = getattr(step, key)
        try:
            nodes = list(template.expressions(value))
            if key == "condition" and value:
                nodes = [condition.parse(value)]
        except ConditionError as error:
            yield Fault(step.id, key, error.message, error.fix)
            continue
        for name in sorted(set().union(*map(condition.steps_named, nodes)) - set(known)):
            yield Fault(step.id, key, f"no step {safe_line(name, 60)!r}", nearest(name, known))


def _graph_faults(workflow: Workflow) -> Iterator[Fault]:
    every = workflow.links
    reached = _reached(workflow, every)
    for step in workflow.steps.values():
        if step.id not in reached and step.stage != "cleanup":
            yield Fault(step.id, "name", "can never run", "link to it, or take it out")
    waits = {step: set[str]() for step in workflow.steps}
    loops = {step: set[str]() for step in workflow.steps}
    for link in every:
        if workflow.steps[link.source].max_visits is None:
            loops[link.source].add(link.target)
        if link.join == "done":
            waits[link.target] |= set(workflow.groups[link.source])
    stuck = _on_cycle(waits)
    for step_id in stuck:
        yield Fault(step_id, "needs", "waits for itself through what it needs")
    for step_id in _on_cycle(loops) if not stuck else ():
        fix = "give one of its steps max_visits"
        yield Fault(step_id, "on_success", "is in a loop without a bound", fix)


def _reached(workflow: Workflow, every: tuple[Link, ...]) -> set[str]:
    going_on = {link.source for link in every if link.on == "success"}
    caught = {link.source for link in every if link.on == "failure"}
    found = set(workflow.beginnings)
    fresh = set(found)
    while fresh:
        fresh = {
            link.target
            for link in every
            if link.source in fresh and not (link.on == "next" and link.source in going_on & caught)
        } - found
        found |= fresh
    return found


def _on_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """The nodes from which a path leads back to themselves."""
    rest = {node: set(targets) for node, targets in graph.items()}
    leaves = [node for node, targets in rest.items() if not targets]
    while leaves:
        gone = set(leaves)
        rest = {node: targets - gone for node, targets in rest.items() if node not in gone}
        leaves = [node for node, targets in rest.items() if not targets]
    return [node for node in rest if _leads_back(rest, node)]


def _leads_back(graph: Mapping[str, set[str]], node: str) -> bool:
    found: set[str] = set()
    fresh = graph[node]
    while fresh:
        found |= fresh
        fresh = {target for each in fresh for target in graph.get(each, ())} - found
    return node in found
