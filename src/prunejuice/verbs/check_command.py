"""Run the command that judges a tree, and read the outcome of each test that it ran."""

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NamedTuple

from prunejuice.environments import origin
from prunejuice.environments.place import Place
from prunejuice.environments.services import running_services
from prunejuice.errors import LimitError, MissingToolError, UsageError
from prunejuice.system import process, settings
from prunejuice.system.grace_period import DEFAULT_GRACE
from prunejuice.system.redact import mask_bytes
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import Stop
from prunejuice.system.untrusted_files import read_bounded, read_small_text
from prunejuice.verbs.verify import check_files, go_outcome, interpreter, node_outcome, pytest_outcome
from prunejuice.verbs.verify.pytest_outcome import Outcomes

CHECK_SECONDS = 900.0
_OUTPUT_LIMIT = 12_000
"""Characters of a check's output that the agent sees: the end, where failures are reported."""
_MAX_OUTPUT_BYTES = 64 << 20
_PATH_COMMAND = re.compile(r"[\w.+-]+/[\w./+-]+")
_PLAIN_COMMAND = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*")


class CheckRun(NamedTuple):
    """One run of a check: its exit code, the end of its output, and the outcome of each test.

    `outcomes` is empty when the check runs none of pytest, `node --test` and `go test`, or turned their
    reports off.
    """

    code: int
    timed_out: bool
    output: str
    outcomes: Outcomes

    @property
    def passed(self) -> bool:
        """Whether the check passed: no test of its report failed, whatever its exit code."""
        return self.code == 0 and not self.timed_out and not self.failed_tests

    @property
    def failed_tests(self) -> list[str]:
        """The tests that failed by the report."""
        return [name for name, word in self.outcomes.items() if word in {"FAILED", "ERROR"}]

    @property
    def found_no_tests(self) -> bool:
        """Whether pytest ran and found no test."""
        return self.code == pytest_outcome.NO_TESTS_CODE and not self.outcomes


class CheckCommand(NamedTuple):
    """A shell command that judges copies of a tree. It runs in `folder`, a path relative to the root.

    `seconds` limits one run; `grace` is the number of seconds between TERM and KILL. `tag` marks the
    processes. `hidden` are secret values that the output must not show. With `settings`, the
    services of the project run beside it.
    """

    command: str
    tree: Path
    stop: Stop
    folder: str = "."
    seconds: float = CHECK_SECONDS
    grace: float = DEFAULT_GRACE
    tag: str = ""
    hidden: tuple[str, ...] = ()
    settings: Settings | None = None

    def run(self, place: Place) -> CheckRun:
        """Run the command in a copy of the tree; its scratch folder receives the reports.

        Raises:
            GateError: the services of the project could not be started.
            LimitError: a stop was requested.
        """
        reports = [place.scratch / name for name in (pytest_outcome.REPORT_NAME, node_outcome.REPORT_NAME)]
        for report in reports:
            report.unlink(missing_ok=True)
        origin_report = place.scratch / "origin"
        env = interpreter.tree_environment(place, settings.environment(), origin_report)
        node_report = str(reports[1]) if self._can_report_node_tests(env) else ""
        status, text = self._call(place, {**env, **_report_variables(env, str(reports[0]), node_report)})
        if status.timed_out:
            text += f"\n{self.command!r} was stopped after {self.seconds:g} seconds"
        if self.stop.is_requested():
            raise LimitError("stopped")
        if shadowed := origin.find_shadowed_module(origin_report):
            return CheckRun(status.code or 1, status.timed_out, f"{text[-_OUTPUT_LIMIT:]}\n{shadowed}", {})
        of_pytest, of_node = map(_read_report, reports)
        outcomes = {
            **pytest_outcome.parse_summary(text),
            **of_pytest,
            **node_outcome.without_files(of_node, place),
            **go_outcome.parse_output(text),
        }
        shown = go_outcome.strip_passed_lines(pytest_outcome.strip_passed_lines(text))[-_OUTPUT_LIMIT:]
        return CheckRun(status.code, status.timed_out, shown, outcomes)

    def _can_report_node_tests(self, env: Mapping[str, str]) -> bool:
        """Return whether node takes our options, and the check names no reporter of its own.

        Nothing that the changed tree prints decides this.
        """
        scripts = check_files.find_check_scripts(self.command)
        names = [self.tree / self.folder / name for name in ("package.json", "Makefile", *scripts)]
        texts = [self.command, *(read_small_text(path) for path in names)]
        has_own = any(node_outcome.REPORTER_OPTION in text for text in texts)
        return not has_own and _node_takes_options(env.get("PATH", ""))

    def _call(self, place: Place, env: dict[str, str]) -> tuple[process.ExitStatus, str]:
        """Run the command once; return how it ended, and its output."""
        argv = process.bash_argv(self.command, env.get("PATH"))
        call = process.ProcessSpec(argv, place.root / self.folder, env, self.seconds, self.grace, self.tag)
        output = bytearray()
        with ExitStack() as stack:
            if self.settings:
                call = stack.enter_context(
                    running_services(self.settings, place, call, self.stop, self.hidden)
                )
            status = place.run(call, lambda chunk: _append_bounded(output, chunk), self.stop)
        # Absolute paths of the copy would mislead the agent, which sees paths of the tree.
        shown = mask_bytes(bytes(output), self.hidden).decode("utf-8", "replace")
        return status, shown.replace(str(place.seen), ".")

    def require_program(self, place: Place) -> None:
        """Check that the program of the command is installed, because no change can fix a missing one.

        Raises:
            UsageError: bash does not know the command, or there is no such file.
        """
        program = self.command.partition(" ")[0]
        if _PATH_COMMAND.fullmatch(program) and not os.access(place.seen / self.folder / program, os.X_OK):
            fix = "name a program that is installed, or another check with --check"
            raise UsageError(f"could not run the check {self.command!r}: no program {program}", fix)
        if _PLAIN_COMMAND.fullmatch(program):
            env = place.variables(settings.environment())
            argv = process.bash_argv(f"type {program}", env.get("PATH"))
            if process.capture_output(process.ProcessSpec(argv, place.root, env, 30)).code:
                fix = "install it, or name another check with --check"
                raise UsageError(f"could not run the check {self.command!r}: {program} not found", fix)


def _report_variables(env: Mapping[str, str], pytest_report: str, node_report: str = "") -> dict[str, str]:
    """Return the variables by which test runners say how each test ended."""
    variables = {
        "PYTEST_ADDOPTS": pytest_outcome.pytest_options(pytest_report),
        "GOFLAGS": go_outcome.go_flags(env.get("GOFLAGS", "")),
    }
    inherited = env.get("NODE_OPTIONS", "")
    options = node_outcome.node_options(node_report, inherited) if node_report else ""
    variables["NODE_OPTIONS"] = options or node_outcome.guard_options(inherited)
    return variables


@cache
def _node_takes_options(path: str) -> bool:
    """Return whether the node in PATH knows the options of our report."""
    try:
        program = process.require_program("node", path)
    except MissingToolError:
        return False
    env = {"PATH": path, "NODE_OPTIONS": node_outcome.node_options(os.devnull)}
    return process.capture_output(process.ProcessSpec([program, "-e", "0"], "/", env, 30)).code == 0


def _read_report(report: Path) -> Outcomes:
    """Return the outcomes in a report; empty if there is none, or one too large to be of tests."""
    return pytest_outcome.parse_report(read_bounded(report, _MAX_OUTPUT_BYTES))


def _append_bounded(buffer: bytearray, chunk: bytes) -> None:
    # Trimmed only at twice the limit, because each trim moves the whole buffer.
    buffer.extend(chunk)
    if len(buffer) > 2 * _MAX_OUTPUT_BYTES:
        del buffer[:_MAX_OUTPUT_BYTES]
