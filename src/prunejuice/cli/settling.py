"""What comes of a verb: its run, and its changes shown, judged, applied or left waiting."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from prunejuice import change, errand, lifecycle, project, report
from prunejuice.app import App
from prunejuice.cli import applying, boundary, render
from prunejuice.cli.again import sent
from prunejuice.cli.applying import Asked
from prunejuice.errors import AgentError
from prunejuice.lifecycle import Tools
from prunejuice.protocols import Stop
from prunejuice.run import Run, StepRun
from prunejuice.shelf import Shelf
from prunejuice.text import counted, safe_text
from prunejuice.verb import Verb
from prunejuice.working import NO_CHANGES
from prunejuice.workspaces import house as houses

_ANSWERING = {"", "oneshot", "scripted", "replay"}
"""Agents that change no files by themselves."""


class Doing(NamedTuple):
    """What is to be done, and how its changes are treated."""

    app: App
    verb: Verb
    arguments: dict[str, Any]
    asked: Asked
    dry_run: bool
    apply: bool
    verbose: bool
    shown: bool


def run(doing: Doing, tools: Tools, stop: Stop, **other: Any) -> Run:
    """Carry the errand out as a run.

    Raises:
        UsageError: an argument does not fit.
    """
    plan = errand.plan(
        doing.app, doing.verb.name, {**doing.arguments, **other}, project.here(), watched=True
    )
    return lifecycle.start(plan, tools, stop)


def done(doing: Doing, run: Run, tools: Tools, stop: Stop) -> int:
    """Show what came of a run, and see to its changes; the exit code."""
    visit = errand.outcome(run)
    if run.status != "completed" or visit is None:
        return failed(run, as_json=doing.asked.as_json)
    if doing.verbose and (path := errand.kept(tools.home, run, "answer.md")):
        text = path.read_text(encoding="utf-8", errors="replace")
        said = str(visit.outputs.get("summary", "")) if text.startswith("{") else text
        render.say(safe_text(said))
    render.say(f"{_took(visit)}; prj show {run.id[:8]}")
    if "result" in visit.outputs:
        return _reported(doing, run, visit)
    if not visit.outputs.get("files"):
        return _nothing(doing, run, visit)
    return _settled(doing, run, tools, stop)


def failed(run: Run, *, as_json: bool) -> int:
    """Say why an errand did not end well; the exit code."""
    visit = errand.outcome(run)
    fix = visit.fix if visit else ""
    told = (run.error or run.status).removesuffix(f" ({fix})")
    short, code = run.id[:8], boundary.run_code(run.status, run.reason)
    usual = {"usage": "", "stopped": f"prj resume {short} goes on with it"}
    fix = fix or usual.get(run.reason, f"prj show {short}")
    render.error(told, fix, as_json=as_json, exit_code=code, run=run.id)
    return code


def _reported(doing: Doing, run: Run, visit: StepRun) -> int:
    """Show data that an agent answers with: as Markdown, or as it is."""
    outputs = visit.outputs
    if doing.asked.as_json:
        body = {"result": outputs["result"], "tokens": outputs["usage"], "cost": outputs["cost"]}
        body |= {"left_out": outputs["left_out"]} if "left_out" in outputs else {}
        render.json("report", {"verb": doing.verb.name, "run": run.id, **body})
    else:
        render.raw(report.markdown(doing.verb.result or {}, outputs["result"]))
    return 0


def _settled(doing: Doing, run: Run, tools: Tools, stop: Stop) -> int:
    house = houses.around(Path(run.plan.directory), doing.app.environ)
    about = _about(run)
    if doing.dry_run:
        found = change.resolve(change.read(_kept(tools, run, "changes.json")), house)
        return applying.previewed(found, about, as_json=doing.asked.as_json)
    shelf = Shelf(house)
    record = shelf.find(about["change_set"])
    if doing.asked.grain:
        again = _again(doing, tools, stop)
        try:
            return applying.apply_records(shelf, [record], doing.asked._replace(again=again))
        except click.Abort:
            render.say(f"{record.id} waits: codebot apply {record.id}")
            raise
    if doing.apply:
        return applying.apply_records(shelf, [record], doing.asked)
    found = change.resolve(record.change_set, house)
    applying.waits(record, found, doing.asked, about)
    return 0


def _kept(tools: Tools, run: Run, name: str) -> str:
    path = errand.kept(tools.home, run, name)
    return path.read_text(encoding="utf-8", errors="surrogateescape") if path else ""


def _about(run: Run) -> dict[str, Any]:
    """What was shown, what was said, and what it took."""
    visit = errand.outcome(run)
    outputs = dict(visit.outputs) if visit else {}
    outputs["tokens"] = outputs.pop("usage", None)
    return {"run": run.id, **outputs}


def _nothing(doing: Doing, run: Run, visit: StepRun) -> int:
    if doing.asked.as_json:
        render.json("nothing", {**_about(run), "files": []})
    else:
        agent = str(visit.outputs.get("agent", ""))
        if agent not in _ANSWERING:  # a program has said by itself why
            render.say(f"{agent} changed nothing")
            return 0
        render.say("nothing has to be changed")
        summary = str(visit.outputs.get("summary", "")).strip()
        render.say(safe_text(summary.removeprefix(NO_CHANGES).strip()))
    return 0


def _took(visit: StepRun) -> str:
    outputs = visit.outputs
    cost = "" if outputs.get("cost") is None else f", ${outputs['cost']:.4f}"
    return f"{counted(outputs.get('rounds', 1), 'round')}, {outputs['tokens']:,} tokens{cost}"


def _again(doing: Doing, tools: Tools, stop: Stop) -> Callable[[Sequence[Any]], str]:
    """Who is asked again for the hunks that a person sent back: the same agent, for those hunks only."""

    def asked(back: Sequence[Any]) -> str:
        hunks = [sent(hunk, decision) for hunk, decision in back]
        shown = "\n\n".join(
            f"{each['filepath']}: {each['action']}: {each['reason']}\n{each['diff']}" for each in hunks
        )
        words = (
            f"{doing.arguments['prompt']}\n\nA person looked at your changes. What was approved is in the "
            f"files. These were sent back, with the reason; make them again, and nothing else:\n\n{shown}"
        )
        paths = list(dict.fromkeys(each["filepath"] for each in hunks))
        more = run(doing, tools, stop, prompt=words, paths=paths, changes="keep", check="")
        if more.status != "completed":
            raise AgentError(more.error or more.status, f"prj show {more.id[:8]}")
        return _kept(tools, more, "changes.json") or _kept(tools, more, "answer.md")

    return asked
