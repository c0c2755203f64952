"""Agent steps: ask an agent for changes, and apply them to the workspace, defer or keep them."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.agents.protocol import NO_USAGE, Agent, AgentStarted, Usage, total_usage
from prunejuice.agents.registry import UsageLabel, open_agent
from prunejuice.changes import change_set, denial, parsed_answer, pending, tree_state
from prunejuice.changes.change_set import ChangeSet, CommandOutput
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.changes.parsed_answer import PlacedAnswer
from prunejuice.changes.scratch_copy import ScratchCopy
from prunejuice.changes.tree_state import TreeState
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.context.bundle import render_bundle
from prunejuice.context.engine import Engine
from prunejuice.edits import diff, formats
from prunejuice.edits.diff import FileDiff
from prunejuice.engine.event import ConversationStarted
from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.errors import (
    DeniedError,
    PruneJuiceError,
    StepError,
    UnfinishedAnswerError,
)
from prunejuice.steps import agent_request
from prunejuice.steps.agent_check import CheckChoice
from prunejuice.steps.agent_place import open_agent_place, open_interrupted_copies
from prunejuice.steps.artifacts import write_artifact
from prunejuice.steps.containment import StepContainment
from prunejuice.steps.environment import check_variables
from prunejuice.steps.leading_prose import leading_prose
from prunejuice.steps.resources import StepResources, make_teller, ok_result
from prunejuice.steps.timeout import time_limit
from prunejuice.system.stop_request import Stop
from prunejuice.text import format_count
from prunejuice.verbs import ask, plugins, prove, repair, report
from prunejuice.verbs.agent_in_copy import AgentInCopy
from prunejuice.verbs.ask import AskContext, AskRequest, AskResult
from prunejuice.verbs.verify import (
    gates,
    generated_tests,
    tamper,
)

_ANSWER_KEPT_FIX = "apply the kept answer with: codebot apply {}"
_DENIED_ANSWER_FIX = "judge the kept answer by hunk with: codebot apply {} -r"


class _AgentStep(NamedTuple):
    """The context, resources and request of one agent step."""

    handle: StepContext
    resources: StepResources
    request: AskRequest
    ask_context: AskContext

    @property
    def tree(self) -> TreeState:
        return self.ask_context.tree

    def keep_file(self, name: str, text: str) -> Path:
        """Store a file of this visit as an artifact; return its path."""
        path = self.handle.directory / "prompts" / f"{self.handle.log.stem}-{name}"
        write_artifact(self.handle, path, text)
        return path


def run_agent_step(handle: StepContext, resources: StepResources) -> StepResult:
    """Ask the agent and apply all of its changes or none; the question and the answer are kept.

    Raises:
        HumanNeededError: no model is set, or the verb does not exist.
        AgentError: the model failed.
        LimitError: a limit was reached.
        ConflictError: edits still do not apply after the last round.
        DeniedError: a file needs a grant, or a check is weakened.
    """
    seconds = agent_request.parse_limits(resources.args).seconds or handle.timeout
    with time_limit(handle.stop, min(seconds, handle.timeout)) as stop:
        return _run_agent(handle._replace(stop=stop), resources)


def _run_agent(handle: StepContext, resources: StepResources) -> StepResult:
    own_command = resources.project.find_extension(handle.plan.project, handle.step.agent)
    request, name = (
        agent_request.build_request(handle, resources, own_command and own_command.to_verb()),
        agent_request.agent_name(resources),
    )
    directory = Path(handle.workspace.directory)
    work = handle.directory / "work" / f"{handle.step.id}-{handle.visit}"
    tree = tree_state.find_tree_state(directory, resources.environ)
    _keep_interrupted_changes(handle, resources, tree, work)
    contained = StepContainment(handle, resources.environ, resources.settings)

    def run_in_copy(agent: Agent) -> Agent:
        return AgentInCopy(agent, place, resources.environ, contained.contain_agent(name))

    source = agent_request.build_source(handle, resources)
    environ, label = resources.environ, UsageLabel(handle.plan.command.name, handle.run.id)
    with (
        open_agent_place(name, work, resources.settings.home, handle.plan.project) as place,
        open_agent(
            name, source, label, settings=resources.settings, environ=environ, around=run_in_copy
        ) as agent,
        closing(Engine(directory, environ)) as engine,
    ):
        limits = agent_request.bound_limits(
            request.limits, request.model, agent, resources.settings.max_cost
        )
        request = request._replace(limits=limits)
        conversation = _find_conversation(handle, agent.name)
        record_conversation = _conversation_recorder(handle)
        report_progress = make_teller(handle, resources)
        ask_context = AskContext(
            engine,
            tree,
            agent,
            handle.stop,
            report_progress,
            record_conversation,
            conversation,
            handle.tag,
            work,
            resources.settings.grace,
            overlay=resources.settings.overlay,
            declared=check_variables(handle, resources),
            hidden=resources.hidden,
            settings=resources.settings,
            sandbox=contained.open_check_sandbox(report_progress),
        )
        agent_step = _AgentStep(handle, resources, request, ask_context)
        if own_command is not None:
            return _run_python_command(agent_step, own_command)
        return _run_report(agent_step) if request.verb.result is not None else _run_changes(agent_step)


def _keep_interrupted_changes(
    handle: StepContext, resources: StepResources, tree: TreeState, work: Path
) -> None:
    """Keep the changes that an interrupted agent made in its copy, and delete the copy."""
    with open_interrupted_copies(work) as copies:
        for copy_path in copies:
            if diffs := ScratchCopy(tree, copy_path, resources.environ).leftover_diffs():
                path = handle.directory / "prompts" / f"{handle.log.stem}-cut-off.diff"
                write_artifact(handle, path, "".join(map(diff.format_diff, diffs)))
                handle.report_line(
                    f"kept the changes of the interrupted agent, apply them with: codebot apply {path}"
                )


def _conversation_recorder(handle: StepContext) -> Any:
    def record(event: AgentStarted) -> None:
        started = ConversationStarted(
            at=time.time(),
            step=handle.step.id,
            visit=handle.visit,
            attempt=handle.attempt,
            agent=event.agent,
            conversation=event.conversation,
        )
        handle.emit(started)

    return record


def _find_conversation(handle: StepContext, agent: str) -> str:
    """Return the conversation that the same attempt began before it was interrupted."""
    key = (handle.step.id, handle.visit, handle.attempt, agent)
    conversations = (
        entry.conversation
        for entry in reversed(handle.run.conversations)
        if (entry.step, entry.visit, entry.attempt, entry.agent) == key
    )
    return next(conversations, "")


# -- reports ----------------------------------------------------------------------------------------


def _run_report(agent_step: _AgentStep) -> StepResult:
    """Store the data that an agent answers with, and output it as `result`."""
    answer = ask.ask_for_report(agent_step.request, agent_step.ask_context)
    text = report.render_markdown(agent_step.request.verb.result or {}, answer.output)
    agent_step.keep_file("context.md", render_bundle(answer.context, "markdown"))
    agent_step.keep_file("report.md", text)
    dropped = {"left_out": list(answer.dropped_items)} if answer.dropped_items else {}
    return ok_result(text, result=answer.output, **answer.usage.to_outputs(), **dropped)


# -- changes ----------------------------------------------------------------------------------------


def _run_changes(agent_step: _AgentStep) -> StepResult:
    try:
        answer = _ask_agent(agent_step)
    except PruneJuiceError as error:
        outputs = dict(error.outputs)
        if failure := outputs.pop(repair.CHECK_OUTPUT, ""):
            agent_step.keep_file("check.txt", failure)
        error.outputs = outputs
        if error.answer:
            path = agent_step.keep_file("answer.md", error.answer)
            # An answer that was cut off is not offered to be applied as if it were whole.
            is_whole = not isinstance(error, UnfinishedAnswerError) and _has_edits(error.answer)
            note = _ANSWER_KEPT_FIX.format(path) if is_whole else f"the answer is kept: {path}"
            if isinstance(error, DeniedError):
                denial.keep_denial(path, error.message)
                note = _DENIED_ANSWER_FIX.format(path)
            if worktree := agent_step.handle.workspace.own_worktree:
                note = f"in {worktree}, {note}"
            error.fix = "; ".join(filter(None, (error.fix, note)))
        raise
    agent_step.keep_file("context.md", render_bundle(answer.context, "markdown"))
    _require_unchanged_tests(
        agent_step, answer.placed_answer, agent_step.keep_file("answer.md", answer.text)
    )
    return _deliver_changes(agent_step, answer)


def _has_edits(text: str) -> bool:
    """Return whether `codebot apply` accepts an answer."""
    try:
        return bool(
            change_set.parse_change_set(text) if text.lstrip().startswith("{") else formats.read(text)
        )
    except PruneJuiceError:
        return False


def _require_unchanged_tests(
    agent_step: _AgentStep, placed: PlacedAnswer | None, answer_path: Path
) -> None:
    """Refuse changes to tests and test configuration; a person in an interactive agent may change them.

    Raises:
        DeniedError: the changes alter tests, and that was not allowed.
    """
    by_person = agent_step.ask_context.agent.name == "interactive"
    if by_person or agent_step.resources.args.get("allow_tests_change"):
        return
    if findings := tamper.find_rewritten_tests(placed.differences if placed else ()):
        message = f"the answer changes tests or checks: {tamper.format_findings(findings)}"
        denial.keep_denial(answer_path, message)
        raise DeniedError(message, f"{tamper.ALLOW_HINT}; {_DENIED_ANSWER_FIX.format(answer_path)}")


def _run_python_command(agent_step: _AgentStep, command: plugins.PythonCommand) -> StepResult:
    """Run a project's Python command; its changes are delivered as any other changes."""
    request = agent_step.request
    context = plugins.ExecutionContext(
        working_directory=agent_step.handle.workspace.directory,
        clipboard=request.input_text,
        paths=request.paths,
        prompt=request.words,
        model=request.model,
    )
    usages: list[Usage] = []
    ask_context = agent_step.ask_context._replace(on_usage=usages.append)
    pending_output = command.produce_output(plugins.CommandInvocation(context, "", {}, ask_context))
    output = asyncio.run(_await_until_stopped(pending_output, agent_step.handle.stop))
    changes = output.change_set(command.name, agent_step.handle.run.id)
    diffs = tuple(change_set.resolve_diffs(changes, agent_step.tree))
    total = reduce(total_usage, usages, NO_USAGE)
    placed = PlacedAnswer(changes, diffs, "code") if diffs else None
    answer = AskResult(placed, output.summary, total, len(usages), ask.EMPTY_BUNDLE)
    agent_step.keep_file("answer.md", output.summary)
    result = _deliver_changes(agent_step, answer)
    return result._replace(outputs={**result.outputs, "metadata": output.metadata})


async def _await_until_stopped(
    pending_output: Coroutine[Any, Any, CommandOutput], stop: Stop
) -> CommandOutput:
    """Return the output of a coroutine; cancel it at its next await when `stop` is requested."""
    task = asyncio.ensure_future(pending_output)
    while not (await asyncio.wait({task}, timeout=0.2))[0]:
        if stop.is_requested():
            task.cancel()
    if task.cancelled():
        raise StepError("stopped")
    return task.result()


def _ask_agent(agent_step: _AgentStep) -> AskResult:
    """Ask an agent once, or until a check passes."""
    if agent_step.request.verb.proves:
        return _prove_tests(agent_step)
    check = CheckChoice(agent_step.request, agent_step.resources, agent_step.ask_context).select()
    if check is None:
        return ask.ask_for_edits(agent_step.request, agent_step.ask_context)
    repaired = repair.repair_until_passing(agent_step.request, check, agent_step.ask_context)
    placed = _build_placed_answer(repaired.differences, repaired.evidence, repaired.summary)
    context = repaired.context or ask.EMPTY_BUNDLE
    return AskResult(
        placed if repaired.differences else None, repaired.text, repaired.usage, repaired.rounds, context
    )


def _prove_tests(agent_step: _AgentStep) -> AskResult:
    """Ask for tests and keep those that pass every gate; store the verdicts."""
    must_fail = bool(agent_step.resources.args.get("must_fail"))
    proved = prove.prove_tests(
        agent_step.request, agent_step.ask_context, agent_step.resources.environ, must_fail=must_fail
    )
    text = generated_tests.render_verdicts(proved.verdicts)
    agent_step.keep_file("tests.md", text)
    placed = _build_placed_answer(proved.differences, generated_tests.evidence_lines(proved.verdicts))
    return AskResult(
        placed, generated_tests.evidence_lines(proved.verdicts)[0], proved.usage, 1, proved.context
    )


def _build_placed_answer(
    diffs: tuple[FileDiff, ...], evidence: Sequence[str], summary: str = ""
) -> PlacedAnswer:
    metadata = {"evidence": list(evidence)} if evidence else {}
    changes = ChangeSet(change_set.changes_from_diffs(diffs), summary, metadata)
    return PlacedAnswer(changes, diffs, "checked")


def _deliver_changes(agent_step: _AgentStep, answer: AskResult) -> StepResult:
    """Apply the changes of an answer, add them to the pending ones, or keep them as files."""
    placed = answer.placed_answer
    differences = placed.differences if placed else ()
    outputs = _build_outputs(agent_step, answer)
    if placed and differences:
        changes = ChangeSet(
            change_set.changes_from_diffs(differences, change_set.reasons_by_path(placed.change_set)),
            outputs["summary"],
            {
                **placed.change_set.metadata,
                "agent": agent_step.ask_context.agent.name,
                **({"closes": closes} if (closes := agent_step.resources.args.get("closes")) else {}),
            },
            command=agent_step.request.verb.name,
            run=agent_step.handle.run.id,
        )
        # Kept before they are applied, so that a failure to apply them loses nothing.
        masked = (mask_secrets(each.path, diff.format_diff(each)) for each in differences)
        agent_step.keep_file("changes.diff", "".join(masked))
        kept = agent_step.keep_file("changes.json", changes.to_json())
        _require_gates(agent_step, differences, kept)
        outputs |= {"format": placed.format, "edits": parsed_answer.edit_outcomes_data(placed)}
        outputs |= _apply_or_defer(agent_step, changes, differences)
    files = len(outputs["files"])
    changed = f"{format_count(files, 'file')} changed" if files else "no changes needed"
    effort = f"{format_count(answer.rounds, 'round')}, {outputs['tokens']:,} tokens"
    return ok_result(f"{agent_step.handle.step.agent}: {changed} in {effort}", **outputs)


def _require_gates(agent_step: _AgentStep, differences: Sequence[FileDiff], kept: Path) -> None:
    try:
        gates.require_gates(
            agent_step.resources.settings.gates, differences, _DENIED_ANSWER_FIX.format(kept)
        )
    except PruneJuiceError as error:
        denial.keep_denial(kept, error.message)
        raise


def _apply_or_defer(
    agent_step: _AgentStep, changes: ChangeSet, differences: Sequence[FileDiff]
) -> dict[str, Any]:
    mode = agent_step.resources.args.get("changes") or "make"
    if mode == "keep":
        return {}
    if mode == "wait":
        return {
            "change_set": pending.add_change_set_once(
                ChangeSetStore(agent_step.tree), changes, differences
            ).id
        }
    if mode != "make":
        raise StepError(f"`changes` must be make, wait or keep, not {mode!r}")
    change_set.require_allowed(differences, agent_request.parse_texts(agent_step.resources.args, "grant"))
    change_set.write_diffs(agent_step.tree, differences)
    return {}


def _build_outputs(agent_step: _AgentStep, answer: AskResult) -> dict[str, Any]:
    """Return the step outputs: changed files, summary, usage and shown context."""
    placed = answer.placed_answer
    differences = placed.differences if placed else ()
    shown = [{"path": item.path, "mode": item.mode} for item in answer.context.items]
    return {
        "files": sorted({file_diff.to or file_diff.path for file_diff in differences}),
        "digest": change_set.digest_differences(differences),
        "summary": (placed.change_set.summary if placed else "") or leading_prose(answer.text),
        "rounds": answer.rounds,
        **answer.usage.to_outputs(),
        "agent": agent_step.ask_context.agent.name,
        **{k: v for k, v in (placed.change_set.metadata if placed else {}).items() if k == "evidence"},
        "context": {"tokens": answer.context.used, "files": shown},
    }
