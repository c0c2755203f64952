"""Ask an agent for edits or data: gather context, send the prompt, and retry edits that do not apply."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from prunejuice.agents import budget
from prunejuice.agents.protocol import (
    NO_USAGE,
    Access,
    Agent,
    AgentEnded,
    AgentEvent,
    AgentStarted,
    AgentWarning,
    Limits,
    Task,
    TextDelta,
    ToolRefused,
    ToolUsed,
    Usage,
    collect_result,
    total_usage,
)
from prunejuice.agents.thinking import UnfinishedThinkingError, strip_thinking
from prunejuice.changes import parsed_answer, scratch_copy
from prunejuice.changes.parsed_answer import PlacedAnswer
from prunejuice.changes.scratch_copy import ScratchCopy
from prunejuice.changes.tree_state import TreeState
from prunejuice.code.exclude import MAX_NAMED_BYTES
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.context.bundle import Bundle, render_bundle
from prunejuice.context.engine import Engine
from prunejuice.context.request import ContextRequest
from prunejuice.edits.edit import EditRejectedError, UnreadableAnswerError
from prunejuice.edits.path_rules import invalid_path_reason
from prunejuice.environments import place
from prunejuice.environments.place import Place
from prunejuice.environments.place_sandbox import PlaceSandbox
from prunejuice.errors import (
    AgentError,
    ConflictError,
    DeniedError,
    LimitError,
    PruneJuiceError,
    UnfinishedAnswerError,
    UsageError,
)
from prunejuice.system import settings
from prunejuice.system.grace_period import DEFAULT_GRACE
from prunejuice.system.redact import mask_text
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import Stop
from prunejuice.text import format_count, to_utf8
from prunejuice.verbs import report as reports
from prunejuice.verbs.agent_in_copy import NO_CHANGES
from prunejuice.verbs.verb import Verb
from prunejuice.worktrees import file_listing

DEFAULT_ROUNDS = 3
"""The default number of rounds: one question, and two retries for edits that do not apply."""
_RESUME_NOTE = "You were interrupted during this task. The files are back in their original state."
_ANSWER_LIMIT = 20_000
"""Characters of an answer that are shown again in a retry."""
_EDIT_MARKERS = re.compile(r"SEARCH|^(?:@@ |diff --git |\+\+\+ )", re.MULTILINE)
"""Text that marks an answer with edits."""
_PROMPTS = Path(__file__).with_name("prompts")


class AskRequest(NamedTuple):
    """A verb, a person's words, and what to gather the context for."""

    verb: Verb
    words: str = ""
    paths: tuple[str, ...] = ()
    input_text: str = ""
    diff: str = ""
    budget: int = DEFAULT_BUDGET
    model: str = ""
    limits: Limits = Limits()
    access: Access = "edit"


class AskContext(NamedTuple):
    """The context engine, the tree and the agent of a request, with callbacks.

    `on_progress` receives progress messages, `on_started` the conversation that the agent began, and
    `on_usage` the usage of each task. `conversation` is an earlier conversation to continue. `tag` marks
    started processes, which are killed `grace` seconds after TERM. `work_folder` is the directory for
    copies of the tree, by default a temporary one. With `overlay`, checks run at the path of the tree if
    the system allows it, and with the variables in `declared`;
    `hidden` are their secret values, which no model sees. `settings` are those of the
    project, whose services run beside checks. `sandbox` contains the processes that execute the code.
    """

    engine: Engine
    tree: TreeState
    agent: Agent
    stop: Stop
    on_progress: Callable[[str], None] = lambda _: None
    on_started: Callable[[AgentStarted], None] = lambda _: None
    conversation: str = ""
    tag: str = ""
    work_folder: Path | None = None
    grace: float = DEFAULT_GRACE
    on_usage: Callable[[Usage], None] = lambda _: None
    overlay: bool = True
    declared: Mapping[str, str] = MappingProxyType({})
    hidden: tuple[str, ...] = ()
    settings: Settings | None = None
    sandbox: PlaceSandbox | None = None

    def own_place(self) -> Place:
        """Return the place of code that is executed in the tree itself."""
        return place.own_place(self.tree.root)._replace(sandbox=self.sandbox)

    @contextmanager
    def open_copy(self, folder: Path) -> Iterator[ScratchCopy]:
        """Yield a complete copy of the tree below a folder, in which code is executed."""
        environ = settings.environment()
        with scratch_copy.open_scratch_copy(
            self.tree, folder, environ, overlay=self.overlay, declared=self.declared
        ) as copy:
            copy.place = copy.place._replace(sandbox=self.sandbox)
            if copy.lacks_files:
                self.on_progress("ignored files are too many to copy: a check may lack some of them")
            yield copy

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Yield a directory for a copy of the tree, and delete it afterwards."""
        if self.work_folder is not None:
            self.work_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="codebot-", dir=self.work_folder) as folder:
            yield Path(folder).resolve()

    def run_task(self, task: Task) -> tuple[AgentEnded, Usage]:
        """Run a task on the tree and report its progress; return how it ended and its usage."""
        prompt = f"{_RESUME_NOTE}\n\n{task.prompt}" if self.conversation else task.prompt
        tree, conversation = str(self.tree.root), self.conversation
        located = task._replace(
            prompt=mask_text(mask_secrets("", prompt), self.hidden),
            directory=tree,
            conversation=conversation,
            tag=self.tag,
            grace=self.grace,
        )
        ended, usage = collect_result(self._relay_events(located))
        self.on_usage(usage)
        return ended, usage

    def _relay_events(self, task: Task) -> Iterator[AgentEvent]:
        for event in self.agent.run(task, self.stop):
            match event:
                case AgentStarted() if event.conversation:
                    self.on_started(event)
                case TextDelta() if self.agent.capabilities.stream:
                    self.on_progress(event.text)
                case AgentWarning():
                    self.on_progress(f"warning: {event.text}")
                case ToolUsed():
                    self.on_progress(f"{event.tool} {event.title}".rstrip())
                case ToolRefused():
                    self.on_progress(f"refused: {event.tool}: {event.why}")
            yield event


EMPTY_BUNDLE = Bundle("", "", "", 0, 0, "", "ranked")
"""The context of an answer that needed no question."""


class AskResult(NamedTuple):
    """An answer with its usage; `placed_answer` is None when nothing has to change."""

    placed_answer: PlacedAnswer | None
    text: str
    usage: Usage
    rounds: int
    context: Bundle


def ask_for_edits(request: AskRequest, context: AskContext) -> AskResult:
    """Ask an agent for edits; ask again with the reason when some do not apply.

    Raises:
        AgentError: the agent failed.
        LimitError: a limit was reached before an answer could be used.
        ConflictError: edits of the last round do not apply; nothing was changed.
    """
    bundle = context.engine.gather(context_request(request))
    # File names that are not UTF-8 hold surrogates, which cannot be sent to a model.
    question = f"{_task_prompt(request)}\n\n{to_utf8(render_bundle(bundle, 'text'))}"
    prompt, total = question, NO_USAGE
    max_rounds = request.limits.rounds or DEFAULT_ROUNDS
    for round_number in range(1, max_rounds + 1):
        action = "asked" if round_number == 1 else "asked again"
        context.on_progress(
            f"{action}: {format_count(len(bundle.items), 'file')}, {bundle.used:,} tokens of context"
        )
        text, usage = _ask_once(request, prompt, context, total)
        total = total_usage(total, usage)
        if _says_no_changes(text):
            return AskResult(None, text, total, round_number, bundle)
        placed, problem = _place_edits(text, context)
        if placed is not None and not problem:
            return AskResult(placed, text, total, round_number, bundle)
        context.on_progress(mask_secrets("", problem))
        prompt = f"{question}\n\n{_retry_prompt(text, problem)}"
    raise ConflictError(
        f"after {format_count(max_rounds, 'round')}: {problem}",
        "ask again, or name the files to change",
        answer=text,
    )


class ReportResult(NamedTuple):
    """Data that matches the verb's schema, with its usage and context."""

    output: dict[str, Any]
    usage: Usage
    context: Bundle
    dropped_items: tuple[str, ...] = ()


def ask_for_report(
    request: AskRequest, context: AskContext, validate: Callable[[Any], Any] = lambda data: data
) -> ReportResult:
    """Ask an agent for data that matches the verb's schema; drop items about files that do not exist.

    `validate` checks and returns data that matches the schema; it raises `ValueError` for other problems.

    Raises:
        AgentError: the agent failed, or none of its answers matches.
        LimitError: a limit was reached.
    """
    schema = request.verb.result or {}
    bundle = context.engine.gather(context_request(request))

    dropped: list[str] = []

    def check(output: Any) -> Any:
        reports.require_valid_data(schema, output)
        verified = reports.verify_locations(
            validate(output), lambda path: _file_lines(context.tree.root, path)
        )
        dropped[:] = verified.dropped_items
        try:
            reports.require_valid_data(schema, verified.data)
        except ValueError:  # the schema does not allow marks
            return reports.strip_marks(verified.data)
        return verified.data

    prompt = f"{_task_prompt(request)}\n\n{to_utf8(render_bundle(bundle, 'text'))}"
    budget.require_budget(request.limits, NO_USAGE, prompt, request.model)
    instructions = _load_instructions("look" if context.agent.capabilities.edits else "report")
    limits = request.limits._replace(rounds=None)
    task = Task(prompt, instructions, schema, check, request.model, limits, access="read")
    context.on_progress(
        f"asked: {format_count(len(bundle.items), 'file')}, {bundle.used:,} tokens of context"
    )
    ended, usage = context.run_task(task)
    _require_ok(ended)
    for message in dropped:
        context.on_progress(f"left out: {message}")
    return ReportResult(ended.output, usage, bundle, tuple(dropped))


def _file_lines(root: Path, path: str) -> list[str] | None:
    """Return the lines of a file of the tree, or None if it does not exist."""
    data = (
        file_listing.read_content(str(root), path, MAX_NAMED_BYTES)
        if invalid_path_reason(path) == ""
        else None
    )
    return None if data is None else data.decode("utf-8", "replace").split("\n")


def _require_ok(ended: AgentEnded) -> None:
    if ended.status == "denied":
        raise DeniedError(ended.error, ended.fix)
    if ended.status != "ok":
        error_types = {"limit": LimitError, "unfinished": UnfinishedAnswerError}
        error_type = error_types.get(ended.status, AgentError)
        raise error_type(ended.error, ended.fix, answer=str(ended.output or ""))


def _load_instructions(name: str) -> str:
    return (_PROMPTS / f"{name}.md").read_text(encoding="utf-8")


def _task_prompt(request: AskRequest) -> str:
    """Return the verb's prompt with the words, and the files to look at first."""
    paths = [path for path in request.paths or request.verb.paths if not path.startswith("!")]
    focus = f"Look at {', '.join(paths)}. The other files shown may help." if paths else ""
    return f"{request.verb.prompt_for(request.words)}\n\n{to_utf8(focus)}".strip()


def context_request(request: AskRequest) -> ContextRequest:
    """Return the context request for an agent request."""
    return ContextRequest(
        query=f"{request.words}\n{request.verb.description}" if request.words else request.verb.description,
        paths=request.paths or request.verb.paths,
        budget=request.budget,
        given=request.input_text,
        diff=request.diff,
        model=request.model,
    )


def _ask_once(request: AskRequest, prompt: str, context: AskContext, total: Usage) -> tuple[str, Usage]:
    """Ask once; return the answer and its usage.

    Raises:
        LimitError: a limit was reached, or another question would exceed it.
    """
    limits = request.limits
    budget.require_budget(limits, total, prompt, request.model)
    remaining = limits.remaining(total)._replace(rounds=None)
    instructions = _load_instructions("work" if context.agent.capabilities.edits else "edits")
    task = Task(prompt, instructions, model=request.model, limits=remaining, access=request.access)
    ended, usage = context.run_task(task)
    _require_ok(ended)
    return str(ended.output), usage


def _says_no_changes(text: str) -> bool:
    """Return whether an answer says that no changes are needed."""
    with suppress(UnfinishedThinkingError):
        text = strip_thinking(text)
    has_marker = any(line.strip(" *_`>").startswith(NO_CHANGES) for line in text.splitlines())
    return has_marker and not (_EDIT_MARKERS.search(text) or text.startswith("{"))


def _place_edits(text: str, context: AskContext) -> tuple[PlacedAnswer | None, str]:
    """Return the changes of an answer, and what is wrong with it; one of the two is empty."""
    try:
        answer = parsed_answer.read_answer(text, context.tree, directory=context.engine.directory)
    except (UnreadableAnswerError, ConflictError, UsageError) as error:
        return None, _error_message(error)
    problems = "\n".join(
        _unplaced_edit_message(edit.edit.path, edit.edit.answer_line, edit.rejection)
        for edit in answer.rejected_edits
    )
    return answer, problems


def _unplaced_edit_message(path: str, line: int, error: EditRejectedError | None) -> str:
    return f"{path} (line {line} of the answer): {_error_message(error) if error else 'it does not apply'}"


def _error_message(error: PruneJuiceError) -> str:
    return f"{error.message}. {error.fix}".rstrip()


def _retry_prompt(text: str, problem: str) -> str:
    shown = text if len(text) <= _ANSWER_LIMIT else text[:_ANSWER_LIMIT] + "\n… (cut)"
    return (
        f"You answered:\n\n{shown}\n\nNone of it was applied, because:\n\n{problem}\n\n"
        "Write all blocks of your answer again, with these corrected. "
        "The files above show the current state."
    )
