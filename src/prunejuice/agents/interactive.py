"""The agent `interactive`: a person works with a program in a terminal; the result is the changed files."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prunejuice.agents import program
from prunejuice.agents.protocol import (
    TASK_FILE,
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    AgentStarted,
    Capabilities,
    Task,
    Usage,
)
from prunejuice.errors import MissingToolError, StepError
from prunejuice.sandbox import terminals
from prunejuice.system import process
from prunejuice.system.process import ProcessSpec
from prunejuice.system.stop_request import Stop

_PROMPT = f"Read {TASK_FILE}. It says what is to be done, and shows the code that it is about."
_ARGUMENTS: Mapping[str, Callable[[Task], list[str]]] = {
    "claude": lambda task: [*_option("--model", task.model), "--setting-sources", "user", _PROMPT],
    "codex": lambda task: [
        *_option("--model", task.model), "--disable", "plugins", "--disable", "daemon_auto_start", _PROMPT
    ],
    "gemini": lambda task: [*_option("-m", task.model), "-i", _PROMPT],
    "opencode": lambda task: [*_option("--model", task.model), "--prompt", _PROMPT],
}  # fmt: skip
"""The arguments of known programs; any other program is started without arguments."""
_ENV_PREFIXES = (
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
_TYPING = "a program in a sandbox could type into your terminal, and so run commands outside"
_NO_TYPING = "run `sudo sysctl dev.tty.legacy_tiocsti=0`, or write `sandbox: off` for this step"
TerminalRunner = Callable[[ProcessSpec, Stop], int]
"""Runs a program where a person can use it, and returns its exit code."""


class InteractiveAgent:
    """A program in the caller's terminal, or in `elsewhere` if that terminal is not available."""

    capabilities = Capabilities(edits=True, schema=False, cost=False, approve=True, enforced_limits=())

    def __init__(
        self, name: str, environ: Mapping[str, str], elsewhere: TerminalRunner | None = None
    ) -> None:
        self.name = "interactive"
        self._program, self._environ, self._elsewhere = name, environ, elsewhere

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Write the task file, and hand the terminal over until the program ends."""
        yield AgentStarted(self.name, task.model)
        if obstacle := self._find_obstacle(task):
            yield obstacle
            return
        task_path = Path(task.directory, TASK_FILE)
        try:
            task_path.parent.mkdir(exist_ok=True)
            task_path.write_text(
                f"{task.instructions}\n\n{task.prompt}\n", encoding="utf-8", errors="replace"
            )
        except OSError as error:
            fix = f"make sure that {TASK_FILE} can be created"
            yield AgentEnded("failed", error=f"could not write {TASK_FILE}: {error.strerror}", fix=fix)
            return
        try:
            argv = [
                program.require_program(
                    self._program, self._environ, "install it, or use another agent: --agent"
                )
            ]
        except MissingToolError as error:
            yield AgentEnded("failed", error=error.message, fix=error.fix)
            return
        argv += _ARGUMENTS[self._program](task) if self._program in _ARGUMENTS else []
        env = program.agent_environment(self._environ, _ENV_PREFIXES)
        run_program = self._elsewhere or process.run_in_foreground
        try:
            code = run_program(program.build_process_spec(task, argv, env), stop)
        except StepError as error:
            yield AgentEnded("failed", error=error.message, fix=error.fix)
            return
        yield Usage(0, 0, calls=0)  # the program does not report its usage
        if stop.level:
            yield AgentEnded("cancelled", error="stopped")
        elif code:
            yield AgentEnded("failed", error=f"{self._program} exited with code {code}", fix="")
        else:
            yield AgentEnded("ok", output=f"Made by a person with {self._program}.")

    def _find_obstacle(self, task: Task) -> AgentEnded | None:
        """Return the end of a task for which there is no terminal, or none that a sandbox cannot misuse."""
        if self._elsewhere is not None:
            return None
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            fix = "run it in a terminal, or as a step of a command with tmux"
            return AgentEnded("failed", error="no terminal to work in", fix=fix)
        if task.sandbox and terminals.can_be_typed_into():
            return AgentEnded("failed", error=_TYPING, fix=_NO_TYPING)
        return None

    def close(self) -> None:
        """Do nothing: no resources are held."""


def _option(name: str, value: str) -> list[str]:
    return [name, value] if value else []


def create(request: AgentRequest) -> Agent:
    """Create the agent `interactive` or `interactive:NAME`."""
    return InteractiveAgent(request.argument or "claude", request.environ, request.elsewhere)
