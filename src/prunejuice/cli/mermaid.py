"""A workflow as a Mermaid flowchart."""

from collections.abc import Iterator
from itertools import pairwise

from prunejuice.text import safe_line
from prunejuice.workflow.graph import STAGES, Workflow, stage_entries


def flowchart_lines(workflow: Workflow) -> Iterator[str]:
    """Yield the lines of the Mermaid flowchart of a workflow."""
    yield "flowchart TD"
    # Step ids may contain Mermaid syntax, so nodes get numbers and ids appear only in quoted labels.
    numbers = {step_id: f"s{number}" for number, step_id in enumerate(workflow.steps)}
    for step in workflow.steps.values():
        label = safe_line(step.id).replace('"', "#quot;")
        shape = f'{{{{"{label}"}}}}' if step.condition else f'["{label}"]'
        yield f"  {numbers[step.id]}{shape}"
    for link in workflow.links:
        arrow = {"failure": "-. failure .->", "success": "-- success -->"}.get(link.on, "-->")
        yield f"  {numbers[link.source]} {arrow} {numbers[link.target]}"
    for before, after in _stage_links(workflow):
        yield f"  {numbers[before]} ==> {numbers[after]}"


def _stage_links(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """Yield links from the last steps of each stage to the first steps of the next."""
    stages = [stage for stage in STAGES if workflow.steps_in_stage(stage)]
    continued = {link.source for link in workflow.links if link.on != "failure"}
    for stage, next_stage in pairwise(stages):
        for last in (step.id for step in workflow.steps_in_stage(stage) if step.id not in continued):
            for first in stage_entries(workflow, next_stage):
                yield last, first
