"""Contract suites for extensions: each function raises `AssertionError` with the promise that was broken.

Call them from the tests of your package, with any test runner.
"""

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from prunejuice.agents.protocol import Agent, AgentEnded, AgentStarted, Task
from prunejuice.code.grammar import definitions, import_targets
from prunejuice.code.languages import language_for_path
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.edit import UnreadableAnswerError
from prunejuice.edits.formats import EditFormat
from prunejuice.engine import event as events
from prunejuice.engine.ports import Store
from prunejuice.engine.run import new_run
from prunejuice.engine.view import RunSummary, summarize_run
from prunejuice.environments.place import Place
from prunejuice.errors import PruneJuiceError, SupersededError
from prunejuice.forges.forge import Forge
from prunejuice.sandbox.policy import Policy
from prunejuice.sandbox.programs.protocol import SandboxProgram
from prunejuice.sandbox.sandbox import Sandbox
from prunejuice.system import process, settings
from prunejuice.system.process import ProcessSpec
from prunejuice.system.stop_request import STOP, Stop
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify.gates import Gate
from prunejuice.verbs.verify.runners.protocol import SUITE_SECONDS, TestRunner
from prunejuice.workflow.command import Command
from prunejuice.workflow.graph import Step, Workflow
from prunejuice.workflow.plan import make_plan

_FLOW = Workflow("contract", steps={"a": Step(name="a", script="true")}, entry_point="a")


def check_agent(create: Callable[[], Agent], prompt: str = "say something") -> None:
    """Check that an agent starts, ends, ends when it is stopped, and can be closed twice.

    `create` returns a new agent that can answer `prompt` at once.
    """
    agent, stop = create(), Stop()
    try:
        happened = list(agent.run(Task(prompt), stop))
        _require(bool(agent.name), "an agent has a name")
        _require_framed(happened)
        last = happened[-1]
        _require(isinstance(last, AgentEnded) and last.status == "ok", f"the prompt is answered: {last}")
        stop.request(STOP)
        _require_framed(list(agent.run(Task(prompt), stop)))
    finally:
        agent.close()
        agent.close()
        stop.close()


def _require_framed(happened: Sequence[object]) -> None:
    _require(bool(happened), "a task has events")
    _require(isinstance(happened[0], AgentStarted), "the first event is AgentStarted")
    _require(isinstance(happened[-1], AgentEnded), "the last event is AgentEnded")
    ends = [event for event in happened if isinstance(event, AgentEnded)]
    _require(len(ends) == 1, "a task ends once")


def check_store(open_store: Callable[[], Store]) -> None:
    """Check that a store keeps events in order, refuses a second writer, filters, and deletes runs.

    `open_store` opens the same empty store each time, as another process would.
    """
    store = open_store()
    summary = _create_run(store, "aa11", at=1.0)
    started = events.RunStarted(at=2, pid=1, host="h", version="1")
    store.append("aa11", 1, [started, events.RunWaiting(at=3)], summary)
    kinds = [events.event_kind(event) for event in open_store().read_events("aa11")]
    _require(kinds == ["run.created", "run.started", "run.waiting"], f"events keep their order: {kinds}")
    _require(open_store().read_events("aa11", after=2) == [events.RunWaiting(at=3)], "`after` skips events")
    try:
        open_store().append("aa11", 1, [started, started], summary)
        _fail("a number that is taken raises SupersededError")
    except SupersededError:
        _require(len(store.read_events("aa11")) == 3, "a refused append stores nothing")
    _create_run(store, "ab22", at=5.0)
    _require([line.id for line in store.summaries()] == ["ab22", "aa11"], "summaries are newest first")
    _require([line.id for line in store.summaries(limit=1)] == ["ab22"], "`limit` limits")
    _require(store.find_run_ids("aa") == ["aa11"], "a prefix finds its run")
    store.delete_run("aa11")
    _require(not open_store().read_events("aa11"), "a deleted run has no events")


def _create_run(store: Store, run_id: str, at: float) -> RunSummary:
    plan = make_plan(Command("contract", _FLOW), {}, project="/p", directory="/p", commands_used={})
    first = events.RunCreated(at=at, plan=plan)
    summary = summarize_run(new_run(run_id, first))
    store.create(run_id, [first], summary)
    return summary


def check_forge(
    connect: Callable[[str, Mapping[str, str]], Forge | None],
    url: str,
    environ: Mapping[str, str],
    issue: int,
) -> None:
    """Check that a forge knows its URL and no other, opens a pull request once, and returns an issue.

    `url` is a repository of a test server with the branches `topic` and `main`, and the issue `issue`;
    `environ` has the login.
    """
    _require(connect("no url at all", environ) is None, "a text that is no URL gives None")
    forge = connect(url, environ)
    if forge is None:
        _fail(f"the forge accepts {url}")
    _require(bool(forge.title), "a forge has a title")
    _require(not forge.login_fix, f"the login is found: {forge.login_fix}")
    first = forge.open_pull_request("topic", "main", "Title", "Body", draft=False)
    again = forge.open_pull_request("topic", "main", "Title", "Body", draft=False)
    _require(first == again and "://" in first, "an open pull request of the branch is reused")
    found = forge.fetch_issue(issue)
    _require(found.number == issue and bool(found.title), "an issue has its number and a title")
    try:
        forge.fetch_issue(999_999)
        _fail("an issue that does not exist raises an error")
    except PruneJuiceError:
        pass


def check_format(edit_format: EditFormat, answers: Mapping[str, int]) -> None:
    """Check that a format finds the edits of answers, and none in prose.

    `answers` maps an answer to its number of edits.
    """
    for answer, count in answers.items():
        lines = answer.split("\n")
        _require(edit_format.has_edits(lines), f"the answer is detected: {answer[:60]!r}")
        edits = edit_format.read(lines)
        _require(len(edits) == count, f"{len(edits)} edits instead of {count}: {answer[:60]!r}")
        _require(all(edit.path for edit in edits), "an edit names a file")
        _require(all(edit.answer_line > 0 for edit in edits), "an edit has its line in the answer")
    prose = ["No change is needed here.", "", "Everything works."]
    _require(not edit_format.has_edits(prose), "prose has no edits")
    with suppress(UnreadableAnswerError):
        _require(not edit_format.read(prose), "prose has no edits")


def check_language(path: str, source: str, names: Iterable[str], imports: Iterable[str] = ()) -> None:
    """Check that the language of `path` finds these definitions and imports in a source text."""
    language = language_for_path(path)
    _require(bool(language), f"the suffix of {path} has a language")
    found = {definition.name for definition in definitions(language, source.encode())}
    _require(set(names) <= found, f"definitions {set(names) - found} are missing in {found}")
    targets = set(import_targets(language, source))
    _require(set(imports) <= targets, f"imports {set(imports) - targets} are missing in {targets}")
    definitions(language, b"\xff\x00 broken ((( {")


def check_gate(gate: Gate, accepted: Mapping[str, str], refused: Mapping[str, str]) -> None:
    """Check that a gate accepts and refuses new files, given as path to content, and an empty change."""
    _require(gate([]) == "", "an empty change passes")
    for files, passes in ((accepted, True), (refused, False)):
        for path, content in files.items():
            reason = gate([FileDiff(path, Version(None), Version(content.encode()))])
            _require(
                (reason == "") == passes, f"{path} is {'accepted' if passes else 'refused'}: {reason!r}"
            )


def check_test_runner(runner: TestRunner, place: Place, passing: TestCase, failing: TestCase) -> None:
    """Check that a runner writes, runs and measures a test that passes and one whose assertion fails.

    `place` is a tree with the sources of the runner and no tests; its folder `scratch/state` exists.
    """
    file = place.root / runner.file
    _require(not file.exists(), f"there is no file {runner.file} yet")
    passing, failing = runner.name_case(passing), runner.name_case(failing)
    for case in (passing, failing):
        _require(runner.find_mistake(case) == "", f"no mistake: {runner.find_mistake(case)}")
        _require(runner.normalize(case) == runner.normalize(case), "a case is the same as itself")
        _require(runner.list_tests(case.test_code) == [case.test_name], "a case has one test")
    _require(runner.normalize(passing) != runner.normalize(failing), "other code is another case")
    broken = passing.model_copy(update={"test_code": "((( {"})
    _require(runner.find_mistake(broken) != "", "a case that does not parse has a mistake")
    result = TestGenerationResult(test_cases=(passing, failing))
    try:
        for cases in ((passing, failing), (passing,)):
            source = runner.format_source(place, runner.render(result.with_cases(cases)))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
            _require_reported(runner, place, [case.test_name for case in cases], passing.test_name)
    finally:
        file.unlink(missing_ok=True)


def _require_reported(runner: TestRunner, place: Place, names: Sequence[str], passing: str) -> None:
    """Check what a runner says of the tests of its file, of which one passes."""
    failures = runner.run_tests(place, names, SUITE_SECONDS).failures
    _require(set(failures) == set(names), f"{names} are reported: {failures}")
    failed = {name for name, failure in failures.items() if failure}
    _require(failed == set(names) - {passing}, f"{failed} fail")
    for name in failed:
        _require(runner.is_assertion(failures[name]), f"an assertion failed: {failures[name]}")
        _require("\n" not in runner.shorten(failures[name]), "a short failure is one line")
    report, lines = runner.measure_tests(place, names, SUITE_SECONDS)
    _require(report.failures.get(passing) == "", f"{passing} passes with coverage: {report}")
    _require(lines is None or bool(lines[passing]), f"{passing} runs lines: {lines}")
    measured = runner.measure_suite(place, SUITE_SECONDS)
    _require(lines is None or bool(measured.lines), "the suite runs lines")
    _require((measured.report.code == 0) == (not failed), f"it fails with a test: {measured.report}")
    suite = runner.run_suite(place, SUITE_SECONDS, stops_early=False)
    _require((suite.code == 0) == (not failed), f"the suite fails with a test: {suite}")
    _require(len([text for text in suite.failures.values() if text]) == len(failed), f"{suite} names it")


def check_sandbox_program(create: Callable[[], SandboxProgram], folder: Path) -> None:
    """Check that a sandbox program contains: what is written, what is read, what is reached, and what ends.

    `folder` is empty, and below a path that a container can mount.
    """
    program = create()
    problem, fix = program.find_problem(settings.environment())
    _require(not problem, f"it works here: {problem} ({fix})")
    names = ("tree", "outside", "hidden", "home", "protected")
    tree, outside, hidden, home, _ = (folder / name for name in names)
    for name in names:
        (folder / name).mkdir()
    (tree / "protected").mkdir()
    (hidden / "key").write_text("secret")
    policy = Policy(
        write=(str(tree),),
        read=(str(tree / "protected"),),
        hidden=(str(hidden),),
        private=(str(home),),
        hosts=(),
    )

    def run(script: str, policy: Policy = policy) -> tuple[int, str]:
        sandbox = Sandbox(program, policy, folder / "folders")
        env = {"PATH": os.defpath, "HOME": str(home)}
        call = ProcessSpec(["/bin/sh", "-c", script], tree, env, 60, tag="contract", sandbox=sandbox.enter)
        ended = process.capture_output(call)
        return ended.code, ended.stdout.decode("utf-8", "replace")

    _require(run("echo made > made; exit 7")[0] == 7, "the exit code is that of the process")
    _require((tree / "made").read_text() == "made\n", "the tree is written to")
    run(f"echo evil > {outside}/evil; echo evil > {folder}/evil")
    _require(not list(outside.iterdir()), "nothing outside is written to")
    _require(not (folder / "evil").exists(), "nothing beside the tree is written to")
    run("echo evil > protected/evil")
    _require(not list((tree / "protected").iterdir()), "a path below the tree can be protected")
    _require("secret" not in run(f"cat {hidden}/key")[1], "what is hidden is not read")
    _require(run("echo x > ~/own && cat ~/own")[1] == "x\n", "the home folder is private and writable")
    _require(not list(home.iterdir()), "the real home folder stays")
    _require_contained_network(run, policy)


def _require_contained_network(run: Callable[..., tuple[int, str]], policy: Policy) -> None:
    """Check that nothing is reached where no host is allowed."""
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        tries = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached >&3"
        run(f"bash -c '{tries}' || curl -m 2 http://127.0.0.1:{port}/", policy)
        with suppress(TimeoutError):
            received.append(listener.accept()[0])
    for connection in received:
        connection.close()
    _require(not received, "a port of this machine is not reached")


def _require(holds: bool, promise: str) -> None:
    if not holds:
        _fail(promise)


def _fail(promise: str) -> NoReturn:
    raise AssertionError(promise)
