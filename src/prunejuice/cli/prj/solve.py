"""Solve issues or tasks, each in its own worktree, and leave the changes for your review.

ISSUES are numbers in the repository's forge, or with --from numbers and keys of the export. This runs the
command `solve-issue` once for each: an agent changes the code until the check passes. Then:
`prj review 12`, and `prj merge 12` or `prj submit 12`.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prunejuice.app import project_survey, wiring
from prunejuice.app.solve_readiness import require_ready
from prunejuice.cli import render
from prunejuice.cli.options import json_option, sandbox_option, verbose_option
from prunejuice.cli.prj.run import start_plans
from prunejuice.cli.run_history import find_run_id
from prunejuice.cli.text_source import read_source
from prunejuice.engine.history import RunHistory
from prunejuice.errors import NotFoundError, UsageError
from prunejuice.forges import tracker_export
from prunejuice.system import settings
from prunejuice.system.private import make_private_folder
from prunejuice.text import format_count, safe_line
from prunejuice.workflow import project

if TYPE_CHECKING:
    from collections.abc import Mapping


COMMAND = "solve-issue"
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$")
_ITEM = re.compile(r"^\s*(?:[-*+](?:\s+\[ \])?(?:\s+|$)|\d+[.)]\s+)?(.*?)\s*$")
_TOP_ITEM = re.compile(r"^(?:[-*+]|\d+[.)])\s")
_DONE = re.compile(r"^\s*[-*+]\s+\[[xX]\]")
_MAX_TASKS = 100


@click.command("solve")
@click.argument("issues", nargs=-1, metavar="[ISSUES]...")
@click.option("--prompt", "prompts", multiple=True, help="A task in words; repeat it for more tasks.")
@click.option(
    "--from",
    "source",
    default="",
    metavar="FILE|-",
    help="Take the tasks from a file: one for each heading or line, or the open issues of an export.",
)
@click.option(
    "--check", default="", metavar="COMMAND", help="Command that must pass  [default: the tests]."
)
@click.option("--agent", default="", help="Agent  [default: as set, or one that is installed].")
@click.option("-m", "--model", default="", help="Model to use, as provider:name.")
@click.option("--allow-tests-change", is_flag=True, help="Allow changes of tests, checks and CI.")
@click.option("--max-parallel", type=click.IntRange(1, 100), default=4, help="Runs at once  [default: 4].")
@click.option("--detach", is_flag=True, help="Run in the background; prints the ids of the runs.")
@click.option("--dry-run", is_flag=True, help="Show the plans without running them.")
@sandbox_option
@json_option
@verbose_option
def solve_command(
    *,
    issues: tuple[str, ...],
    prompts: tuple[str, ...],
    source: str,
    **options: Any,
) -> int:
    tasks = _collect_tasks(issues, prompts, source)
    app = wiring.open_app()
    check, model = options.pop("check"), options.pop("model")
    agent = options.pop("agent") or _find_agent(app, model)
    for task in tasks:
        _note_earlier_work(app, task)
    if not options["dry_run"]:
        has_issues = any("issue" in task and "export" not in task for task in tasks)
        for note in require_ready(app, has_issues=has_issues, agent=agent, model=model, check=check):
            render.print_message(note)
    allows = options.pop("allow_tests_change")
    given = {"check": check, "agent": agent, "model": model, "allow_tests_change": allows}
    shared = {name: value for name, value in given.items() if value}
    here = project.current_directory()
    plans = [wiring.make_plan(app, COMMAND, {**task, **shared}, here, True) for task in tasks]
    return start_plans(app, plans, **options)


def _collect_tasks(
    issues: tuple[str, ...], prompts: tuple[str, ...], source: str
) -> "list[Mapping[str, Any]]":
    """Return the arguments of a run for each issue, prompt, and task of a file.

    Raises:
        UsageError: there is none, or one is empty, or they are too many.
    """
    if any(not text.strip() for text in prompts):
        raise UsageError("a --prompt is empty", "say what to change: prj solve --prompt TEXT")
    text = read_source(source) if source else ""
    if tracker_export.is_export(text):
        tasks, listed = _select_issues(text, issues, source), []
    else:
        tasks, listed = [{"issue": _issue_number(word)} for word in issues], list_tasks(text)
        if source:
            render.print_message(f"{format_count(len(listed), 'task')} in {safe_line(source, 100)}")
    tasks += [{"prompt": text} for text in (*prompts, *listed)]
    tasks = [task for number, task in enumerate(tasks) if task not in tasks[:number]]
    if not tasks:
        raise UsageError("there is nothing to solve", "name issues, or a task: prj solve --prompt TEXT")
    if len(tasks) > _MAX_TASKS:
        raise UsageError(f"{len(tasks)} tasks are too many at once", f"pass at most {_MAX_TASKS}")
    return tasks


def _select_issues(text: str, words: tuple[str, ...], source: str) -> "list[Mapping[str, Any]]":
    """Return the arguments for the issues of an export that are named, or for all open ones.

    An issue with a number is fetched from the file by its run, so that a pull request closes it; the text
    of any other is the task.

    Raises:
        UsageError: the export has no such issue.
    """
    exported = tracker_export.parse_export(text, source)
    by_key = {each.key.upper(): each for each in exported}
    for word in words:
        if word.removeprefix("#").upper() not in by_key:
            raise UsageError(f"{source} has no issue {safe_line(word, 40)}", "name issues that it has")
    named = [by_key[word.removeprefix("#").upper()] for word in words]
    chosen = named if words else [each for each in exported if each.is_open]
    render.print_message(f"{format_count(len(chosen), 'issue')} of {safe_line(source, 100)}")
    path = _save_export(source, text)
    return [
        {"issue": each.issue.number, "export": str(path)}
        if each.issue.number
        else {"prompt": f"{each.key}: {each.issue.title}\n\n{each.issue.body}".strip()}
        for each in chosen
    ]


def _save_export(source: str, text: str) -> Path:
    """Return the file of an export, which each run reads again; what came by a pipe is saved."""
    path = Path(source.removeprefix("@")).resolve()
    if path.is_file():
        return path
    folder = settings.state_directory(settings.environment()) / "exports"
    make_private_folder(folder)
    saved = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    saved.write_text(text, encoding="utf-8")
    return saved


def _note_earlier_work(app: wiring.App, task: "Mapping[str, Any]") -> None:
    """Say which pull request the newest run of an issue has."""
    number = task.get("issue")
    history = RunHistory(app.settings.home, app.store)
    try:
        run = history.load_run(find_run_id(history, f"#{number}")) if number else None
    except NotFoundError:
        return
    if run and run.submitted:
        where = safe_line(run.submitted.url or run.submitted.branch, 200)
        render.print_message(f"note: issue {number} was submitted already: {where}")


def _issue_number(word: str) -> int:
    number = word.removeprefix("#")
    if not (number.isascii() and number.isdigit() and int(number)):
        fix = "name numbers of issues, or a task: prj solve --prompt TEXT"
        raise UsageError(f"{word!r} is not the number of an issue", fix)
    return int(number)


def _find_agent(app: wiring.App, model: str) -> str:
    """Return an installed agent if nothing says which model or agent to use, and say so."""
    is_chosen = model or app.settings.agent or app.settings.model or app.settings.script
    installed = [] if is_chosen else project_survey.find_installed_agents(app.environ)
    if not installed:
        return ""
    render.print_message(
        f"note: using {installed[0]}, which is installed; set `agent` or `model` to choose another"
    )
    return installed[0]


def list_tasks(text: str) -> list[str]:
    """Return the tasks of a text: each heading with what follows it, or each item, or each line.

    Of several levels of headings, the highest that occurs more than once has the tasks. Where none does,
    they are the items of a list, if there are two. What is done is left out.
    """
    lines = text.splitlines()
    headings = [_HEADING.match(line) for line in lines]
    levels = Counter(len(heading[1]) for heading in headings if heading)
    repeated = [level for level, count in levels.items() if count > 1]
    if not repeated and len(items := _list_items(lines)) > 1:
        return items
    if not levels:
        found = (_ITEM.match(line) for line in lines if not _DONE.match(line))
        return [item[1] for item in found if item and item[1]]
    level = min(repeated, default=max(levels))
    tasks: list[list[str]] = []
    is_inside = False
    for line, heading in zip(lines, headings, strict=True):
        if heading and len(heading[1]) <= level:
            is_inside = len(heading[1]) == level
            tasks += [[heading[2]]] if is_inside else []
        elif is_inside:
            tasks[-1].append(line)
    return ["\n".join(task).strip() for task in tasks]


def _list_items(lines: list[str]) -> list[str]:
    """Return the items of the lists of a text, each with the indented lines below it, but not done ones."""
    items: list[list[str]] = []
    is_inside = False
    for line in lines:
        if _TOP_ITEM.match(line):
            is_inside = not _DONE.match(line)
            item = _ITEM.match(line)
            items += [[item[1]]] if is_inside and item and item[1] else []
        elif not line[:1].isspace() and line:
            is_inside = False
        elif is_inside and items:
            items[-1].append(line.strip())
    return ["\n".join(item).strip() for item in items]
