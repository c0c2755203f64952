"""A step that greets."""

from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.steps.resources import StepResources


def greet(handle: StepContext, resources: StepResources) -> StepResult:
    """Print a greeting, and pass it on as the output `greeting`."""
    greeting = f"hello, {resources.args.get('name', 'world')}"
    return StepResult(ok=True, outputs={"greeting": greeting}, output=greeting)
