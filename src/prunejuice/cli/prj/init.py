"""Create .prj for a project: settings by what its files say, and three example commands.

It looks at the languages, package managers, tests, remote and installed agents, and asks nothing. Existing
files stay as they are.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from prunejuice.app import wiring
from prunejuice.app.project_survey import ProjectSurvey, survey_project
from prunejuice.cli import render, yaml_writer
from prunejuice.cli.options import json_option
from prunejuice.engine import trust
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.workflow import project
from prunejuice.workflow.init_project import init_project
from prunejuice.workflow.project import Project
from prunejuice.worktrees import git as gits


@click.command("init")
@click.argument("path", type=click.Path(file_okay=False, path_type=Path), default=".")
@json_option
def init_command(*, path: Path, as_json: bool) -> None:
    if not path.is_dir():
        raise UsageError(f"no such directory: {str(path)!r}")
    new_project = Project(project.current_directory() / path.resolve())
    app = wiring.open_app(path)
    git = gits.open_git(new_project.root, dict(app.environ))
    survey = survey_project(new_project.root, git.locate() if git.is_repository() else None, app.environ)
    was_trusted = trust.trust_state(new_project, app.trust_store).is_trusted
    created = list(init_project(new_project, "\n".join(_config_lines(survey)) + "\n"))
    if was_trusted:
        trust.trust_project(new_project, app.trust_store, app.settings.home)
    if as_json:
        data = {"project": str(new_project.root), "created": created, "trusted": was_trusted}
        render.print_json("init", {**data, "found": survey._asdict()})
        return
    for line in (*_describe(survey), *(f"created  {safe_line(name)}" for name in created)):
        render.print_line(line)
    if not created:
        render.print_line(f"{safe_line(str(new_project.prj))} already exists; nothing was changed")
    if not was_trusted:
        render.print_message("this .prj existed before and is not trusted: review it, then run `prj trust`")
    _print_next(survey)


def _print_next(survey: ProjectSurvey) -> None:
    if not survey.check:
        render.print_message("no tests were found: name their command as `check` in .prj/config.yaml")
    example = "12" if survey.forge else "--prompt 'What to change'"
    render.print_message(f"next: run `prj solve {example}`, or `prj list`")


def _describe(survey: ProjectSurvey) -> Iterator[str]:
    """Yield a line for each thing that was found."""
    rows = {
        "languages": ", ".join(survey.languages),
        "packages": ", ".join(survey.managers),
        "tests": survey.check,
        "lint": survey.lint,
        "types": survey.types,
        "base branch": survey.base,
        "forge": survey.forge,
        "agents": ", ".join(survey.agents),
    }
    yield from (f"found    {name}: {safe_line(value, 200)}" for name, value in rows.items() if value)


def _config_lines(survey: ProjectSurvey) -> Iterator[str]:
    """Yield the lines of the project's settings; what is only an example is a comment."""
    yield "# Settings of this project. They count once a person trusts them: `prj trust`."
    yield "# `prj config list` shows every setting with its value and its source."
    yield ""
    yield "# This command must pass before changes of an agent are kept, and before a branch is merged."
    check = yaml_writer.yaml_lines({"check": survey.check or "make test"})
    yield from check if survey.check else (f"# {line}" for line in check)
    yield ""
    yield "# Worktrees get the packages and the ignored files that code needs: see `prj doctor --equip`."
    yield "# A command of your own replaces that:"
    yield "# setup: make setup"
    yield "# services: docker compose up  # beside the steps of a run, on the ports $PRUNEJUICE_PORT…"
    yield ""
    yield "# Agents are chosen by each person; set one here for everybody:"
    yield f"# agent: {survey.agents[0] if survey.agents else 'claude'}"
    yield "# model: anthropic:claude-sonnet-4-5"
    yield "# max_cost: 10  # US dollars for one agent step"
    yield "# daily_cost: 20  # US dollars"
