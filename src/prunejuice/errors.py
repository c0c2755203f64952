"""Every error this program raises on purpose.

PruneJuiceError
├── UsageError            what was asked cannot be done as asked
│   ├── DefinitionError   a command or step is written wrongly (lists every problem)
│   ├── NotFoundError     nothing has that name
│   └── MissingToolError  git, tmux, bash … is not there
├── ConditionError        an expression cannot be read or evaluated
├── StoreError            the history cannot be read or written
│   ├── DamagedError      its file is not a history, or no whole one
│   └── SupersededError   another process has taken the run over
├── DeniedError           refused for safety: not trusted, outside the project …
├── HumanNeededError      only a person can go on from here
├── GitError              git refused
├── ConflictError         changes meet other changes; nothing was moved
├── GateError             a check was not passed; nothing was moved
├── PublishError          a remote or a forge refuses, or cannot be reached
└── StepError             a step cannot do what it is for
"""

from typing import NamedTuple


class PruneJuiceError(Exception):
    """Says what is wrong and, in `fix`, what to do; `answer` is what an agent had made until then."""

    def __init__(self, message: str, fix: str = "", *, answer: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.answer = answer


class UsageError(PruneJuiceError):
    """What was asked cannot be done as asked."""


class Problem(NamedTuple):
    """One mistake in a definition. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int
    key: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.message}" + (f" ({self.fix})" if self.fix else "")


class DefinitionError(UsageError):
    """A command or step is written wrongly; `problems` has every mistake that was found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class NotFoundError(UsageError):
    """Nothing has that name."""


class MissingToolError(UsageError):
    """A program that is needed is not installed."""


class ConditionError(PruneJuiceError):
    """An expression cannot be read or evaluated."""


class StoreError(PruneJuiceError):
    """The history cannot be read or written."""


class DamagedError(StoreError):
    """The history's file is not a history, or no whole one."""


class SupersededError(StoreError):
    """Another process has taken the run over; this one must stop."""


class DeniedError(PruneJuiceError):
    """Refused for safety."""


class HumanNeededError(PruneJuiceError):
    """Only a person can go on from here."""


class GitError(PruneJuiceError):
    """Git refused; the message carries what it said."""


class ConflictError(PruneJuiceError):
    """Changes meet other changes; nothing was moved. `files` are those in question."""

    def __init__(
        self, message: str, fix: str = "", files: tuple[str, ...] = (), *, answer: str = ""
    ) -> None:
        super().__init__(message, fix, answer=answer)
        self.files = files


class GateError(PruneJuiceError):
    """A check was not passed; nothing was moved."""


class PublishError(PruneJuiceError):
    """A remote or a forge refuses, or cannot be reached; what was made until then stays."""


class StepError(PruneJuiceError):
    """A step cannot do what it is for."""


class AgentError(PruneJuiceError):
    """A model or an agent failed, or could not be reached."""


class LimitError(PruneJuiceError):
    """A limit was reached: of money, tokens, time or rounds."""
