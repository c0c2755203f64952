"""The exceptions of PruneJuice.

PruneJuiceError
├── UsageError             the request is invalid
│   ├── DefinitionError    a command or step definition is invalid (lists every problem)
│   ├── NotFoundError      the named object does not exist
│   │   ├── MisspeltError  it does not, but one with a similar name does
│   │   └── UntrustedNameError  it may be defined by code that is not trusted
│   └── MissingToolError   a required program (git, tmux, bash …) is not installed
├── ConditionError         an expression is invalid or could not be evaluated
├── StoreError             the history could not be read or written
│   ├── DamagedStoreError  the history file is damaged
│   └── SupersededError    another process has taken over the run
├── DeniedError            refused for safety: not trusted, outside the project …
├── HumanNeededError       a person must decide before work can continue
├── GitError               git failed
├── ConflictError          changes conflict with other changes; nothing was applied
├── GateError              a check failed; nothing was applied
├── PublishError           a remote or a forge refused the request, or could not be reached
├── StepError              a step failed
├── AgentError             a model or an agent failed, or could not be reached
└── LimitError             a limit on money, tokens, time or rounds was reached
"""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class PruneJuiceError(Exception):
    """The base class of all errors that PruneJuice raises deliberately.

    `message` describes the problem, `fix` what to do about it. `answer` holds the output that an agent
    produced before the error, and `outputs` what a step put out before it, such as what it cost.
    """

    def __init__(self, message: str, fix: str = "", *, answer: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.answer = answer
        self.outputs: Mapping[str, Any] = {}


class UsageError(PruneJuiceError):
    """The request is invalid."""


class Problem(NamedTuple):
    """One mistake in a definition. `line` counts from 1; 0 refers to the whole file."""

    file: str
    line: int
    key: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        location = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        return f"{location}: {key}{self.message}" + (f" ({self.fix})" if self.fix else "")


class DefinitionError(UsageError):
    """A command or step definition is invalid. `problems` lists every mistake."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class NotFoundError(UsageError):
    """The named object does not exist."""


class MisspeltError(NotFoundError):
    """The named object does not exist, but one with a similar name does; `fix` names it."""


class UntrustedNameError(NotFoundError):
    """The named object may be defined by code that is not trusted yet."""


class MissingToolError(UsageError):
    """A required program is not installed."""


class ConditionError(PruneJuiceError):
    """An expression is invalid or could not be evaluated."""


class StoreError(PruneJuiceError):
    """The history could not be read or written."""


class DamagedStoreError(StoreError):
    """The history file is damaged, or is not a history file."""


class SupersededError(StoreError):
    """Another process has taken over the run; this one must stop."""


class DeniedError(PruneJuiceError):
    """The operation was refused for safety."""


class HumanNeededError(PruneJuiceError):
    """A person must decide before work can continue."""


class GitError(PruneJuiceError):
    """Git failed. The message contains its error output."""


class ConflictError(PruneJuiceError):
    """Changes conflict with other changes, and nothing was applied. `files` lists the conflicting files."""

    def __init__(
        self, message: str, fix: str = "", files: tuple[str, ...] = (), *, answer: str = ""
    ) -> None:
        super().__init__(message, fix, answer=answer)
        self.files = files


class GateError(PruneJuiceError):
    """A check failed, and nothing was applied."""


class PublishError(PruneJuiceError):
    """A remote or a forge refused the request, or could not be reached. Completed actions are kept."""


class StepError(PruneJuiceError):
    """A step failed."""


class AgentError(PruneJuiceError):
    """A model or an agent failed, or could not be reached."""


class UnfinishedAnswerError(AgentError):
    """The answer of a model did not end by itself, so it is not whole."""


class LimitError(PruneJuiceError):
    """A limit on money, tokens, time or rounds was reached."""
