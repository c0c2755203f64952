"""A reader for shell configuration files that never executes them.

It supports `NAME=value`, `NAME=(one two)`, quotes, comments, a leading `~`, `$NAME`, `${NAME}` and
`${NAME:-default}`. All other lines are ignored.
"""

import re
import shlex
from collections.abc import Mapping

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)(?:\+)?=(\([^)]*\)|.*)$", re.M)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::-([^}]*))?\}|([A-Za-z_]\w*))")


def parse(text: str, environ: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return the variables set in `text`, which may refer to the variables of `environ`."""
    variables: dict[str, str | list[str]] = {}
    for name, value in _ASSIGNMENT.findall(text[: 1 << 20]):
        known = {**environ, **{k: v for k, v in variables.items() if isinstance(v, str)}}
        is_list = value.startswith("(")
        try:
            words = [
                _expand_variables(word, known) for word in shlex.split(value.strip("()"), comments=True)
            ]
        except ValueError:
            continue
        if is_list:
            variables[name] = words
        elif len(words) < 2:  # with more words, a shell would run them as a command
            variables[name] = words[0] if words else ""
    return variables


def _expand_variables(word: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, default, plain = match.groups()
        return known.get(name or plain) or default or ""

    home = known.get("HOME", "~")
    word = home + word[1:] if word == "~" or word.startswith("~/") else word
    return _VARIABLE.sub(value, word)
