"""Show the JSON Schema of changes.

`codebot apply` accepts changes in this form.
"""

import click

from prunejuice.changes import change_set
from prunejuice.cli import render


@click.command("schema")
def schema_command() -> None:
    render.print_line(change_set.json_schema_text())
