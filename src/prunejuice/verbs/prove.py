"""Generate tests with an agent, and keep only those that pass the gates.

The gates are those of `verify.generated_tests`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from prunejuice.agents.protocol import Usage
from prunejuice.code.testpaths import is_test_path
from prunejuice.context.bundle import Bundle
from prunejuice.edits.diff import FileDiff
from prunejuice.errors import GateError, UsageError
from prunejuice.text import safe_line
from prunejuice.verbs import ask
from prunejuice.verbs.ask import AskContext, AskRequest
from prunejuice.verbs.results import TestGenerationResult
from prunejuice.verbs.verify.generated_tests import (
    GateVerdict,
    TestGates,
    new_file_diffs,
    require_no_tests_outside,
)
from prunejuice.verbs.verify.runners import registry
from prunejuice.verbs.verify.runners.registry import RunnerRequest

_SHOWN_SOURCES = 3


class ProvedTests(NamedTuple):
    """The file with the tests that passed the gates, and the verdict on each."""

    differences: tuple[FileDiff, ...]
    verdicts: tuple[GateVerdict, ...]
    usage: Usage
    context: Bundle


def prove_tests(
    request: AskRequest, context: AskContext, environ: Mapping[str, str], *, must_fail: bool = False
) -> ProvedTests:
    """Ask an agent for tests, and keep those that pass the gates; with `must_fail`, those that fail.

    Raises:
        GateError: the programs that run the tests are missing, or no test passes the gates.
        UsageError: the paths contain no file of a language with a runner.
        AgentError, LimitError: asking failed.
    """
    sources = registry.select_sources(_source_paths(request, context))
    if not sources:
        fix = "run `codebot test src/shop.py`; for other languages use `codebot implement --check COMMAND`"
        raise UsageError("the paths contain no file to test of Python, JavaScript, TypeScript or Go", fix)
    place = context.own_place()
    runner = registry.find_runner(RunnerRequest(place, sources, environ, context.stop, context.tag))
    verb = request.verb._replace(
        prompt=f"{request.verb.prompt.rstrip()}\n\n{runner.guidance}",
        result=TestGenerationResult.model_json_schema(),
    )
    shown = ", ".join(map(safe_line, runner.sources[:_SHOWN_SOURCES]))
    more = len(runner.sources) - _SHOWN_SOURCES
    context.on_progress(f"tests of {shown}{f' and {more} more' if more > 0 else ''} for {runner.file}")
    for path in _find_left_out(request, context, runner.sources):
        context.on_progress(f"left out: {path}: tests are written for one language and package at a time")

    def require_tests(output: Any) -> Any:
        require_no_tests_outside(runner, _require_test_cases(output))
        return output

    answer = ask.ask_for_report(request._replace(verb=verb), context, require_tests)
    result = TestGenerationResult.model_validate(answer.output)
    with (
        context.temporary_folder() as folder,
        context.open_copy(folder) as copy,
    ):
        gates = TestGates(runner, copy, result, context)
        passed, verdicts = gates.run_all(must_fail=must_fail)
        source = gates.render_file(passed or gates.result.test_cases)
    if not passed:
        reasons = "; ".join(f"{verdict.name}: {verdict.gate}: {verdict.why}" for verdict in verdicts[:3])
        fix = "ask again, or describe the expected behaviour with --prompt"
        raise GateError(
            f"none of {len(verdicts)} tests passed the gates: {reasons}",
            fix,
            answer=_format_edit_block(runner.file, source),
        )
    return ProvedTests(new_file_diffs(runner.file, source), tuple(verdicts), answer.usage, answer.context)


def _require_test_cases(output: Any) -> TestGenerationResult:
    """Return a result; raise ValueError if it has no tests."""
    try:
        result = TestGenerationResult.model_validate(output)
    except ValueError as error:
        raise ValueError(str(error)[:500]) from error
    if not result.test_cases:
        raise ValueError("the result has no test")
    return result


def _source_paths(request: AskRequest, context: AskContext) -> list[str]:
    """Return the paths of the context that are no tests, those that were named first."""
    named = [path for path in request.paths or request.verb.paths if not path.startswith("!")]
    # A verb that only excludes paths means all others.
    everything = () if named else ("",)
    gathering = ask.context_request(request)
    gathering = gathering._replace(paths=(*everything, *gathering.paths), only=True)
    bundle = context.engine.gather(gathering)
    shown = [item.path for item in bundle.items if not is_test_path(item.path)]
    first = [path for path in named if path in shown]
    return first + [path for path in shown if path not in first]


def _find_left_out(request: AskRequest, context: AskContext, sources: Sequence[str]) -> list[str]:
    """Return the files that a person named and for which no tests are asked."""
    named = (path.removeprefix("./") for path in request.paths)
    return [path for path in named if path not in sources and (context.tree.root / path).is_file()]


def _format_edit_block(path: str, source: str) -> str:
    """Return a new file as an answer that `codebot apply` accepts."""
    return f"{path}\n<<<<<<< SEARCH\n=======\n{source}>>>>>>> REPLACE\n"
