"""Commands and workflows: YAML files are loaded as a `Command`, and bound to arguments in a `Plan`.

Start with `catalog.Catalog.load`, `graph.Workflow`, `plan.make_plan`.
"""

from typing import TYPE_CHECKING

from prunejuice.system.public_names import lazy_names

if TYPE_CHECKING:
    from prunejuice.workflow.graph import Step, Workflow, WorkflowStep, parallel, sequence
else:
    __getattr__ = lazy_names(
        __name__, {"prunejuice.workflow.graph": "Step Workflow WorkflowStep parallel sequence"}
    )

__all__ = ["Step", "Workflow", "WorkflowStep", "parallel", "sequence"]
