"""What a review sent back, handed to a program that makes it again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunejuice import hunk as hunks
from prunejuice import process, settings
from prunejuice.errors import StepError
from prunejuice.hunk import Hunk
from prunejuice.review import Decision
from prunejuice.text import safe_line, utf8

LARGEST = 64_000_000
TIMEOUT = 1800.0


def sent(hunk: Hunk, decision: Decision) -> dict[str, Any]:
    """A hunk that was sent back, as its maker gets it."""
    text = "\n".join([hunks.header(hunk), *hunks.lines(hunk)])
    about = {"hunk": hunk.id, "filepath": hunk.path, "action": decision.action, "reason": decision.reason}
    return {**about, "diff": utf8(text)}


def ask(command: str, root: Path, back: Sequence[tuple[Hunk, Decision]]) -> str:
    """What a program answers: it gets `{"sent_back": […]}` on stdin, and writes changes or edits to stdout.

    Raises:
        StepError: it failed, or said too much.
    """
    env = settings.passed_on(settings.environment())
    given = json.dumps({"sent_back": [sent(hunk, decision) for hunk, decision in back]}).encode()
    call = process.Call(
        process.bash(command, env.get("PATH")), str(root), env, timeout=TIMEOUT, given=given
    )
    done = process.capture(call, LARGEST)
    if done.code or done.cut:
        why = f"exit code {done.code}" if done.code else "its answer is too long"
        said = safe_line(done.err.strip()[-300:], 300)
        raise StepError(
            f"{safe_line(command, 80)!r} gave no answer: {why} {said}".rstrip(),
            "what was approved stays applied",
        )
    return done.out.decode("utf-8", "replace")
