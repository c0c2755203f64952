"""`codebot`: the table of its commands, each loaded when it is called."""

import sys

import click

import prunejuice
from prunejuice.cli import boundary
from prunejuice.cli.lazy import Lazy

COMMANDS: dict[str, tuple[str, str]] = {
    "apply": ("applying", "Apply changes: a pending set, JSON, or an answer with edits in it."),
    "pending": ("gathering", "Show, split, join or drop the change sets that wait."),
    "undo": ("applying", "Take back the last change set, or the one named."),
    "redo": ("applying", "Make again what was taken back."),
    "context": ("clipping", "Show the code that a task is about, within a budget of tokens."),
    "summarize": ("summarizing", "Summarize code: purpose, components, dependencies, entry points."),
    "blame": ("gathering", "Show which change set wrote a line."),
    "schema": ("gathering", "Show the JSON Schema of changes."),
}


@click.group(cls=Lazy, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(prunejuice.__version__, "--version", message="Codebot (PruneJuice) %(version)s")
def codebot() -> None:
    """Change code: previewed, reviewed hunk by hunk, applied all or nothing, undone."""


def main() -> None:
    """The entry point of the script."""
    sys.exit(boundary.guarded(codebot))
