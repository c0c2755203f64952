"""What the server answers, as plain data: commands, runs, logs, artifacts, contexts; nothing of MCP."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prunejuice import app as apps
from prunejuice import errand, lifecycle, told, trust, view, vocabulary
from prunejuice.app import App
from prunejuice.context import present
from prunejuice.contexts.asked import BUDGET, Ask
from prunejuice.contexts.gather import Engine
from prunejuice.errors import DeniedError, NotFoundError, UsageError
from prunejuice.history import History
from prunejuice.run import ENDED, Run
from prunejuice.text import safe_line, safe_text

_TAIL = 64_000
_LARGEST = 1_000_000
_POLL = 0.2
_OVER = (*ENDED, "waiting", "interrupted")


def open_at(directory: Path) -> App:
    """The parts, for the project around the directory that is served."""
    return apps.open_app(directory)


def commands(app: App) -> list[dict[str, Any]]:
    """Everything that can be executed: the commands of workflows, and the verbs of codebot."""
    found = []
    for each in app.catalog.listed():
        with contextlib.suppress(UsageError):
            loaded = app.catalog.load(each.name)
            arguments = [
                {
                    "name": one.name,
                    "type": one.type,
                    "required": one.required and one.default is None,
                    "default": one.default,
                    "description": one.description,
                }
                for one in loaded.arguments
            ]
            about = {"name": each.name, "description": each.description, "category": each.category}
            found.append({**about, "arguments": arguments})
    for verb in vocabulary.every(app.project, app.environ):
        arguments = [
            {
                "name": name,
                "type": argument.type,
                "required": name == "prompt" and verb.needs,
                "default": None,
                "description": argument.means,
            }
            for name, argument in _afar(verb.name).items()
        ]
        about = {"name": f"codebot:{verb.name}", "description": verb.description, "category": "codebot"}
        found.append({**about, "arguments": arguments})
    return found


def execute(
    app: App, name: str, given: Mapping[str, Any], directory: Path, *, worktree: bool | None
) -> Run:
    """Make a run of a command, and have it driven in the background.

    Raises:
        DeniedError: the project is not trusted.
        UsageError: there is no such command, or the arguments do not fit.
    """
    trust.demand(app.project, app.store)
    if name.startswith("codebot:"):
        verb = vocabulary.find(name.removeprefix("codebot:"), app.project, app.environ)
        if verb.needs and not str(given.get("prompt") or "").strip():
            raise UsageError(f"{name} has to know what to do", "give it as `prompt` in args")
        plan = errand.plan(app, verb.name, _asked(verb.name, given), directory)
    else:
        plan = apps.make_plan(app, name, given, directory, worktree)
    run = lifecycle.create(plan, app.tools())
    apps.drive_apart(app, run)
    return run


def _asked(verb: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What may be said with a verb from afar; what it changes waits for a person.

    Raises:
        UsageError: there is something else.
    """
    known = _afar(verb)
    if others := sorted(given.keys() - known.keys()):
        fix = f"those that there are: {', '.join(sorted(known))}"
        raise UsageError(f"a verb takes no {safe_line(', '.join(map(str, others)), 200)} here", fix)
    return {**given, "changes": "keep" if verb == told.SUMMARIZE else "wait"}


def _afar(verb: str) -> dict[str, told.Told]:
    """What a verb can be told by whoever is served: nothing that runs or writes anything else."""
    return {name: argument for name, argument in told.of(verb).items() if argument.afar}


def wait(app: App, run_id: str, tell: Callable[[int, int, str], None]) -> Run:
    """Wait until a run is over or cannot go on by itself; `tell` hears steps that are done, of how many."""
    told = -1
    while True:
        run = History(app.settings.home, app.store).load(run_id)
        line = view.summary(run)
        if line.steps_done != told:
            told = line.steps_done
            tell(told, max(line.steps_total, 1), line.step or run.status)
        if run.status in _OVER:
            return run
        time.sleep(_POLL)


def runs(app: App, limit: int = 50) -> list[dict[str, Any]]:
    """The runs of the project, newest first."""
    lines = app.store.summaries(project=str(app.project.root), limit=limit)
    return [view.item(line) for line in lines]


def run(app: App, prefix: str) -> Run:
    """The run whose id begins so, of this project and no other.

    Raises:
        NotFoundError: there is none.
    """
    history = History(app.settings.home, app.store)
    found = history.load(history.find(prefix))
    if found.plan.project != str(app.project.root):
        raise NotFoundError(f"there is no run {prefix!r} in this project", "listRuns names them")
    return found


def cancel(app: App, prefix: str) -> Run:
    """Ask for the end of a run, in order."""
    found = run(app, prefix)
    tools = app.tools()
    if found.status not in ENDED:
        from prunejuice.lock import holder  # noqa: PLC0415

        if holder(tools.history.lock(found.id)):
            tools.history.ask_to_stop(found.id)
        else:
            lifecycle.cancel(found.id, tools)
    return run(app, found.id)


def log(app: App, prefix: str, step: str) -> str:
    """The end of what the last visit to a step printed.

    Raises:
        NotFoundError: there is no such step, or it printed nothing.
    """
    found = run(app, prefix)
    visit = found.last(step)
    if visit is None or not visit.log:
        raise NotFoundError(
            f"run {found.id[:8]} has no log of {step!r}", ", ".join(found.plan.workflow.steps)
        )
    return _text(app, found, visit.log)[-_TAIL:]


def artifact(app: App, prefix: str, name: str) -> str:
    """A file that a run kept, as text.

    Raises:
        NotFoundError: it kept none of that name.
    """
    found = run(app, prefix)
    kept = next((each for each in found.artifacts if each.name == name), None)
    if kept is None:
        names = ", ".join(each.name for each in found.artifacts[:20])
        raise NotFoundError(f"run {found.id[:8]} kept no {name!r}", names)
    return _text(app, found, kept.path)


def _text(app: App, found: Run, path: str) -> str:
    top = History(app.settings.home, app.store).directory(found.id).resolve()
    place = (top / path).resolve()
    if not place.is_relative_to(top) or not place.is_file():
        raise DeniedError(f"{path!r} is no file of run {found.id[:8]}")
    with place.open("rb") as file:
        return safe_text(file.read(_LARGEST))


def context(app: App, directory: Path, **asked: Any) -> dict[str, Any]:
    """The code that a task is about, within a budget of tokens.

    Raises:
        UsageError: a path names no file, or the budget holds nothing.
    """
    paths = tuple(asked.get("paths") or ())
    budget = asked.get("budget") or BUDGET
    ask = Ask(query=str(asked.get("query") or ""), paths=paths, budget=budget)
    bundle = Engine(directory, app.environ).gather(ask)
    files = [{"path": item.path, "mode": item.mode, "tokens": item.tokens} for item in bundle.items]
    return {"content": present(bundle, "text"), "tokens": bundle.used, "budget": budget, "files": files}
