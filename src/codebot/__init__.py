"""Codebot for programs: changes of files as values, applied all or nothing, and summaries of code.

from codebot import ChangeSet, FileChange, summarize

FileChange("src/a.py", "print()\\n").apply()
summarize(["src/"]).to_markdown()
"""

from typing import TYPE_CHECKING, Any

from prunejuice.change import ChangeSet, CommandOutput, FileChange
from prunejuice.errors import (
    AgentError,
    ConflictError,
    DeniedError,
    LimitError,
    PruneJuiceError,
    UsageError,
)

if TYPE_CHECKING:
    from prunejuice.contexts.clip import summarize
    from prunejuice.summary import CodeComponent, CodePattern, SummaryResult

__all__ = [
    "AgentError",
    "ChangeSet",
    "CodeComponent",
    "CodePattern",
    "CommandOutput",
    "ConflictError",
    "DeniedError",
    "FileChange",
    "LimitError",
    "PruneJuiceError",
    "SummaryResult",
    "UsageError",
    "summarize",
]
_LATER = {
    "CodeComponent": "prunejuice.summary",
    "CodePattern": "prunejuice.summary",
    "SummaryResult": "prunejuice.summary",
    "summarize": "prunejuice.contexts.clip",
}
"""Names that cost a while to import, and where they are."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_LATER[name]), name)
