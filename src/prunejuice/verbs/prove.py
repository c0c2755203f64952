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
from prunejuice.verbs.verify import interpreter
from prunejuice.verbs.verify.generated_tests import GateVerdict, TestGates, new_file_diffs, test_file_path


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
        GateError: no Python interpreter has pytest and coverage, or no test passes the gates.
        UsageError: the paths contain no Python file.
        AgentError, LimitError: asking failed.
    """
    root = context.tree.root
    sources = [item for item in _source_paths(request, context) if not is_test_path(item)]
    if not sources:
        fix = "run `codebot test src/shop.py`; for other languages use `codebot implement --check COMMAND`"
        raise UsageError("the paths contain no Python file to test", fix)
    python = interpreter.find_python(
        own_place(root), environ, context.stop, "pytest", "coverage", tag=context.tag
    )
    data_request = request._replace(
        verb=request.verb._replace(result=TestGenerationResult.model_json_schema())
    )
    answer = ask.ask_for_report(data_request, context, _require_test_cases)
    result = TestGenerationResult.model_validate(answer.output)
    with (
        context.temporary_folder() as folder,
        context.open_copy(folder) as copy,
    ):
        gates = TestGates(python, copy, sources, test_file_path(root, sources[0]), result, context)
        passed, verdicts = gates.run_all(must_fail=must_fail)
    if not passed:
        reasons = "; ".join(f"{verdict.name}: {verdict.gate}: {verdict.why}" for verdict in verdicts[:3])
        fix = "ask again, or describe the expected behaviour with --prompt"
        raise GateError(
            f"none of {len(verdicts)} tests passed the gates: {reasons}",
            fix,
            answer=_format_edit_block(gates, result),
        )
    diffs = new_file_diffs(gates.target, result.with_cases(passed).to_test_file())
    return ProvedTests(diffs, tuple(verdicts), answer.usage, answer.context)


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
    named = [path for path in request.paths or request.verb.paths if not path.startswith("!")]
    bundle = context.engine.gather(ask.context_request(request)._replace(only=True))
    shown = [item.path for item in bundle.items if item.path.endswith(".py")]
    first = [path for path in shown if path in named]
    return first + [path for path in shown if path not in first]


def _format_edit_block(gates: "TestGates", result: TestGenerationResult) -> str:
    """Return all tests as an answer that `codebot apply` accepts."""
    return f"{gates.target}\n<<<<<<< SEARCH\n=======\n{result.to_test_file()}>>>>>>> REPLACE\n"
