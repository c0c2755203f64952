"""Read the outcome of each test from the output of `go test -v`. Pure."""

import re

from prunejuice.verbs.verify.pytest_outcome import Outcomes

_TEST_LINE = re.compile(r"^ *--- (PASS|FAIL|SKIP): (\S+) \(")
_PACKAGE_LINE = re.compile(r"^(?:ok|FAIL)\s+(\S+)\s")
_WORDS = {"PASS": "PASSED", "FAIL": "FAILED", "SKIP": "SKIPPED"}
_UNINTERESTING_LINE = re.compile(r"^(?:=== (?:RUN|PAUSE|CONT|NAME) .*| *--- PASS: .*)\n?", re.MULTILINE)


def go_flags(inherited: str = "") -> str:
    """Return the value of `GOFLAGS` with which `go test` lists each test."""
    return f"{inherited} -v".strip()


def parse_output(output: str) -> Outcomes:
    """Return the outcome of each test, such as `example.com/app::TestAdd`; empty for other programs."""
    outcomes: dict[str, str] = {}
    tests: dict[str, str] = {}
    for line in output.split("\n"):
        if test := _TEST_LINE.match(line):
            tests[test[2]] = _WORDS[test[1]]
        elif package := _PACKAGE_LINE.match(line):
            outcomes |= {f"{package[1]}::{name}": word for name, word in tests.items()}
            tests = {}
    return outcomes


def strip_passed_lines(output: str) -> str:
    """Return the output without the lines that `-v` adds, except those of failed tests."""
    return _UNINTERESTING_LINE.sub("", output)
