"""The agent `scripted`: answers from a file, for tests, demonstrations and new commands."""

import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.agents.protocol import (
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    AgentStarted,
    Capabilities,
    Task,
    TextDelta,
    Usage,
)
from prunejuice.errors import UsageError
from prunejuice.system import yaml_reader
from prunejuice.system.stop_request import Stop

_MAX_ANSWERS = 10
"""The most answers for one task, if each of them is invalid."""


class ScriptedAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer to a prompt that contains `when`; used `times` times, 0 for no limit.

    `output` is a result, `text` an answer in words, `error` a failure. It comes after `seconds`.
    """

    when: str = ""
    times: int = 1
    output: Any = None
    text: str = ""
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


class ScriptedAgent:
    """An agent that gives each task the first answer that matches and is not used up."""

    name = "scripted"
    capabilities = Capabilities()

    def __init__(self, answers: list[ScriptedAnswer]) -> None:
        self._answers = answers
        self._left = [answer.times or -1 for answer in answers]
        self._lock = threading.Lock()

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Answer from the script; after a result that fails the check, give the next answer."""
        yield AgentStarted(self.name, task.model)
        prompt, problem = task.prompt, ""
        for _ in range(_MAX_ANSWERS):
            if stop.is_requested():
                yield AgentEnded("cancelled", error="stopped")
                return
            answer = self._next_answer(prompt)
            if answer is None:
                yield AgentEnded(
                    "failed", error="the script has no answer for this task", fix="add one to its `answers`"
                )
                return
            select.select([stop], [], [], max(0.0, answer.seconds))
            yield Usage(answer.input_tokens, answer.output_tokens, cost=answer.cost)
            if answer.error:
                yield AgentEnded("failed", error=answer.error)
                return
            if answer.text:
                yield TextDelta(answer.text)
            output = answer.text if task.schema is None else answer.output
            try:
                yield AgentEnded("ok", output=task.check(output) if task.check else output)
            except ValueError as error:
                prompt, problem = f"{task.prompt}\n{error}", str(error)
                continue
            return
        fix = "write an `output` that matches the requested result"
        yield AgentEnded("failed", error=f"the script has no valid answer: {problem[:300]}", fix=fix)

    def _next_answer(self, prompt: str) -> ScriptedAnswer | None:
        with self._lock:
            for number, answer in enumerate(self._answers):
                if self._left[number] and answer.when in prompt:
                    self._left[number] -= 1
                    return answer
        return None

    def close(self) -> None:
        """Do nothing: a script holds no resources."""


def load_script(path: Path) -> ScriptedAgent:
    """Return the agent for a script.

    Raises:
        UsageError: the file could not be read, or is invalid.
    """
    try:
        data = yaml_reader.parse(path.read_bytes(), str(path)).data
        answers = msgspec.convert(data, type=dict[str, list[ScriptedAnswer]])["answers"]
    except OSError as error:
        raise UsageError(f"could not read the script {path}: {error.strerror}") from error
    except (msgspec.ValidationError, KeyError) as error:
        raise UsageError(
            f"{path}: {error}", "write `answers:` with a list of when, output, text, error"
        ) from error
    return ScriptedAgent(answers)


def create(request: AgentRequest) -> Agent:
    """Create the agent `scripted`.

    Raises:
        UsageError: no script is given, or it could not be read.
    """
    if not request.script:
        raise UsageError("the agent 'scripted' needs a script", "pass its answers with --script FILE")
    return load_script(Path(request.script))
