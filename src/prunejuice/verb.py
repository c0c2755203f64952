"""Verbs: what an agent is told to do with code, as Markdown that anybody can write.

---
description: Improve the structure without changing what the code does
paths: ["**/*.py", "!tests/**"]
---
Refactor the code. $ARGUMENTS
"""

import re
from typing import Any, Literal, NamedTuple

from prunejuice import document
from prunejuice.errors import DefinitionError, Problem

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"[a-z][\w-]*(?::[\w-]+)*", re.IGNORECASE)
_ARGUMENTS = "$ARGUMENTS"


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
        """What an agent is told with the words of a person: where `$ARGUMENTS` stands, or behind it."""
        if _ARGUMENTS in self.prompt:
            return self.prompt.replace(_ARGUMENTS, words).strip()
        return f"{self.prompt.strip()}\n\n{words}".strip()


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
    if not prompt.strip():
        raise DefinitionError((Problem(source, 1, "", "tells an agent nothing"),))
    paths = found.get("paths", [])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise DefinitionError((Problem(source, 1, "paths", "must be a list of paths"),))
    description = str(found.get("description") or prompt.strip().split("\n")[0])
    given = str(found.get("input", ""))
    if given not in {"", "clipboard"}:
        raise DefinitionError((Problem(source, 1, "input", "can only be clipboard"),))
    result = found.get("result")
    if result is not None and not (isinstance(result, dict) and result.get("type") == "object"):
        raise DefinitionError((Problem(source, 1, "result", "must be a JSON Schema of type object"),))
    proves, keeps = found.get("proves", ""), found.get("keeps", "")
    for key, value, known in (("proves", proves, "tests"), ("keeps", keeps, "behaviour")):
        if value not in {"", known}:
            raise DefinitionError((Problem(source, 1, key, f"can only be {known}"),))
    needs = bool(found.get("needs", _ARGUMENTS in prompt))
    return Verb(
        name,
        " ".join(description.split())[:200],
        prompt,
        tuple(paths),
        given,
        needs,
        bool(found.get("mends")),
        proves,
        keeps,
        result,
        source,
    )


def is_name(word: str) -> bool:
    """Whether a word can be the name of a verb."""
    return _NAME.fullmatch(word) is not None
