"""`codebot`: the table of its commands, each loaded when it is called."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

import prunejuice
from prunejuice.cli import boundary
from prunejuice.cli.lazy import Lazy


class Verbs(Lazy):
    """The table, and behind it the verbs: built in, the user's, the project's, and `@"…"`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name in the table, or of a verb."""
        if cmd_name in self.known:
            return super().get_command(ctx, cmd_name)
        from prunejuice.cli import doing  # noqa: PLC0415

        return doing.command(cmd_name) if doing.is_there(cmd_name) else None

    def names(self) -> Iterable[str]:
        """The table and the verbs."""
        from prunejuice.cli import doing  # noqa: PLC0415

        return dict.fromkeys((*self.table, *doing.names()))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, and the names of the verbs that are built in."""
        super().format_commands(ctx, formatter)
        folder = Path(prunejuice.__file__).with_name("verbs")
        names = sorted(path.stem for path in folder.glob("*.md"))
        with formatter.section("Verbs"):
            formatter.write_text(f"{', '.join(names)}; codebot VERB --help has their options.")

    def knows(self, word: str) -> bool:
        """Whether a word names a command."""
        if word in self.known:
            return True
        from prunejuice.cli import doing  # noqa: PLC0415

        return doing.is_there(word)


COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("doing", "List the verbs: what an agent can be told to do."),
    "apply": ("applying", "Apply changes: a pending set, JSON, or an answer with edits in it."),
    "pending": ("gathering", "Show, split, join or drop the change sets that wait."),
    "undo": ("applying", "Take back the last change set, or the one named."),
    "redo": ("applying", "Make again what was taken back."),
    "submit-pr": ("submitting", "Hand in what waits: a branch, pushed, and a pull request."),
    "context": ("clipping", "Show the code that a task is about, within a budget of tokens."),
    "summarize": ("summarizing", "Summarize code: purpose, components, dependencies, entry points."),
    "cost": ("costing", "Show what models took, by day, model, command or run."),
    "blame": ("gathering", "Show which change set wrote a line."),
    "schema": ("gathering", "Show the JSON Schema of changes."),
}


@click.group(cls=Verbs, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(prunejuice.__version__, "--version", message="Codebot (PruneJuice) %(version)s")
def codebot() -> None:
    """Change code: asked for, previewed, reviewed hunk by hunk, applied all or nothing, undone.

    codebot VERB PATHS asks an agent (codebot list shows verbs), and so does codebot @"what to do" PATHS.
    """


def main() -> None:
    """The entry point of the script."""
    sys.exit(boundary.guarded(codebot))
