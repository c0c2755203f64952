"""Options by which Node's own test runner reports each test, and keeps its assertions. Pure."""

from pathlib import Path

from prunejuice.environments.origin import require_node_module
from prunejuice.environments.place import Place
from prunejuice.verbs.verify.pytest_outcome import Outcomes

REPORT_NAME = "node-report.xml"
_GUARD = Path(__file__).with_name("node_guard.cjs")
REPORTER_OPTION = "--test-reporter"


def guard_options(inherited: str = "") -> str:
    """Return the value of `NODE_OPTIONS` that keeps the assertions of node as they are."""
    return require_node_module(_GUARD, inherited)


def node_options(report: str, inherited: str = "") -> str:
    """Return the same, with which `node --test` also writes a JUnit report to a path."""
    outputs = (("spec", "stdout"), ("junit", report))
    reporters = [
        f'--test-reporter={reporter} --test-reporter-destination="{target}"' for reporter, target in outputs
    ]
    return " ".join([guard_options(inherited), *reporters])


def without_files(outcomes: Outcomes, place: Place) -> Outcomes:
    """Return the outcomes without those of files, which node reports where a file has no test."""
    return {
        name: word
        for name, word in outcomes.items()
        if not place.find_file(name.removeprefix("test::")).is_file()
    }
