"""What an agent step can be told, one row for each argument, and who else may say it."""

from collections.abc import Mapping
from typing import NamedTuple

from prunejuice.command import ArgumentType

SUMMARIZE = "summarize"
"""The one verb whose step takes other arguments."""


class Told(NamedTuple):
    """One argument: `afar` when whoever is served may say it, `piped` when JSON on stdin can."""

    type: ArgumentType
    means: str
    afar: bool = False
    piped: bool = False


ARGUMENTS: Mapping[str, Told] = {
    "prompt": Told("string", "what to do", afar=True, piped=True),
    "paths": Told("list", "files, folders, globs that it is about; not !PATH", afar=True, piped=True),
    "context": Told("list", "what is shown besides", afar=True, piped=True),
    "input": Told("string", "output that belongs to it", piped=True),
    "output": Told("string", "the same"),
    "diff": Told("string", "a revision: what changed since is shown too", afar=True, piped=True),
    "budget": Told("integer", "tokens of context", afar=True, piped=True),
    "model": Told("string", "provider:name, several with commas", afar=True, piped=True),
    "agent": Told("string", "how: oneshot, claude, codex, acp:NAME, interactive[:NAME], …", piped=True),
    "access": Told("string", "what a program may do: read, edit, full", piped=True),
    "script": Told("string", "the file of answers of `scripted`"),
    "record": Told("string", "the file that answers are kept in"),
    "replay": Told("string", "the file that answers are taken from"),
    "check": Told("string", "the command that has to pass", piped=True),
    "first": Told("boolean", "whether it is run before anybody is asked"),
    "allow_tests_change": Told("boolean", "whether tests, checks and CI may be changed"),
    "grant": Told("list", "globs of files that decide what runs and may be changed"),
    "changes": Told("string", "what becomes of changes: make, wait, keep"),
    "max_cost": Told("number", "US dollars", afar=True, piped=True),
    "max_tokens": Told("integer", "tokens, in both directions", afar=True, piped=True),
    "max_time": Told("number", "seconds for all of it", afar=True, piped=True),
    "max_rounds": Told("integer", "answers", afar=True, piped=True),
    "max_turns": Told("integer", "questions of a program to its model, each round", afar=True, piped=True),
}  # fmt: skip
"""Any other argument of an agent step is told to the agent by its name."""
_OF_SUMMARIZE: Mapping[str, Told] = {
    "token_limit": Told("integer", "the most tokens of the summary", afar=True, piped=True),
    "offline": Told("boolean", "read it out of syntax trees, ask no model", afar=True, piped=True),
    "jobs": Told("integer", "questions at once"),
}
_BOTH = ("paths", "model", "agent", "script", "record", "replay", "changes", "max_cost", "max_tokens")


def of(verb: str) -> Mapping[str, Told]:
    """What the step of a verb can be told."""
    if verb == SUMMARIZE:
        return {**{name: ARGUMENTS[name] for name in _BOTH}, **_OF_SUMMARIZE}
    return ARGUMENTS
