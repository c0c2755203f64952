"""Parse the outcome of each test from pytest's summary. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

PYTEST_OPTIONS = "-rpfEs"
"""The options that make pytest list the outcome of each test in its summary."""
_SUMMARY_LINE = re.compile(r"^(?:(PASSED) (\S+::.+)|(FAILED|ERROR) (\S+::.+?)(?: - .*)?)$", re.M)


class OutcomeChange(NamedTuple):
    """The effect of a change on tests; `lost` tests ran before and do not pass now."""

    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    lost: tuple[str, ...]


def parse_outcomes(output: str) -> Mapping[str, str]:
    """Return the outcome of each test by name; empty for output of other programs."""
    return {
        passed_name or name: passed or word
        for passed, passed_name, word, name in _SUMMARY_LINE.findall(output)
    }


def strip_passed_lines(output: str) -> str:
    """Return the output without the lines of passed tests, to save room."""
    return re.sub(r"^PASSED \S+::.*\n?", "", output, flags=re.M)


def compare_outcomes(before: Mapping[str, str], after: Mapping[str, str]) -> OutcomeChange:
    """Compare the outcomes of tests before and after a change."""
    passed = {name for name, word in before.items() if word == "PASSED"}
    now = {name for name, word in after.items() if word == "PASSED"}
    failed = before.keys() - passed
    lost = before.keys() - now
    return OutcomeChange(tuple(sorted(failed & now)), tuple(sorted(passed & now)), tuple(sorted(lost)))
