"""Codebot for programs: changes of files as values, applied all or nothing.

from codebot import ChangeSet, FileChange

FileChange("src/a.py", "print()\\n").apply()
"""

from prunejuice.change import ChangeSet, CommandOutput, FileChange
from prunejuice.errors import ConflictError, DeniedError, PruneJuiceError, UsageError

__all__ = [
    "ChangeSet",
    "CommandOutput",
    "ConflictError",
    "DeniedError",
    "FileChange",
    "PruneJuiceError",
    "UsageError",
]
