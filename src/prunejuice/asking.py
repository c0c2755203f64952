"""Asking an agent for changes: context in, an answer out, until all of its edits have a place."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice import answer as answers
from prunejuice import pathname
from prunejuice import report as reports
from prunejuice.agent import (
    NOTHING,
    Access,
    AgentEvent,
    Did,
    Ended,
    Limits,
    Refused,
    Said,
    Spent,
    Started,
    Task,
    added,
    taken,
)
from prunejuice.answer import Taken
from prunejuice.context import Bundle, present
from prunejuice.contexts import budget, files
from prunejuice.contexts.asked import Ask
from prunejuice.contexts.gather import Engine
from prunejuice.edit import RejectedError, UnreadableError
from prunejuice.errors import (
    AgentError,
    ConflictError,
    DeniedError,
    LimitError,
    PruneJuiceError,
    UsageError,
)
from prunejuice.protocols import Agent, Stop
from prunejuice.screening import LARGEST_NAMED
from prunejuice.text import counted, utf8
from prunejuice.verb import Verb
from prunejuice.working import NO_CHANGES
from prunejuice.workspaces.house import House

ROUNDS = 3
"""How often an agent is asked when nothing else is said: once, and twice about edits without a place."""
_CUT_OFF = "You were cut off while you did this. The files are again as they were in the beginning."
_ANSWER = 20_000
"""Letters of an answer that are shown again."""
_EDITS = re.compile(r"SEARCH|^(?:@@ |diff --git |\+\+\+ )", re.MULTILINE)
"""What an answer with edits has."""
_PROMPTS = Path(__file__).with_name("prompts")


class Request(NamedTuple):
    """What is asked: a verb, the words of a person, and what a context is gathered for."""

    verb: Verb
    words: str = ""
    paths: tuple[str, ...] = ()
    given: str = ""
    diff: str = ""
    budget: int = 32_000
    model: str = ""
    limits: Limits = Limits()
    access: Access = "edit"


class Means(NamedTuple):
    """What asking works with: whose context, whose files, who answers.

    `tell` hears how it goes, `begun` the conversation that an agent began; `conversation` is one to go on
    with. `tag` marks the processes that are started; `work` is a folder for copies of the tree, which are
    temporary files of the system without one. `spend` is told what each task took.
    """

    engine: Engine
    house: House
    agent: Agent
    stop: Stop
    tell: Callable[[str], None] = lambda _: None
    begun: Callable[[Started], None] = lambda _: None
    conversation: str = ""
    tag: str = ""
    work: Path | None = None
    spend: Callable[[Spent], None] = lambda _: None

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A folder for a copy of the tree, gone at the end."""
        if self.work is not None:
            self.work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="codebot-", dir=self.work) as folder:
            yield Path(folder).resolve()

    def answer(self, task: Task) -> tuple[Ended, Spent]:
        """Let the agent do a task in the tree, and tell how it goes."""
        prompt = f"{_CUT_OFF}\n\n{task.prompt}" if self.conversation else task.prompt
        where, told, tag = str(self.house.root), self.conversation, self.tag
        placed = task._replace(prompt=prompt, directory=where, conversation=told, tag=tag)
        ended, spent = taken(self._heard(placed))
        self.spend(spent)
        return ended, spent

    def _heard(self, task: Task) -> Iterator[AgentEvent]:
        for event in self.agent.run(task, self.stop):
            match event:
                case Started() if event.conversation:
                    self.begun(event)
                case Said() if self.agent.can.stream:
                    self.tell(event.text)
                case Did():
                    self.tell(f"{event.tool} {event.title}".rstrip())
                case Refused():
                    self.tell(f"refused: {event.tool}: {event.why}")
            yield event


NO_CONTEXT = Bundle("", "", "", 0, 0, "", "ranked")
"""What is shown when nothing is asked."""


class Answered(NamedTuple):
    """`taken` is what would be changed, None when nothing has to be; `text` the last answer."""

    taken: Taken | None
    text: str
    spent: Spent
    rounds: int
    context: Bundle


def ask(request: Request, means: Means) -> Answered:
    """Let an agent answer with edits; those that have no place are asked for again, with the reason.

    Raises:
        AgentError: the agent failed.
        LimitError: a limit was reached before an answer could be used.
        ConflictError: the edits of the last round have no place; nothing was changed.
    """
    bundle = means.engine.gather(context(request))
    first = f"{_told(request)}\n\n{utf8(present(bundle, 'text'))}"
    prompt, spent = first, NOTHING
    most = request.limits.rounds or ROUNDS
    for number in range(1, most + 1):
        asked = "asked" if number == 1 else "asked again"
        means.tell(f"{asked}: {counted(len(bundle.items), 'file')}, {bundle.used:,} tokens of context")
        text, more = _said(request, prompt, means, spent)
        spent = added(spent, more)
        if _nothing(text):
            return Answered(None, text, spent, number, bundle)
        found, wrong = _taken(text, means.house)
        if found is not None and not wrong:
            return Answered(found, text, spent, number, bundle)
        means.tell(wrong)
        prompt = f"{first}\n\n{_again(text, wrong)}"
    raise ConflictError(
        f"after {counted(most, 'round')}: {wrong}",
        "ask again, or name the files that it is about",
        answer=text,
    )


class Reported(NamedTuple):
    """A result that fits the verb's schema, and what it took."""

    output: dict[str, Any]
    spent: Spent
    context: Bundle
    left_out: tuple[str, ...] = ()


def report(request: Request, means: Means, sound: Callable[[Any], Any] = lambda data: data) -> Reported:
    """Let an agent answer with data as the verb's schema says; what names no file of the tree is left out.

    `sound` sees data that fits the schema, and raises `ValueError` with what else is wrong with it.

    Raises:
        AgentError: the agent failed, or its answer never fits.
        LimitError: a limit was reached.
    """
    schema = request.verb.result or {}
    bundle = means.engine.gather(context(request))

    left_out: list[str] = []

    def check(output: Any) -> Any:
        reports.demand(schema, output)
        found = reports.grounded(sound(output), lambda path: _rows(means.house.root, path))
        left_out[:] = found.left_out
        try:
            reports.demand(schema, found.data)
        except ValueError:  # the schema has no room for marks
            return reports.unmarked(found.data)
        return found.data

    prompt = f"{_told(request)}\n\n{utf8(present(bundle, 'text'))}"
    budget.demand(request.limits, NOTHING, prompt, request.model)
    words = _words("look" if means.agent.can.edits else "report")
    limits = request.limits._replace(rounds=None)
    task = Task(prompt, words, schema, check, request.model, limits, access="read")
    means.tell(f"asked: {counted(len(bundle.items), 'file')}, {bundle.used:,} tokens of context")
    ended, spent = means.answer(task)
    _demand_ok(ended)
    for said in left_out:
        means.tell(f"left out: {said}")
    return Reported(ended.output, spent, bundle, tuple(left_out))


def _rows(root: Path, path: str) -> list[str] | None:
    """The lines of a file of the tree; None where it has none of that name."""
    data = files.content(str(root), path, LARGEST_NAMED) if pathname.fault(path) == "" else None
    return None if data is None else data.decode("utf-8", "replace").split("\n")


def _demand_ok(ended: Ended) -> None:
    if ended.status == "denied":
        raise DeniedError(ended.error, ended.fix)
    if ended.status != "ok":
        kind = LimitError if ended.status == "limit" else AgentError
        raise kind(ended.error, ended.fix, answer=str(ended.output or ""))


def _words(name: str) -> str:
    return (_PROMPTS / f"{name}.md").read_text(encoding="utf-8")


def _told(request: Request) -> str:
    """What is to be done, and with what; the rest of what is shown only helps to do it."""
    paths = [path for path in request.paths or request.verb.paths if not path.startswith("!")]
    where = f"Look at {', '.join(paths)}. What else is shown may help." if paths else ""
    return f"{request.verb.told(request.words)}\n\n{utf8(where)}".strip()


def context(request: Request) -> Ask:
    """What the context of a request is gathered for."""
    return Ask(
        query=f"{request.words}\n{request.verb.description}" if request.words else request.verb.description,
        paths=request.paths or request.verb.paths,
        budget=request.budget,
        given=request.given,
        diff=request.diff,
        model=request.model,
    )


def _said(request: Request, prompt: str, means: Means, spent: Spent) -> tuple[str, Spent]:
    """An answer, and what it took.

    Raises:
        LimitError: a limit was reached, or would be by another question.
    """
    limits = request.limits
    budget.demand(limits, spent, prompt, request.model)
    left = limits.less(spent)._replace(rounds=None)
    words = _words("work" if means.agent.can.edits else "edits")
    task = Task(prompt, words, model=request.model, limits=left, access=request.access)
    ended, more = means.answer(task)
    _demand_ok(ended)
    return str(ended.output), more


def _nothing(text: str) -> bool:
    """Whether an answer says that there is nothing to be done."""
    said = any(line.strip(" *_`>").startswith(NO_CHANGES) for line in text.splitlines())
    return said and not (_EDITS.search(text) or text.startswith("{"))


def _taken(text: str, house: House) -> tuple[Taken | None, str]:
    """What an answer would change, and what is wrong with it; one of the two says nothing."""
    try:
        found = answers.take(text, house)
    except (UnreadableError, ConflictError, UsageError) as error:
        return None, _fault(error)
    wrong = "\n".join(_unplaced(each.edit.path, each.edit.said, each.rejected) for each in found.rejected)
    return found, wrong


def _unplaced(path: str, said: int, error: RejectedError | None) -> str:
    return f"{path} (line {said} of the answer): {_fault(error) if error else 'it has no place'}"


def _fault(error: PruneJuiceError) -> str:
    return f"{error.message}. {error.fix}".rstrip()


def _again(text: str, wrong: str) -> str:
    shown = text if len(text) <= _ANSWER else text[:_ANSWER] + "\n… (cut)"
    return (
        f"You answered:\n\n{shown}\n\nNothing of it was applied, because:\n\n{wrong}\n\n"
        "Write all blocks of your answer again, those corrected. The files above are as they are now."
    )
