"""Show a command in canonical form, with its graph.

Reports every mistake in the command at once.
"""

import click
import msgspec

from prunejuice.app import wiring
from prunejuice.cli import command_form, plan_view, render, yaml_writer
from prunejuice.cli.completion import complete_command
from prunejuice.cli.mermaid import flowchart_lines
from prunejuice.cli.options import json_option
from prunejuice.environments import equipment
from prunejuice.sandbox import permissions
from prunejuice.sandbox.permissions import Containment
from prunejuice.text import safe_line
from prunejuice.workflow.command import Command
from prunejuice.worktrees.git import open_git


@click.command("explain")
@click.argument("command", shell_complete=complete_command)
@click.option("--mermaid", is_flag=True, help="Print the graph as a Mermaid flowchart.")
@json_option
def explain_command(*, command: str, mermaid: bool, as_json: bool) -> None:
    app = wiring.open_app()
    catalog = app.catalog
    loaded = catalog.load(command)
    if mermaid:
        for line in flowchart_lines(loaded.workflow):
            render.print_line(line)
        return
    form = command_form.canonical_form(loaded)
    containment = permissions.read_settings(app.settings).combine(Containment(loaded.sandbox, loaded.allow))
    if as_json:
        origin: dict[str, object] = {"extends": loaded.extends} if loaded.extends else {}
        origin |= {"source": loaded.source, "uses": list(catalog.dependencies(loaded))}
        origin |= {"sandbox": msgspec.to_builtins(containment)}
        origin |= {"worktree_gets": _describe_equipment(app, loaded)}
        render.print_json("command", {**form, **origin})
        return
    _show_command(loaded, form)
    render.print_line("")
    render.print_line(f"# sandbox: {plan_view.sandbox_text(containment)}")
    if supplies := _describe_equipment(app, loaded):
        render.print_line("")
        render.print_line("# its worktree gets from this checkout")
        for line in supplies:
            render.print_line(f"#   {line}")


def _describe_equipment(app: wiring.App, command: Command) -> list[str]:
    """Return what the worktree of a run would get; nothing for a command that makes no worktree."""
    if "create-worktree" not in {step.uses or step.name for step in command.workflow.steps.values()}:
        return []
    git = open_git(app.project.root, dict(app.environ))
    return list(map(str, equipment.preview_equipment(git, app.environ, app.settings)))


def _show_command(command: Command, form: dict[str, object]) -> None:
    base = f", which extends {safe_line(command.extends)}" if command.extends else ""
    render.print_line(f"# {safe_line(command.source, 300)}{base}")
    for line in yaml_writer.yaml_lines(form):
        render.print_line(safe_line(line, 500) if line.strip() else line)
    render.print_line("")
    render.print_line("# graph")
    for line in plan_view.step_lines(command.workflow):
        render.print_line(f"#{line}")
