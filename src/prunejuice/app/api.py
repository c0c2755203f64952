"""The Python API of codebot: built-in commands, workflows of commands, and pull requests."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from prunejuice.app import wiring
from prunejuice.changes import change_set, tree_state
from prunejuice.changes.change_set import ChangeSet, CommandOutput, FileChange
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.errors import GateError
from prunejuice.forges import submit
from prunejuice.system import settings
from prunejuice.system.stop_request import Stop
from prunejuice.verbs import plugins, prove
from prunejuice.verbs.plugins import (
    COMMANDS,
    ContextGatherer,
    ExecutionContext,
    PythonCommand,
    chain_commands,
    execute_agent,
    get_command,
    register_command,
)
from prunejuice.verbs.results import DebugResult, TestGenerationResult
from prunejuice.verbs.summarize.summaries import Summarizer, SummaryRequest
from prunejuice.verbs.summarize.summary import SummaryResult
from prunejuice.workflow import graph
from prunejuice.workflow.graph import Step, Workflow
from prunejuice.worktrees import git as gits

__all__ = [  # re-exported here because importing this module registers the built-in commands
    "COMMANDS",
    "Command",
    "ContextManager",
    "ExecutionContext",
    "chain_commands",
    "execute_agent",
    "get_command",
    "register_command",
]
Command = PythonCommand
ContextManager = ContextGatherer
if TYPE_CHECKING:
    TDD_WORKFLOW: Workflow
LATEST_SUMMARY_PATH = ".codebot/summaries/latest.md"


def _find_verb(name: str) -> Any:
    from prunejuice.verbs import catalog  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415

    return catalog.find_verb(
        name, project.find_project(project.current_directory()), settings.environment()
    )


@plugins.register_built_in("summarize")
class SummarizeCommand(PythonCommand):
    """Summarize code: purpose, components, dependencies, entry points."""

    name = "summarize"
    result_type = SummaryResult
    metadata = MappingProxyType({"default_token_limit": 2000})

    async def produce_output(self, invocation: Any) -> CommandOutput:
        """Return a summary as a change of `latest.md`; without a model it is derived from syntax trees."""
        limit = int(invocation.options.get("token_limit") or 2000)
        result = await invocation.run_in_thread(_summarize, limit)
        metadata = {
            "component_count": len(result.components),
            "dependency_count": len(result.external_dependencies),
            "pattern_count": len(result.patterns),
        }
        summary = f"found {len(result.components)} key components"
        return CommandOutput([FileChange(LATEST_SUMMARY_PATH, result.to_markdown())], summary, metadata)


def _summarize(invocation: Any, limit: int) -> SummaryResult:
    ask_request = invocation.to_request(_find_verb("do"))
    request = SummaryRequest(ask_request.paths, limit, ask_request.model)
    with invocation.open_ask_context("summarize") as ask_context:
        summarizer = Summarizer(ask_context.engine)
        if not request.model:
            return summarizer.summarize_offline(request).result
        return summarizer.summarize_with_agent(request, ask_context.agent, ask_context.stop).result


class SummaryCache:
    """A cache of summaries by content: unchanged code is never summarized twice.

    `cache_dir` is the folder `.codebot/summaries` of a project, or the folder of the project itself.
    """

    def __init__(self, cache_dir: str | Path = ".codebot/summaries") -> None:
        self.cache_dir = Path(cache_dir)
        is_cache = self.cache_dir.parts[-2:] == (".codebot", "summaries")
        self._directory = self.cache_dir.absolute().parents[1] if is_cache else self.cache_dir

    async def get_or_create_summary(
        self, files: Sequence[str], token_limit: int = 2000, model: str = ""
    ) -> str:
        """Return a summary of files as Markdown."""
        context = ExecutionContext(self._directory, paths=tuple(files), model=model)
        output = await SummarizeCommand().execute(context, token_limit=token_limit)
        return output.file_changes[0].content


@plugins.register_built_in("test")
class TestCommand(PythonCommand):
    """Write tests that pass, cover untested code, and detect faults in it."""

    __test__ = False  # pytest must not collect this class
    name = "test"
    result_type = TestGenerationResult

    async def produce_output(self, invocation: Any) -> CommandOutput:
        """Return the accepted tests as one file; the metadata has the verdict on each test."""
        verb = _find_verb("test")

        def prove_tests(threaded: Any) -> prove.ProvedTests:
            with threaded.open_ask_context("test") as ask_context:
                return prove.prove_tests(threaded.to_request(verb), ask_context, settings.environment())

        proved = await invocation.run_in_thread(prove_tests)
        count = sum(verdict.kept for verdict in proved.verdicts)
        metadata = {"tests": [verdict.to_dict() for verdict in proved.verdicts]}
        changes = list(change_set.changes_from_diffs(proved.differences))
        return CommandOutput(changes, f"Generated {count} test cases", metadata)


@plugins.register_built_in("debug-tests")
class DebugTestsCommand(PythonCommand):
    """Find out why tests fail and fix the code under test."""

    name = "debug-tests"
    result_type = DebugResult
    prompt_template = (
        "The output shows tests that fail. Find out why, and fix the implementation, not the tests, unless "
        "the tests are wrong. Give each file that has to be changed as it should be, whole."
    )


class RefactorCommand(PythonCommand):
    """Improve the structure of code without changing what it does."""

    name = "refactor"

    async def produce_output(self, invocation: Any) -> CommandOutput:
        """Return the edits of an agent for the verb `refactor`."""
        output: CommandOutput = await invocation.run_in_thread(
            plugins.CommandInvocation.ask_for_changes, _find_verb("refactor")
        )
        return output


plugins.register_built_in("refactor")(RefactorCommand)


class NoOpCommand(PythonCommand):
    """Do nothing; a common start for parallel workflows."""

    name = "no-op"

    async def produce_output(self, invocation: Any) -> CommandOutput:  # noqa: ARG002 - part of the interface
        """Return no changes."""
        return CommandOutput([])

    def step(self) -> dict[str, Any]:
        """Return the fields of the workflow step that runs this command."""
        return {"script": "true"}


class RunTestsCommand(PythonCommand):
    """Run the tests of a project; failing tests fail the command."""

    name = "run-tests"

    async def produce_output(self, invocation: Any) -> CommandOutput:
        """Return the tail of the test output.

        Raises:
            GateError: The tests fail.
        """
        from prunejuice.environments.place import own_place  # noqa: PLC0415
        from prunejuice.verbs.verify import interpreter  # noqa: PLC0415

        def run_tests() -> Any:
            stop = Stop()
            try:
                place = own_place(Path(invocation.context.working_directory).absolute())
                python = interpreter.find_python(place, settings.environment(), stop)
                return python.run_pytest(place, *invocation.context.paths, seconds=1800)
            finally:
                stop.close()

        result = await asyncio.to_thread(run_tests)
        if result.code:
            raise GateError(f"the tests fail: {result.output_tail[-2000:]}")
        return CommandOutput([], result.output_tail, {"exit_code": 0})

    def step(self) -> dict[str, Any]:
        """Return the fields of the workflow step that runs this command."""
        return {"script": "python -m pytest -q"}


@plugins.register_built_in("submit-pr")
class SubmitPRCommand(PythonCommand):
    """Submit changes as a pull request."""

    name = "submit-pr"

    async def execute(
        self,
        context: ExecutionContext | None = None,
        mode: str | None = None,  # noqa: ARG002 - no agent is asked
        **options: Any,
    ) -> CommandOutput:
        """Add the changes of the context to the pending change sets and submit all of them.

        `options` are the fields of `SubmitOptions`; others are ignored. Pushes a branch.
        """
        return await asyncio.to_thread(self._submit, context or ExecutionContext(), options)

    @staticmethod
    def _submit(context: ExecutionContext, options: Mapping[str, Any]) -> CommandOutput:
        from prunejuice.changes import pending  # noqa: PLC0415

        environ, directory = settings.environment(), Path(context.working_directory).absolute()
        git = gits.open_git(str(directory), dict(environ)).locate()
        store = ChangeSetStore(tree_state.find_tree_state(directory, environ))
        if context.pending_changes:
            changes = ChangeSet(context.pending_changes, str(options.get("title", "")))
            pending.add_change_set(store, changes, change_set.resolve_diffs(changes, store.tree_state))
        known = submit.SubmitOptions._fields
        submit_options = submit.SubmitOptions(**{k: v for k, v in options.items() if k in known})
        plan = submit.plan_submission(store, git, submit_options)
        result = submit.submit_changes(
            store, git, plan, environ, request=submit_options.request, exact=bool(submit_options.branch)
        )
        summary = f"Created PR: {result.url}" if result.url else f"Pushed {result.branch}"
        return CommandOutput([], summary, {"pr_url": result.url, "branch": result.branch})


class ClaudeSDKExecutor:
    """Runs commands with Claude Code in headless mode."""

    def execute_with_claudesdk(
        self, command: str, context: ExecutionContext | None = None
    ) -> CommandOutput:
        """Run the command with this name, or use the text as a prompt if no such command exists."""
        from prunejuice.errors import NotFoundError  # noqa: PLC0415

        context = context or ExecutionContext()
        try:
            python_command = plugins.get_command(command)
        except NotFoundError:
            return asyncio.run(plugins.execute_agent(command, context, mode="claudesdk"))  # type: ignore[no-any-return]
        return asyncio.run(python_command.execute(context, mode="claudesdk"))


# -- workflows --------------------------------------------------------------------------------------


def WorkflowStep(  # noqa: N802 - a public constructor function
    *,
    name: str,
    command: "PythonCommand | None" = None,
    id: str = "",  # noqa: A002 - the name of the field
    **fields: Any,
) -> Step:
    """Return a workflow step for a command or with fields such as `script`, `agent` or `uses`.

    Without an `id` the step gets an automatic one; a workflow names its steps by their keys.
    """
    if command is not None:
        step_fields = getattr(command, "step", None)
        fields = {**(step_fields() if step_fields else {"agent": command.name}), **fields}
    return Step(name=name, id=id or f"step_{secrets.token_hex(4)}", **fields)


class WorkflowResult(Struct, frozen=True):
    """The result of a workflow: the outputs of each step by id, and whether the run completed."""

    workflow: str
    outputs: dict[str, dict[str, Any]]
    success: bool
    run: str = ""


class WorkflowExecutor:
    """Executes workflows as runs, with a history and the option to resume them."""

    async def execute(
        self, flow: Workflow, initial_context: ExecutionContext | None = None
    ) -> WorkflowResult:
        """Run a workflow in the working directory of a context."""
        context = initial_context or ExecutionContext()
        directory = Path(context.working_directory).absolute()  # noqa: ASYNC240 - reads no files
        run = await asyncio.to_thread(wiring.execute, flow, None, directory)
        outputs = {visit.step: {**visit.outputs, "status": visit.status} for visit in run.visits}
        return WorkflowResult(flow.name, outputs, run.status == "completed", run.id)


class PipelineComposer:
    """Combines workflows into one."""

    def sequence(self, *workflows: Workflow) -> Workflow:
        """Return a workflow that runs the workflows one after the other."""
        return graph.sequence(*workflows)

    def parallel(self, *workflows: Workflow) -> Workflow:
        """Return a workflow that runs the workflows in parallel."""
        return graph.parallel(*workflows)


def tdd_workflow() -> Workflow:
    """Return the workflow of the built-in command `tdd` (test-driven development)."""
    return wiring.open_app().catalog.load("tdd").workflow


def __getattr__(name: str) -> Any:
    if name == "TDD_WORKFLOW":
        return tdd_workflow()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
