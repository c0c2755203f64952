"""Verbs: tasks for an agent, written as Markdown.

---
description: Improve the structure without changing what the code does
paths: ["**/*.py", "!tests/**"]
---
Refactor the code. $ARGUMENTS
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from prunejuice.errors import DefinitionError, Problem
from prunejuice.system import yaml_reader
from prunejuice.text import spelling_hint

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"[a-z][\w-]*(?::[\w-]+)*", re.IGNORECASE)
_ARGUMENTS_PLACEHOLDER = re.compile(r"\$ARGUMENTS\b")
_POSITIONAL_PLACEHOLDER = re.compile(r"\$(?:ARGUMENTS\b|[1-9](?!\d|\.\d))")
_KEYS = ("description", "paths", "input", "needs", "mends", "proves", "keeps", "result")


class Verb(NamedTuple):
    """A task for an agent.

    `prompt` tells the agent what to do. `paths` are the files to look at when the caller names none.
    `input` names the source of program output when the caller gives none (`clipboard`). `needs` is true
    when the verb needs a prompt, `mends` when it fixes a failing check. `proves` is `tests` for an answer
    that consists of tests that have to pass the gates, `keeps` is `behaviour` when the change must not
    alter behaviour. `result` is the JSON Schema of an answer with data instead of edits. `source` says
    where the verb was found.
    """

    name: str
    description: str
    prompt: str
    paths: tuple[str, ...] = ()
    input: str = ""
    needs: bool = False
    mends: bool = False
    proves: Literal["", "tests"] = ""
    keeps: Literal["", "behaviour"] = ""
    result: dict[str, Any] | None = None
    source: str = ""

    def prompt_for(self, words: str) -> str:
        """Return the prompt with a person's words in place of `$ARGUMENTS`, or after the prompt.

        In a command of another tool `$1` to `$9` stand for single words, split as a shell splits them.
        """
        placeholder = _placeholder_pattern(self.source)
        if placeholder.search(self.prompt):
            split_words = _split_words(words)

            def replacement(match: re.Match[str]) -> str:
                name = match[0][1:]
                return "".join(split_words[int(name) - 1 : int(name)]) if name.isdigit() else words

            return placeholder.sub(replacement, self.prompt).strip()
        return f"{self.prompt.strip()}\n\n{words}".strip()


def _placeholder_pattern(source: str) -> "re.Pattern[str]":
    """Return the pattern of the places in a prompt that take the words."""
    return _POSITIONAL_PLACEHOLDER if ".claude/" in source else _ARGUMENTS_PLACEHOLDER


def _split_words(words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError:  # an unclosed quote
        return words.split()


def parse_verb(name: str, text: str, source: str) -> Verb:
    """Parse a verb from Markdown with optional front matter; unknown keys are ignored.

    Raises:
        DefinitionError: the front matter is not valid YAML, or a key has the wrong type.
    """
    front = _FRONT_MATTER.match(text)
    fields: dict[str, Any] = {}
    if front:
        data = yaml_reader.parse(front[1].encode(), source).data
        fields = data if isinstance(data, dict) else {}
    prompt = text[front.end() :] if front else text
    if problems := tuple(
        Problem(source, 1, *wrong) for wrong in _definition_problems(fields, prompt, source)
    ):
        raise DefinitionError(problems)
    description = str(fields.get("description") or prompt.strip().split("\n")[0])
    return Verb(
        name,
        " ".join(description.split())[:200],
        prompt,
        tuple(fields.get("paths", [])),
        str(fields.get("input", "")),
        bool(fields.get("needs", _placeholder_pattern(source).search(prompt))),
        bool(fields.get("mends")),
        fields.get("proves", ""),
        fields.get("keeps", ""),
        fields.get("result"),
        source,
    )


def _definition_problems(
    fields: Mapping[str, Any], prompt: str, source: str
) -> Iterator[tuple[str, str, str]]:
    """Yield the problems of a verb definition, each as a key, a message and a hint."""
    if not prompt.strip():
        yield "", "has no prompt", ""
    for key in fields if "/.claude/" not in source else ():  # Claude commands have their own keys
        if key not in _KEYS and (hint := spelling_hint(str(key), _KEYS)):
            yield str(key), "is not a key of a verb", hint
    paths, result = fields.get("paths", []), fields.get("result")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        yield "paths", "must be a list of paths", ""
    if result is not None and not (isinstance(result, dict) and result.get("type") == "object"):
        yield "result", "must be a JSON Schema of type object", ""
    for key, only_value in (("input", "clipboard"), ("proves", "tests"), ("keeps", "behaviour")):
        if str(fields.get(key, "")) not in {"", only_value}:
            yield key, f"must be {only_value}", ""


def is_verb_name(word: str) -> bool:
    """Return whether a word is a valid verb name."""
    return _NAME.fullmatch(word) is not None
