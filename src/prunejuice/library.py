"""Codebot for programs: commands that do more than ask, workflows of commands, and handing in."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from prunejuice import app as apps
from prunejuice import change, extension, proving, settings, submission, workflow
from prunejuice import git as gits
from prunejuice.change import ChangeSet, CommandOutput, FileChange
from prunejuice.contexts.summaries import Summaries, Wanted
from prunejuice.errors import GateError
from prunejuice.extension import (
    COMMANDS,
    Command,
    ExecutionContext,
    Gatherer,
    chain_commands,
    execute_agent,
    get_command,
    register_command,
)
from prunejuice.protocols import Stop
from prunejuice.results import DebugResult, TestGenerationResult
from prunejuice.shelf import Shelf
from prunejuice.summary import SummaryResult
from prunejuice.workflow import Step, Workflow
from prunejuice.workspaces import house as houses

__all__ = [  # the names of `extension` come from here, so that ours are known too
    "COMMANDS",
    "Command",
    "ContextManager",
    "ExecutionContext",
    "chain_commands",
    "execute_agent",
    "get_command",
    "register_command",
]
ContextManager = Gatherer
LATEST = ".codebot/summaries/latest.md"


def _verb(name: str) -> Any:
    from prunejuice import project, vocabulary  # noqa: PLC0415

    return vocabulary.find(name, project.find(project.here()), settings.environment())


@extension.built_in("summarize")
class SummarizeCommand(Command):
    """Summarize code: purpose, components, dependencies, entry points."""

    name = "summarize"
    result_type = SummaryResult
    metadata = MappingProxyType({"default_token_limit": 2000})

    async def answered(self, asked: Any) -> CommandOutput:
        """A summary by a model, or without one out of syntax trees; as a change of `latest.md`."""
        limit = int(asked.more.get("token_limit") or 2000)
        result = await asked.apart(_summarized, limit)
        known = {
            "component_count": len(result.components),
            "dependency_count": len(result.external_dependencies),
            "pattern_count": len(result.patterns),
        }
        said = f"found {len(result.components)} key components"
        return CommandOutput([FileChange(LATEST, result.to_markdown())], said, known)


def _summarized(asked: Any, limit: int) -> SummaryResult:
    request = asked.request(_verb("do"))
    wanted = Wanted(request.paths, limit, request.model)
    with asked.opened("summarize") as means:
        summaries = Summaries(means.engine)
        if not request.model:
            return summaries.offline(wanted).result
        return summaries.asked(wanted, means.agent, means.stop).result


class SummaryCache:
    """Summaries of code, kept by what the code is: the same content is never summarized twice."""

    def __init__(self, directory: str | Path = ".") -> None:
        self._directory = Path(directory)

    async def get_or_create_summary(
        self, files: Sequence[str], token_limit: int = 2000, model: str = ""
    ) -> str:
        """The summary of some files as Markdown."""
        context = ExecutionContext(self._directory, paths=tuple(files), model=model)
        output = await SummarizeCommand().execute(context, token_limit=token_limit)
        return output.file_changes[0].content


@extension.built_in("test")
class TestCommand(Command):
    """Write tests that pass, run code that was not tested, and notice faults in it."""

    __test__ = False
    name = "test"
    result_type = TestGenerationResult

    async def answered(self, asked: Any) -> CommandOutput:
        """The tests that hold, as one file; the verdict on each is in the metadata."""
        verb = _verb("test")

        def proved(asking: Any) -> proving.Proved:
            with asking.opened("test") as means:
                return proving.prove(asking.request(verb), means, settings.environment())

        found = await asked.apart(proved)
        kept = sum(each.kept for each in found.verdicts)
        known = {"tests": [each.told() for each in found.verdicts]}
        return CommandOutput(
            list(change.of_differences(found.differences)), f"Generated {kept} test cases", known
        )


@extension.built_in("debug-tests")
class DebugTestsCommand(Command):
    """Find out why tests fail, and mend the code that they test."""

    name = "debug-tests"
    result_type = DebugResult
    prompt_template = (
        "The output shows tests that fail. Find out why, and fix the implementation, not the tests, unless "
        "the tests are wrong. Give each file that has to be changed as it should be, whole."
    )


class RefactorCommand(Command):
    """Improve the structure of code without changing what it does."""

    name = "refactor"

    async def answered(self, asked: Any) -> CommandOutput:
        """Edits, as the verb asks for them."""
        output: CommandOutput = await asked.apart(extension.Asking.changed, _verb("refactor"))
        return output


extension.built_in("refactor")(RefactorCommand)


class NoOpCommand(Command):
    """Do nothing: where workflows begin side by side."""

    name = "no-op"

    async def answered(self, asked: Any) -> CommandOutput:  # noqa: ARG002 - it needs nothing
        """Nothing."""
        return CommandOutput([])

    def step(self) -> dict[str, Any]:
        """The step of a workflow that does it."""
        return {"script": "true"}


class RunTestsCommand(Command):
    """Run the tests of a project; that they fail is a failure."""

    name = "run-tests"

    async def answered(self, asked: Any) -> CommandOutput:
        """What the tests said.

        Raises:
            GateError: they fail.
        """
        from prunejuice import interpreter  # noqa: PLC0415

        def tested() -> Any:
            stop = Stop()
            try:
                root = Path(asked.context.working_directory).absolute()
                python = interpreter.found(root, settings.environment(), stop)
                return python.pytest(root, *asked.context.paths, seconds=1800)
            finally:
                stop.close()

        ran = await asyncio.to_thread(tested)
        if ran.code:
            raise GateError(f"the tests fail: {ran.said[-2000:]}")
        return CommandOutput([], ran.said, {"exit_code": 0})

    def step(self) -> dict[str, Any]:
        """The step of a workflow that does it."""
        return {"script": "python -m pytest -q"}


@extension.built_in("submit-pr")
class SubmitPRCommand(Command):
    """Hand in changes as a pull request."""

    name = "submit-pr"

    async def execute(
        self,
        context: ExecutionContext | None = None,
        mode: str | None = None,  # noqa: ARG002 - nobody is asked
        **more: Any,
    ) -> CommandOutput:
        """Let the context's changes wait beside those that do, and hand all of them in."""
        given = context or ExecutionContext()
        return await asyncio.to_thread(self._submitted, given, more)

    @staticmethod
    def _submitted(context: ExecutionContext, more: Mapping[str, Any]) -> CommandOutput:
        from prunejuice import pending  # noqa: PLC0415

        environ, place = settings.environment(), Path(context.working_directory).absolute()
        git = gits.git(str(place), dict(environ)).located()
        shelf = Shelf(houses.around(place, environ))
        if context.pending_changes:
            made = ChangeSet(context.pending_changes, str(more.get("title", "")))
            pending.propose(shelf, made, change.resolve(made, shelf.house))
        wanted = submission.Wanted(**{k: v for k, v in more.items() if k in submission.Wanted._fields})
        plan = submission.plan(shelf, git, wanted)
        done = submission.hand_in(
            shelf, git, plan, environ, request=wanted.request, exact=bool(wanted.branch)
        )
        known = {"pr_url": done.url, "branch": done.branch}
        return CommandOutput([], f"Created PR: {done.url}" if done.url else f"Pushed {done.branch}", known)


class ClaudeSDKExecutor:
    """Carries commands out with Claude Code, headless."""

    def execute_with_claudesdk(
        self, command: str, context: ExecutionContext | None = None
    ) -> CommandOutput:
        """What Claude Code changes for a command of that name, or for words that are none."""
        from prunejuice.errors import NotFoundError  # noqa: PLC0415

        given = context or ExecutionContext()
        try:
            found = extension.get_command(command)
        except NotFoundError:
            return asyncio.run(extension.execute_agent(command, given, mode="claudesdk"))  # type: ignore[no-any-return]
        return asyncio.run(found.execute(given, mode="claudesdk"))


# -- workflows --------------------------------------------------------------------------------------


def WorkflowStep(  # noqa: N802 - it makes a step, under the name of one
    *,
    name: str,
    command: "Command | None" = None,
    id: str = "",  # noqa: A002 - the name of the field
    **more: Any,
) -> Step:
    """A step of a workflow: a command, or what a step can be besides (`script`, `agent`, `uses`)."""
    if command is not None:
        own = getattr(command, "step", None)
        more = {**(own() if own else {"agent": command.name}), **more}
    return Step(name=name, id=id, **more)


class WorkflowResult(Struct, frozen=True):
    """How a workflow went: what each step handed on, and whether all went well."""

    workflow: str
    outputs: dict[str, dict[str, Any]]
    success: bool
    run: str = ""


class WorkflowExecutor:
    """Runs workflows as runs: with a history, taken up again when they are cut off."""

    async def execute(
        self, flow: Workflow, initial_context: ExecutionContext | None = None
    ) -> WorkflowResult:
        """Run a workflow in the folder of a context, to its end."""
        given = initial_context or ExecutionContext()
        place = Path(given.working_directory).absolute()  # noqa: ASYNC240 - once
        run = await asyncio.to_thread(apps.execute, flow, None, place)
        outputs = {visit.step: {**visit.outputs, "status": visit.status} for visit in run.visits}
        return WorkflowResult(flow.name, outputs, run.status == "completed", run.id)


class PipelineComposer:
    """Makes one workflow of several."""

    def sequence(self, *workflows: Workflow) -> Workflow:
        """One after the other."""
        return workflow.sequence(*workflows)

    def parallel(self, *workflows: Workflow) -> Workflow:
        """Side by side."""
        return workflow.parallel(*workflows)


def tdd_workflow() -> Workflow:
    """Test-driven development, as the built-in command `tdd` has it."""
    return apps.open_app().catalog.load("tdd").workflow


def __getattr__(name: str) -> Any:
    if name == "TDD_WORKFLOW":
        return tdd_workflow()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
