"""The commands about commands: init, list, explain, trust."""

from pathlib import Path

import click

from prunejuice import app as apps
from prunejuice import project, trust
from prunejuice.cli import planned, render
from prunejuice.command import Argument, Command
from prunejuice.errors import DefinitionError, UsageError
from prunejuice.loading import Catalog
from prunejuice.project import Project
from prunejuice.text import safe_line

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command("init")
@click.argument("path", type=click.Path(file_okay=False, path_type=Path), default=".")
@_JSON
def init_command(*, path: Path, as_json: bool) -> None:
    """Make .prj in PATH with three commands to start from; what is there already stays as it is."""
    if not path.is_dir():
        raise UsageError(f"there is no directory {str(path)!r}")
    found = Project(project.here() / path.resolve())
    app = apps.open_app(path)
    was_trusted = trust.standing(found, app.store).trusted
    made = list(apps.initialise(found))
    if was_trusted:
        trust.trust(found, app.store)
    if as_json:
        render.json("init", {"project": str(found.root), "created": made, "trusted": was_trusted})
        return
    for name in made:
        render.out(f"made  {safe_line(name)}")
    if not made:
        render.out(f"{safe_line(str(found.prj))} is there already; nothing was changed")
    if not was_trusted:
        render.say("this .prj was here before and is not trusted: look at it, then run: prj trust")
    render.say("next: prj list")


@click.command("list")
@click.option("-v", "--verbose", is_flag=True, help="Arguments and steps too.")
@_JSON
def list_command(*, verbose: bool, as_json: bool) -> None:
    """List the commands that can be run here."""
    catalog = apps.open_app().catalog
    listed = catalog.listed()
    if as_json:
        items = [
            {
                "name": c.name,
                "category": c.category,
                "description": c.description,
                "source": c.source,
                "path": str(c.path),
                **({"error": c.problem} if c.problem else {}),
            }
            for c in listed
        ]
        render.json("commands", items)
        return
    rows = [
        (
            click.style(safe_line(c.name), fg="cyan"),
            safe_line(c.category),
            c.source,
            click.style(safe_line(c.problem), fg="red") if c.problem else safe_line(c.description, 100),
        )
        for c in listed
    ]
    lines = list(render.columns(rows))
    for line, command in zip(lines, listed, strict=True):
        render.out(line)
        if verbose and not command.problem:
            _details(catalog, command.name)


def _details(catalog: Catalog, name: str) -> None:
    try:
        command = catalog.load(name)
    except DefinitionError as error:
        render.out(click.style(f"    {safe_line(str(error), 300)}", fg="red"))
        return
    for argument in command.arguments:
        render.out(f"    {_argument(argument)}")
    render.out(f"    steps: {', '.join(safe_line(step) for step in command.workflow.steps)}")


def _argument(argument: Argument) -> str:
    needed = "required" if argument.required else f"default {safe_line(str(argument.default), 60)}"
    about = safe_line(argument.description)
    return f"{argument.name}= ({argument.type}, {needed})" + (f"  {about}" if about else "")


@click.command("explain")
@click.argument("command")
@click.option("--mermaid", is_flag=True, help="The graph as a Mermaid flowchart.")
@_JSON
def explain_command(*, command: str, mermaid: bool, as_json: bool) -> None:
    """Show COMMAND in canonical form and its graph; every mistake in it, if it has any."""
    catalog = apps.open_app().catalog
    found = catalog.load(command)
    if mermaid:
        for line in planned.mermaid(found.workflow):
            render.out(line)
        return
    form = planned.canonical(found)
    if as_json:
        about: dict[str, object] = {"extends": found.extends} if found.extends else {}
        about |= {"source": found.source, "uses": list(catalog.used_by(found))}
        render.json("command", {**form, **about})
        return
    _explain(found, form)


def _explain(command: Command, form: dict[str, object]) -> None:
    base = f", which extends {safe_line(command.extends)}" if command.extends else ""
    render.out(f"# {safe_line(command.source, 300)}{base}")
    for line in planned.yaml_lines(form):
        render.out(safe_line(line, 500) if line.strip() else line)
    render.out("")
    render.out("# what follows what")
    for line in planned.steps(command.workflow):
        render.out(f"#{line}")


@click.command("trust")
@_JSON
def trust_command(*, as_json: bool) -> None:
    """Let this project's .prj run from now on, exactly as it is now."""
    app = apps.open_app()
    found = app.project
    before = trust.standing(found, app.store)
    files = trust.trust(found, app.store)
    if as_json:
        render.json("trust", {"project": str(found.root), "files": files, "changes": before.changes})
        return
    for change in before.changes:
        render.out(safe_line(change, 300))
    render.out(f"trusted {len(files)} files in {safe_line(str(found.prj), 300)}")
