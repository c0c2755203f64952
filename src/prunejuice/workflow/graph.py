"""Workflows: graphs of steps, and the links that determine their order.

Both notations become the same graph. Lists (`pre_steps`, `steps`, `post_steps`) become steps whose `after`
names their predecessors; steps linked by `on_success`, `on_failure`, `parallel_with` and `needs` stay as
they are. `Workflow.links` returns the links of either notation.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from prunejuice.errors import DefinitionError, Problem
from prunejuice.sandbox.permissions import Mode, Permissions
from prunejuice.system.public_names import renamed
from prunejuice.workflow import condition

Stage = Literal["pre", "main", "post", "cleanup"]
STAGES: tuple[Stage, ...] = ("pre", "main", "post")
DEFAULT_TIMEOUT = 300.0
DEFAULT_AGENT_TIMEOUT = 1800.0
"""The default timeouts, in seconds, of a step and of a step that runs an agent."""


class Step(Struct, frozen=True, omit_defaults=True):
    """A node of a workflow, with exactly one of `uses`, `script` and `agent`.

    `uses` names a built-in step, a step file or a command. `timeout` and `retry_delay` are seconds; a
    timeout of 0 becomes the default. `max_visits` limits how often links can lead back to the step; every
    loop needs such a limit. `after` holds the predecessors of a step from a list. `scope` is the prefix
    that composition added to the ids in this step's expressions. `sandbox` contains its processes, which
    may do what `allow` lists.
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
    sandbox: Mode = ""
    allow: Permissions = Permissions()

    def __post_init__(self) -> None:
        """Replace a timeout of 0 by the default."""
        if not self.timeout:
            force_setattr(self, "timeout", self.default_timeout)

    @property
    def default_timeout(self) -> float:
        """Return the default timeout of a step of this kind, in seconds."""
        return DEFAULT_AGENT_TIMEOUT if self.agent else DEFAULT_TIMEOUT

    def should_execute(self, context: Mapping[str, Any]) -> bool:
        """Return whether the condition holds over `context`, with the roots `args`, `steps` and `run`.

        Raises:
            ConditionError: The condition is invalid, or compares values that have no order.
        """
        return not self.condition or condition.is_true(
            condition.evaluate(condition.parse(self.condition), context)
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> "Step":
        """Return a copy with other values for the fields in `update`."""
        return replace(self, **(update or {}))

    def kind(self) -> str:
        """Return the kind of the step: `uses`, `script` or `agent`."""
        return "script" if self.script else "agent" if self.agent else "uses"

    def body(self) -> str:
        """Return the value of `uses`, `script` or `agent`, depending on the kind."""
        return self.script or self.agent or self.uses

    usual_timeout = renamed("Step.usual_timeout", "Step.default_timeout")


WorkflowStep = Step


class Workflow(Struct, frozen=True, omit_defaults=True, dict=True):
    """A graph of steps, by id. The main stage begins with `entry_point` and the steps parallel to it."""

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
    def parallel_groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return, for each step, the steps that start together with it, itself included.

        `parallel_with` applies in both directions, and is transitive.
        """
        groups: dict[str, set[str]] = {step_id: {step_id} for step_id in self.steps}
        for step_id, step in self.steps.items():
            for partner in step.parallel_with:
                merged = groups[step_id] | groups.get(partner, set())
                groups.update(dict.fromkeys(merged, merged))
        position = {step_id: index for index, step_id in enumerate(self.steps)}
        return {step: tuple(sorted(groups[step], key=position.__getitem__)) for step in self.steps}

    @cached_property
    def links(self) -> tuple["Link", ...]:
        """Return every link of the graph, in the order of the steps."""
        links: list[Link] = []
        for step in self.steps.values():
            links += _explicit_links(self, step)
            links += [Link(source, "next", step.id, "done") for source in step.after]
            links += [Link(source, "done", step.id, "done") for source in step.needs]
        return tuple(links)

    @cached_property
    def incoming(self) -> Mapping[str, tuple["Link", ...]]:
        """Return the links that lead to each step."""
        links: dict[str, list[Link]] = {step_id: [] for step_id in self.steps}
        for link in self.links:
            links.setdefault(link.target, []).append(link)
        return {step_id: tuple(step_links) for step_id, step_links in links.items()}

    @cached_property
    def outgoing(self) -> Mapping[str, tuple["Link", ...]]:
        """Return the links that start at each step."""
        links: dict[str, list[Link]] = {step_id: [] for step_id in self.steps}
        for link in self.links:
            links.setdefault(link.source, []).append(link)
        return {step_id: tuple(step_links) for step_id, step_links in links.items()}

    def steps_in_stage(self, stage: Stage) -> tuple[Step, ...]:
        """Return the steps of a stage, in definition order."""
        return self.steps_by_stage[stage]

    @cached_property
    def steps_by_stage(self) -> Mapping[Stage, tuple[Step, ...]]:
        """Return the steps of every stage, in definition order."""
        by_stage: dict[Stage, list[Step]] = {"pre": [], "main": [], "post": [], "cleanup": []}
        for step in self.steps.values():
            by_stage[step.stage].append(step)
        return {stage: tuple(steps) for stage, steps in by_stage.items()}

    @cached_property
    def entry_steps(self) -> frozenset[str]:
        """Return the ids of the steps with which a stage begins."""
        return frozenset(entry for stage in STAGES for entry in stage_entries(self, stage))

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> "Workflow":
        """Return a copy with other values for the fields in `update`."""
        return replace(self, **(update or {}))

    groups = renamed("Workflow.groups", "Workflow.parallel_groups")
    stage = renamed("Workflow.stage", "Workflow.steps_in_stage")
    stages = renamed("Workflow.stages", "Workflow.steps_by_stage")
    beginnings = renamed("Workflow.beginnings", "Workflow.entry_steps")


class Link(NamedTuple):
    """A link that makes `target` due when `source` ends with the outcome `on`.

    `next` is the order of a list, which an explicit `success` link overrides; `done` stands for `needs`.
    The links of one target with the same `join` wait for each other, as far as they can still be followed.
    """

    source: str
    on: Literal["success", "failure", "done", "next"]
    target: str
    join: str


def _explicit_links(workflow: Workflow, step: Step) -> Iterator[Link]:
    outcomes: tuple[tuple[Literal["success", "failure"], str], ...] = (
        ("success", step.on_success),
        ("failure", step.on_failure),
    )
    for on, target in outcomes:
        if not target:
            continue
        # Parallel steps that link to the same target share a join, so that the target runs once.
        group = [workflow.steps[step_id] for step_id in workflow.parallel_groups[step.id]]
        is_shared = all(getattr(partner, f"on_{on}") == target for partner in group)
        join = f"{group[0].id if is_shared else step.id}.{on}"
        for step_id in workflow.parallel_groups.get(target, (target,)):
            is_needed = step_id in workflow.steps and step.id in workflow.steps[step_id].needs
            yield Link(step.id, on, step_id, "done" if is_needed else join)


def stage_entries(workflow: Workflow, stage: Stage) -> tuple[str, ...]:
    """Return the ids of the steps with which a stage begins."""
    steps = workflow.steps_in_stage(stage)
    if not steps:
        return ()
    first = workflow.entry_point if stage == "main" else steps[0].id
    return workflow.parallel_groups.get(first or steps[0].id, ())


def link_steps(
    pre_steps: Iterable[Step], steps: Iterable[Step], post_steps: Iterable[Step] = ()
) -> dict[str, Step]:
    """Return the steps by id, each linked to its predecessors in its list.

    A step waits for all steps before it, with these exceptions: the target of an explicit link from an
    earlier step leaves the order; parallel steps take the position of the first of them; a step with
    `needs` waits only for those.
    """
    ordered: dict[str, Step] = {}
    for stage, listed in zip(STAGES, (pre_steps, steps, post_steps), strict=True):
        ordered.update(_link_in_order([replace(step, stage=stage) for step in listed]))
    return ordered


def _link_in_order(steps: list[Step]) -> dict[str, Step]:
    linked = {step.id: step for step in steps}
    groups = Workflow("", steps=linked).parallel_groups
    handled: set[str] = set()
    tips: list[str] = []  # the steps for which the next one waits
    for number, step in enumerate(steps, 1):
        if step.id in handled:
            continue
        linked[step.id] = _without_redundant_link(step, steps[number : number + 1])
        group = [step_id for step_id in groups[step.id] if step_id not in handled]
        handled.update(group, _jump_targets([linked[step_id] for step_id in group], steps[number:]))
        for step_id in group:
            after = () if linked[step_id].needs else tuple(tips)
            linked[step_id] = replace(linked[step_id], after=after)
        needed = {need for step_id in group for need in linked[step_id].needs}
        # After a step with `needs`, the tips it does not wait for are still running.
        tips = [tip for tip in tips if needed and tip not in needed] + group
    return linked


def _without_redundant_link(step: Step, following: list[Step]) -> Step:
    """Return the step without a success link that only repeats the order of the list."""
    is_redundant = step.on_success in {other.id for other in following} - {step.on_failure}
    if step.parallel_with or not is_redundant:
        return step
    return replace(step, on_success="")


def _jump_targets(sources: list[Step], later: list[Step]) -> set[str]:
    """Return the later steps that leave the order because `sources` link to them."""
    targets = {target for step in sources for target in (step.on_success, step.on_failure)}
    return {step.id for step in later if step.id in targets}


# -- composition --------------------------------------------------------------------------------


def sequence(*workflows: Workflow) -> Workflow:
    """Compose workflows into one that runs them in turn. Step ids become `<workflow>_<id>`."""
    names = _unique_names(workflows)
    steps: dict[str, Step] = {}
    ends: tuple[str, ...] = ()
    for name, flow in zip(names, workflows, strict=True):
        prefixed = _prefix_steps(flow, f"{name}_")
        for entry in stage_entries(flow, "main"):
            step = prefixed[f"{name}_{entry}"]
            prefixed[step.id] = replace(step, after=step.after + ends)
        steps.update(prefixed)
        ends = tuple(f"{name}_{end}" for end in _final_steps(flow))
    return _compose("sequence", workflows, steps, f"{names[0]}_{stage_entries(workflows[0], 'main')[0]}")


def parallel(*workflows: Workflow) -> Workflow:
    """Compose workflows into one that runs them in parallel. Step ids become `<workflow>_<id>`."""
    names = _unique_names(workflows)
    steps: dict[str, Step] = {}
    heads: list[str] = []
    for name, flow in zip(names, workflows, strict=True):
        steps.update(_prefix_steps(flow, f"{name}_"))
        heads += [f"{name}_{entry}" for entry in stage_entries(flow, "main")]
    for head in heads:
        others = tuple(other for other in heads if other != head)
        steps[head] = replace(steps[head], parallel_with=others)
    return _compose("parallel", workflows, steps, heads[0])


def _compose(
    kind: str, workflows: tuple[Workflow, ...], steps: dict[str, Step], entry_point: str
) -> Workflow:
    return Workflow(
        name=f"{kind}_{'_'.join(flow.name for flow in workflows)}",
        description=f"{kind.capitalize()} of {', '.join(flow.name for flow in workflows)}",
        steps=steps,
        entry_point=entry_point,
        max_parallel=max(flow.max_parallel for flow in workflows),
        stop_on_failure=all(flow.stop_on_failure for flow in workflows),
    )


def _unique_names(workflows: tuple[Workflow, ...]) -> list[str]:
    if not workflows:
        raise DefinitionError((Problem("workflow", 0, "", "no workflows to compose"),))
    # Command names cannot contain `~`, so it separates a name from its number until all are known.
    names: list[str] = []
    for flow in workflows:
        count = sum(1 for name in names if name.split("~")[0] == flow.name)
        names.append(f"{flow.name}~{count + 1}" if count else flow.name)
    return [name.replace("~", "_") for name in names]


def _prefix_steps(flow: Workflow, prefix: str) -> dict[str, Step]:
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


def _final_steps(flow: Workflow) -> tuple[str, ...]:
    """Return the ids of the steps that no step follows on success."""
    continued = {link.source for link in flow.links if link.on != "failure"}
    return tuple(step.id for step in flow.steps_in_stage("main") if step.id not in continued)
