"""The agent `interactive`: a person works with a program in the terminal; what changed is the answer."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prunejuice import process
from prunejuice.agent import TASK, AgentEvent, Can, Ended, Spent, Started, Task
from prunejuice.agents import program
from prunejuice.errors import MissingToolError, StepError
from prunejuice.process import Call
from prunejuice.protocols import Stop

_ASKS = f"Read {TASK}. It says what is to be done, and shows the code that it is about."
_WORDS: Mapping[str, Callable[[Task], list[str]]] = {
    "claude": lambda task: [*_option("--model", task.model), "--setting-sources", "user", _ASKS],
    "codex": lambda task: [
        *_option("--model", task.model), "--disable", "plugins", "--disable", "daemon_auto_start", _ASKS
    ],
    "gemini": lambda task: [*_option("-m", task.model), "-i", _ASKS],
    "opencode": lambda task: [*_option("--model", task.model), "--prompt", _ASKS],
}  # fmt: skip
"""The words that programs which are known are started with; any other is started without."""
_MINE = (
    "ANTHROPIC_",
    "CLAUDE_",
    "OPENAI_",
    "CODEX_",
    "GEMINI_",
    "GOOGLE_",
    "OPENCODE_",
    "AWS_",
    "COLORTERM",
)


Elsewhere = Callable[[Call, Stop], int]
"""Runs a program where a person can see it, and gives its exit code."""


class Interactive:
    """A program in the terminal of the person who called; where that is not free, `elsewhere`."""

    can = Can(edits=True, schema=False, cost=False, approve=True, keeps=())

    def __init__(self, name: str, environ: Mapping[str, str], elsewhere: Elsewhere | None = None) -> None:
        self.name = "interactive"
        self._program, self._environ, self._elsewhere = name, environ, elsewhere

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Write down what is to be done, and hand the terminal over until the program ends."""
        yield Started(self.name, task.model)
        if self._elsewhere is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
            fix = "call it in a terminal; a step of a command can do with tmux"
            yield Ended("failed", error="there is no terminal to work in", fix=fix)
            return
        path = Path(task.directory, TASK)
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{task.instructions}\n\n{task.prompt}\n", encoding="utf-8", errors="replace")
        except OSError as error:
            fix = f"have {TASK} free for what is to be done"
            yield Ended("failed", error=f"{TASK} cannot be written: {error.strerror}", fix=fix)
            return
        try:
            argv = [program.found(self._program, self._environ, "install it, or name another: --agent")]
        except MissingToolError as error:
            yield Ended("failed", error=error.message, fix=error.fix)
            return
        argv += _WORDS[self._program](task) if self._program in _WORDS else []
        env = program.surroundings(self._environ, _MINE)
        work = self._elsewhere or process.foreground
        try:
            code = work(Call(argv, task.directory, env, tag=task.tag), stop)
        except StepError as error:
            yield Ended("failed", error=error.message, fix=error.fix)
            return
        yield Spent(0, 0, calls=0)  # the program does not say what it took
        if stop.level:
            yield Ended("cancelled", error="stopped")
        elif code:
            yield Ended("failed", error=f"{self._program} ended with exit {code}", fix="")
        else:
            yield Ended("ok", output=f"Made by a person with {self._program}.")

    def close(self) -> None:
        """Nothing is held."""


def _option(name: str, value: str) -> list[str]:
    return [name, value] if value else []
