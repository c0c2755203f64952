"""The reason why an answer was denied, kept beside the answer, so that nobody applies it unseen."""

from pathlib import Path

from prunejuice.errors import DeniedError
from prunejuice.text import safe_line

_SUFFIX = ".denied"


def keep_denial(answer: Path, reason: str) -> None:
    """Write down why the answer in a file was denied."""
    answer.with_name(answer.name + _SUFFIX).write_text(f"{reason}\n", encoding="utf-8")


def require_not_denied(answer: Path) -> None:
    """Refuse an answer that was denied.

    Raises:
        DeniedError: The answer in this file was denied; a person may judge its hunks.
    """
    note = answer.with_name(answer.name + _SUFFIX)
    if note.is_file():
        reason = safe_line(note.read_text(encoding="utf-8", errors="replace").strip(), 400)
        raise DeniedError(
            f"this answer was denied: {reason}", f"judge it by hunk: codebot apply {answer} -r"
        )
