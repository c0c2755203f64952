"""Run repeatable AI-coding workflows, each in its own worktree, and keep their history.

Importing this package loads none of the names below; each is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from prunejuice.system.public_names import MovedModules, lazy_names
from prunejuice.version import __version__

if TYPE_CHECKING:
    from prunejuice.app.wiring import execute
    from prunejuice.engine.run import Run, StepRun
    from prunejuice.workflow.command import Argument, Command
    from prunejuice.workflow.graph import Step, Workflow, WorkflowStep, parallel, sequence
else:  # a type checker that saw __getattr__ would accept every name
    __getattr__ = lazy_names(
        __name__,
        {
            "prunejuice.app.wiring": "execute",
            "prunejuice.engine.run": "Run StepRun",
            "prunejuice.workflow.command": "Argument Command",
            "prunejuice.workflow.graph": "Step Workflow WorkflowStep parallel sequence",
        },
    )

__all__ = [
    "Argument",
    "Command",
    "Run",
    "Step",
    "StepRun",
    "Workflow",
    "WorkflowStep",
    "__version__",
    "execute",
    "parallel",
    "sequence",
]

# The modules that held public names until 0.5.
MovedModules({
    "prunejuice.change": "prunejuice.changes.change_set",
    "prunejuice.command": "prunejuice.workflow.command",
    "prunejuice.extension": "prunejuice.verbs.plugins",
    "prunejuice.library": "prunejuice.app.api",
    "prunejuice.results": "prunejuice.verbs.results",
    "prunejuice.review": "prunejuice.changes.review",
    "prunejuice.run": "prunejuice.engine.run",
    "prunejuice.submission": "prunejuice.forges.submit",
    "prunejuice.summary": "prunejuice.verbs.summarize.summary",
}).install()
