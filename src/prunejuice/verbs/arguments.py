"""The arguments of agent steps, and which of them remote clients and JSON on stdin may set."""

from collections.abc import Mapping
from typing import NamedTuple

from prunejuice.workflow.command import ArgumentType

SUMMARIZE = "summarize"
"""The only verb whose step takes other arguments."""


class AgentArgument(NamedTuple):
    """The type and description of one argument.

    `remote_allowed` is true if a remote client may set it, `stdin_allowed` if JSON on stdin may.
    """

    type: ArgumentType
    description: str
    remote_allowed: bool = False
    stdin_allowed: bool = False


ARGUMENTS: Mapping[str, AgentArgument] = {
    "prompt": AgentArgument("string", "the task in words", remote_allowed=True, stdin_allowed=True),
    "paths": AgentArgument(
        "list",
        "files, folders and globs to work on; !PATH excludes one",
        remote_allowed=True,
        stdin_allowed=True,
    ),
    "context": AgentArgument(
        "list", "more files, folders and globs to show", remote_allowed=True, stdin_allowed=True
    ),
    "input": AgentArgument("string", "program output that belongs to the task", stdin_allowed=True),
    "output": AgentArgument("string", "the same as input"),
    "diff": AgentArgument(
        "string", "a revision; the changes since it are shown too", remote_allowed=True, stdin_allowed=True
    ),
    "budget": AgentArgument("integer", "tokens of context", remote_allowed=True, stdin_allowed=True),
    "model": AgentArgument(
        "string", "provider:name, several with commas", remote_allowed=True, stdin_allowed=True
    ),
    "agent": AgentArgument(
        "string", "oneshot, claude, codex, acp:NAME, interactive[:NAME], …", stdin_allowed=True
    ),
    "access": AgentArgument(
        "string", "the permissions of an agent program: read, edit, full", stdin_allowed=True
    ),
    "script": AgentArgument("string", "the file with the answers of `scripted`"),
    "record": AgentArgument("string", "the file to record answers in"),
    "replay": AgentArgument("string", "the file to replay answers from"),
    "check": AgentArgument(
        "string",
        "the command that has to pass; `auto` is that of the settings, or the tests that are found",
        stdin_allowed=True,
    ),
    "first": AgentArgument("boolean", "whether to run the check before asking"),
    "allow_tests_change": AgentArgument("boolean", "whether tests, checks and CI may be changed"),
    "grant": AgentArgument("list", "globs of protected files that may be changed"),
    "must_fail": AgentArgument(
        "boolean", "whether new tests must fail, since what they test does not exist", stdin_allowed=True
    ),
    "closes": AgentArgument("string", "the issue that the changes resolve, as `12: title`"),
    "changes": AgentArgument("string", "the fate of changes: make, wait, keep"),
    "max_cost": AgentArgument("number", "US dollars", remote_allowed=True, stdin_allowed=True),
    "max_tokens": AgentArgument(
        "integer", "input and output tokens", remote_allowed=True, stdin_allowed=True
    ),
    "max_time": AgentArgument("number", "seconds in total", remote_allowed=True, stdin_allowed=True),
    "max_rounds": AgentArgument("integer", "answers of the agent", remote_allowed=True, stdin_allowed=True),
    "max_turns": AgentArgument(
        "integer",
        "model requests of an agent program in each round",
        remote_allowed=True,
        stdin_allowed=True,
    ),
}
"""Any other argument of an agent step becomes a `name: value` line of the prompt."""
_SUMMARIZE_ARGUMENTS: Mapping[str, AgentArgument] = {
    "token_limit": AgentArgument(
        "integer", "maximum tokens of the summary", remote_allowed=True, stdin_allowed=True
    ),
    "offline": AgentArgument(
        "boolean", "summarize from syntax trees without a model", remote_allowed=True, stdin_allowed=True
    ),
    "jobs": AgentArgument("integer", "concurrent questions"),
}
_SHARED_ARGUMENTS = (
    "paths",
    "model",
    "agent",
    "script",
    "record",
    "replay",
    "changes",
    "max_cost",
    "max_tokens",
)


def arguments_for(verb: str) -> Mapping[str, AgentArgument]:
    """Return the arguments that the step of a verb accepts."""
    if verb == SUMMARIZE:
        return {**{name: ARGUMENTS[name] for name in _SHARED_ARGUMENTS}, **_SUMMARIZE_ARGUMENTS}
    return ARGUMENTS
