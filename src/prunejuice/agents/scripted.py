"""The agent `scripted`: answers from a file, for tests, demonstrations, and commands under construction."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from prunejuice import document
from prunejuice.agent import AgentEvent, Can, Ended, Said, Spent, Started, Task
from prunejuice.errors import UsageError
from prunejuice.protocols import Stop

_ANSWERS = 10
"""How many answers one task gets, each but the last wrong."""


class Scripted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer: for a prompt that contains `when`, as often as `times` says (0 is always).

    `output` is a result, `text` an answer in words, `error` a failure.
    """

    when: str = ""
    times: int = 1
    output: Any = None
    text: str = ""
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Script:
    """The agent: each task gets the first answer that fits and is not used up."""

    name = "scripted"
    can = Can()

    def __init__(self, answers: list[Scripted]) -> None:
        self._answers = answers
        self._left = [answer.times or -1 for answer in answers]
        self._lock = threading.Lock()

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Answer out of the script; after a result that does not pass the check comes the next one."""
        yield Started(self.name, task.model)
        prompt, wrong = task.prompt, ""
        for _ in range(_ANSWERS):
            if stop.requested():
                yield Ended("cancelled", error="stopped")
                return
            answer = self._next(prompt)
            if answer is None:
                yield Ended(
                    "failed", error="the script has no answer for this", fix="add one to its `answers`"
                )
                return
            yield Spent(answer.input_tokens, answer.output_tokens, cost=answer.cost)
            if answer.error:
                yield Ended("failed", error=answer.error)
                return
            if answer.text:
                yield Said(answer.text)
            output = answer.text if task.schema is None else answer.output
            try:
                yield Ended("ok", output=task.check(output) if task.check else output)
            except ValueError as error:
                prompt, wrong = f"{task.prompt}\n{error}", str(error)
                continue
            return
        fix = "write an `output` that fits what is asked for"
        yield Ended("failed", error=f"no answer of the script fits: {wrong[:300]}", fix=fix)

    def _next(self, prompt: str) -> Scripted | None:
        with self._lock:
            for number, answer in enumerate(self._answers):
                if self._left[number] and answer.when in prompt:
                    self._left[number] -= 1
                    return answer
        return None

    def close(self) -> None:
        """Nothing is held."""


def read(path: Path) -> Script:
    """The agent that a file describes.

    Raises:
        UsageError: there is no such file, or it is not written as it should be.
    """
    try:
        data = document.parse(path.read_bytes(), str(path)).data
        answers = msgspec.convert(data, type=dict[str, list[Scripted]])["answers"]
    except OSError as error:
        raise UsageError(f"the script {path} cannot be read: {error.strerror}") from error
    except (msgspec.ValidationError, KeyError) as error:
        raise UsageError(
            f"{path}: {error}", "write `answers:` with a list of when, output, text, error"
        ) from error
    return Script(answers)
