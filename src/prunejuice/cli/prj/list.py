"""List the commands that you can run here."""

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.plan_view import format_value
from prunejuice.errors import DefinitionError
from prunejuice.text import safe_line
from prunejuice.workflow.catalog import Catalog
from prunejuice.workflow.command import Argument


@click.command("list")
@click.option("-v", "--verbose", is_flag=True, help="Show arguments and steps too.")
@json_option
def list_command(*, verbose: bool, as_json: bool) -> None:
    catalog = wiring.open_app().catalog
    entries = catalog.command_entries()
    if as_json:
        items = [
            {
                "name": entry.name,
                "category": entry.category,
                "description": entry.description,
                "source": entry.source,
                "path": str(entry.path),
                **({"error": entry.problem} if entry.problem else {}),
            }
            for entry in entries
        ]
        render.print_json("commands", items)
        return
    rows = [
        (
            click.style(safe_line(entry.name), fg="cyan"),
            safe_line(entry.category),
            entry.source,
            click.style(safe_line(entry.problem), fg="red")
            if entry.problem
            else safe_line(entry.description, 100),
        )
        for entry in entries
    ]
    lines = list(render.align_columns(rows))
    for line, command in zip(lines, entries, strict=True):
        render.print_line(line)
        if verbose and not command.problem:
            _show_details(catalog, command.name)


def _show_details(catalog: Catalog, name: str) -> None:
    try:
        command = catalog.load(name)
    except DefinitionError as error:
        render.print_line(click.style(f"    {safe_line(str(error), 300)}", fg="red"))
        return
    for argument in command.arguments:
        render.print_line(f"    {_format_argument(argument)}")
    render.print_line(f"    steps: {', '.join(safe_line(step) for step in command.workflow.steps)}")


def _format_argument(argument: Argument) -> str:
    has_default = argument.default not in (None, "")
    default = f"default {safe_line(format_value(argument.default), 60)}" if has_default else "optional"
    requirement = "required" if argument.required else default
    description = safe_line(argument.description)
    return f"{argument.name}= ({argument.type}, {requirement})" + (
        f"  {description}" if description else ""
    )
