"""Verbs: what an agent is told to do with code, as Markdown that anybody can write.

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

from prunejuice import document
from prunejuice.errors import DefinitionError, Problem
from prunejuice.text import nearest

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"[a-z][\w-]*(?::[\w-]+)*", re.IGNORECASE)
_PLACE = re.compile(r"\$ARGUMENTS\b")
_NUMBERED = re.compile(r"\$(?:ARGUMENTS\b|[1-9](?!\d|\.\d))")
_KEYS = ("description", "paths", "input", "needs", "mends", "proves", "keeps", "result")


class Verb(NamedTuple):
    """`prompt` is what an agent is told; `paths` are those it looks at when none are given.

    `input` says where output that belongs to the task comes from when none is given (`clipboard`);
    `needs` is true when nothing can be done without further words, `mends` when there is a check that
    fails and has to pass. `proves` is `tests` when it answers with tests that are held to gates, `keeps`
    is `behaviour` when a change is compared with what was before. `result` is the JSON Schema of what it
    answers with instead of edits. `source` is where it was found.
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

    def told(self, words: str) -> str:
        """What an agent is told with the words of a person: where `$ARGUMENTS` stands, or behind it.

        In a command of another tool `$1` to `$9` are its words one by one, as a shell takes them apart.
        """
        place = _place(self.source)
        if place.search(self.prompt):
            pieces = _pieces(words)

            def word(found: re.Match[str]) -> str:
                name = found[0][1:]
                return "".join(pieces[int(name) - 1 : int(name)]) if name.isdigit() else words

            return place.sub(word, self.prompt).strip()
        return f"{self.prompt.strip()}\n\n{words}".strip()


def _place(source: str) -> "re.Pattern[str]":
    """Where words go into a prompt."""
    return _NUMBERED if ".claude/" in source else _PLACE


def _pieces(words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError:  # a quote that is not closed
        return words.split()


def read(name: str, text: str, source: str) -> Verb:
    """A verb out of Markdown, with or without front matter; what other tools write there is passed over.

    Raises:
        DefinitionError: its front matter cannot be read, or a key of ours is of the wrong type.
    """
    front = _FRONT.match(text)
    found: dict[str, Any] = {}
    if front:
        data = document.parse(front[1].encode(), source).data
        found = data if isinstance(data, dict) else {}
    prompt = text[front.end() :] if front else text
    if problems := tuple(Problem(source, 1, *wrong) for wrong in _faults(found, prompt, source)):
        raise DefinitionError(problems)
    description = str(found.get("description") or prompt.strip().split("\n")[0])
    return Verb(
        name,
        " ".join(description.split())[:200],
        prompt,
        tuple(found.get("paths", [])),
        str(found.get("input", "")),
        bool(found.get("needs", _place(source).search(prompt))),
        bool(found.get("mends")),
        found.get("proves", ""),
        found.get("keeps", ""),
        found.get("result"),
        source,
    )


def _faults(found: Mapping[str, Any], prompt: str, source: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a verb: a key, what is the matter, and a hint."""
    if not prompt.strip():
        yield "", "tells an agent nothing", ""
    for key in found if "/.claude/" not in source else ():  # those have keys of their own
        if key not in _KEYS and (hint := nearest(str(key), _KEYS)):
            yield str(key), "is no key of a verb", hint
    paths, result = found.get("paths", []), found.get("result")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        yield "paths", "must be a list of paths", ""
    if result is not None and not (isinstance(result, dict) and result.get("type") == "object"):
        yield "result", "must be a JSON Schema of type object", ""
    for key, known in (("input", "clipboard"), ("proves", "tests"), ("keeps", "behaviour")):
        if str(found.get(key, "")) not in {"", known}:
            yield key, f"can only be {known}", ""


def is_name(word: str) -> bool:
    """Whether a word can be the name of a verb."""
    return _NAME.fullmatch(word) is not None
