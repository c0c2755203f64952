"""List the verbs: the tasks that an agent knows.

Verbs are Markdown files in verbs/ of your configuration directory, and in a project's .prj/verbs/ and
.claude/commands/.
"""

from typing import TYPE_CHECKING

import click

from prunejuice.errors import DefinitionError

if TYPE_CHECKING:
    from prunejuice.verbs.verb import Verb


def _add_code_verbs(listed: "list[Verb]") -> "list[Verb]":
    """Add the verbs that the project's Python code registers; they replace verbs of the same name."""
    from prunejuice.workflow import project  # noqa: PLC0415

    if not any(project.find_project(project.current_directory()).commands.glob("*.py")):
        return listed
    from prunejuice.app import wiring  # noqa: PLC0415
    from prunejuice.verbs import plugins  # noqa: PLC0415
    from prunejuice.verbs.arguments import SUMMARIZE  # noqa: PLC0415

    app = wiring.open_app()
    try:
        app.find_extension(str(app.project.root), "")
    except DefinitionError as error:
        click.echo(f"warning: {error.message}", err=True)
    code_verbs = {
        name: command.to_verb()
        for name, command in plugins.registered_commands().items()
        if name != SUMMARIZE
    }
    others = [verb for verb in listed if verb.name not in code_verbs]
    return sorted([*others, *code_verbs.values()], key=lambda verb: verb.name)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def list_command(*, as_json: bool) -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415
    from prunejuice.verbs import catalog  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415

    verbs = _add_code_verbs(
        catalog.all_verbs(project.find_project(project.current_directory()), settings.environment())
    )
    if as_json:
        render.print_json(
            "verbs",
            [{"name": verb.name, "description": verb.description, "source": verb.source} for verb in verbs],
        )
        return
    for row in render.align_columns(
        (verb.name, safe_line(verb.description, 90), verb.source) for verb in verbs
    ):
        render.print_line(row)
