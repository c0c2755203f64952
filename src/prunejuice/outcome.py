"""What became of each test of a run of pytest, out of the summary that it prints. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

OPTIONS = "-rpfEs"
"""What pytest has to be told so that its summary has them."""
_LINE = re.compile(r"^(?:(PASSED) (\S+::.+)|(FAILED|ERROR) (\S+::.+?)(?: - .*)?)$", re.M)


class Turned(NamedTuple):
    """How tests stand after a change: fail to pass, pass to pass, and those run before that do not pass."""

    mended: tuple[str, ...]
    kept: tuple[str, ...]
    lost: tuple[str, ...]


def outcomes(said: str) -> Mapping[str, str]:
    """Tests by name, each with its outcome; empty when it was not pytest that spoke."""
    return {passed_name or name: passed or word for passed, passed_name, word, name in _LINE.findall(said)}


def without_passed(said: str) -> str:
    """The same without the lines of tests that passed, which only take room."""
    return re.sub(r"^PASSED \S+::.*\n?", "", said, flags=re.M)


def turned(before: Mapping[str, str], after: Mapping[str, str]) -> Turned:
    """What a change did to tests."""
    passed = {name for name, word in before.items() if word == "PASSED"}
    now = {name for name, word in after.items() if word == "PASSED"}
    failed = before.keys() - passed
    lost = before.keys() - now
    return Turned(tuple(sorted(failed & now)), tuple(sorted(passed & now)), tuple(sorted(lost)))
