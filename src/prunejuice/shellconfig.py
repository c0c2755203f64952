"""Configuration files that were written for a shell, read without one: nothing in them is run.

Understood are `NAME=value`, `NAME=(one two)`, quotes, comments, `~` at the beginning, `$NAME`, `${NAME}`
and `${NAME:-default}`. Lines of any other kind are passed over.
"""

import re
import shlex
from collections.abc import Mapping

_ASSIGNED = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)(?:\+)?=(\([^)]*\)|.*)$", re.M)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::-([^}]*))?\}|([A-Za-z_]\w*))")


def parse(text: str, environ: Mapping[str, str]) -> dict[str, str | list[str]]:
    """The variables that a file sets; `environ` is what it can refer to."""
    found: dict[str, str | list[str]] = {}
    for name, value in _ASSIGNED.findall(text[: 1 << 20]):
        known = {**environ, **{k: v for k, v in found.items() if isinstance(v, str)}}
        listed = value.startswith("(")
        try:
            words = [_expanded(word, known) for word in shlex.split(value.strip("()"), comments=True)]
        except ValueError:
            continue
        if listed:
            found[name] = words
        elif len(words) < 2:
            found[name] = words[0] if words else ""
    return found


def _expanded(word: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, default, plain = match.groups()
        return known.get(name or plain) or default or ""

    home = known.get("HOME", "~")
    word = home + word[1:] if word == "~" or word.startswith("~/") else word
    return _VARIABLE.sub(value, word)
