"""Generate tests with an agent, and keep only those that pass the gates.

The gates are those of `verify.generated_tests`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from prunejuice.agents.protocol import Usage
from prunejuice.code.testpaths import is_test_path
from prunejuice.context.bundle import Bundle
from prunejuice.edits.diff import FileDiff
from prunejuice.environments.place import own_place
from prunejuice.errors import GateError, UsageError
from prunejuice.verbs import ask
from prunejuice.verbs.ask import AskContext, AskRequest
from prunejuice.verbs.results import TestGenerationResult
from prunejuice.verbs.verify.generated_tests import GateVerdict, TestGates, new_file_diffs
from prunejuice.verbs.verify.runners import registry
from prunejuice.verbs.verify.runners.registry import RunnerRequest


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
    place = own_place(context.tree.root)
    runner = registry.find_runner(RunnerRequest(place, sources, environ, context.stop, context.tag))
    verb = request.verb._replace(
        prompt=f"{request.verb.prompt.rstrip()}\n\n{runner.guidance}",
        result=TestGenerationResult.model_json_schema(),
    )
    answer = ask.ask_for_report(request._replace(verb=verb), context, _require_test_cases)
    result = TestGenerationResult.model_validate(answer.output)
    with (
        context.temporary_folder() as folder,
        context.open_copy(folder) as copy,
    ):
        gates = TestGates(runner, copy, sources, result, context)
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


def _require_test_cases(output: Any) -> Any:
    """Raise ValueError for a result without tests."""
    try:
        result = TestGenerationResult.model_validate(output)
    except ValueError as error:
        raise ValueError(str(error)[:500]) from error
    if not result.test_cases:
        raise ValueError("the result has no test")
    return output


def _source_paths(request: AskRequest, context: AskContext) -> list[str]:
    """Return the paths of the context that are no tests, those that were named first."""
    named = [path for path in request.paths or request.verb.paths if not path.startswith("!")]
    bundle = context.engine.gather(ask.context_request(request)._replace(only=True))
    shown = [item.path for item in bundle.items if not is_test_path(item.path)]
    first = [path for path in shown if path in named]
    return first + [path for path in shown if path not in first]


def _format_edit_block(path: str, source: str) -> str:
    """Return a new file as an answer that `codebot apply` accepts."""
    return f"{path}\n<<<<<<< SEARCH\n=======\n{source}>>>>>>> REPLACE\n"
