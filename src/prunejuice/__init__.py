"""Runs repeatable AI-coding workflows, each in its own worktree, and keeps their history.

The names below are loaded when they are used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.5.0"

_NAMES = {
    "Argument": "command",
    "Command": "command",
    "Run": "run",
    "Step": "workflow",
    "StepRun": "run",
    "Workflow": "workflow",
    "WorkflowStep": "workflow",
    "execute": "app",
    "parallel": "workflow",
    "sequence": "workflow",
}

__all__ = [
    "__version__",
    *_NAMES,
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"prunejuice.{_NAMES[name]}"), name)
