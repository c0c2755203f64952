"""Send the hunks that a review rejected to a program, which revises them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunejuice.changes.review import ReviewDecision
from prunejuice.edits import diff
from prunejuice.edits.diff import Hunk
from prunejuice.errors import StepError
from prunejuice.system import process, settings
from prunejuice.text import safe_line, to_utf8

MAX_ANSWER_SIZE = 64_000_000  # bytes
TIMEOUT = 1800.0  # seconds


def sent_back_to_dict(hunk: Hunk, decision: ReviewDecision) -> dict[str, Any]:
    """Return a hunk that was sent back as data for the program."""
    text = "\n".join([diff.hunk_header(hunk), *diff.hunk_lines(hunk)])
    data = {"hunk": hunk.id, "filepath": hunk.path, "action": decision.action, "reason": decision.reason}
    return {**data, "diff": to_utf8(text)}


def request_revision(command: str, root: Path, sent_back: Sequence[tuple[Hunk, ReviewDecision]]) -> str:
    """Return the answer of a program to the hunks that were sent back.

    The program reads `{"sent_back": […]}` on stdin, and writes changes or edits to stdout.

    Raises:
        StepError: the program failed, or its answer is too long.
    """
    env = settings.inherited_environment(settings.environment())
    request = json.dumps({
        "sent_back": [sent_back_to_dict(hunk, decision) for hunk, decision in sent_back]
    }).encode()
    spec = process.ProcessSpec(
        process.bash_argv(command, env.get("PATH")), str(root), env, timeout=TIMEOUT, stdin=request
    )
    result = process.capture_output(spec, MAX_ANSWER_SIZE)
    if result.code or result.truncated:
        cause = f"exit code {result.code}" if result.code else "its answer is too long"
        stderr = safe_line(result.stderr.strip()[-300:], 300)
        raise StepError(
            f"{safe_line(command, 80)!r} gave no answer: {cause} {stderr}".rstrip(),
            "fix the program, then try again; approved changes stay applied",
        )
    return result.stdout.decode("utf-8", "replace")
