"""The `codebot` command group: ask for changes, review, apply and undo them.

Each command is a module of its name.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

import prunejuice
from prunejuice.cli import error_boundary
from prunejuice.cli.lazy_group import LazyGroup
from prunejuice.cli.options import CONTEXT_SETTINGS
from prunejuice.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = (
    "list",
    "apply",
    "pending",
    "undo",
    "redo",
    "submit-pr",
    "context",
    "summarize",
    "cost",
    "blame",
    "schema",
)


class VerbGroup(LazyGroup):
    """The commands of `codebot`, and the verbs: built in, the user's, the project's, and `@"…"`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, or a command that runs the verb of this name."""
        if self.is_listed(cmd_name):
            return super().get_command(ctx, cmd_name)
        from prunejuice.cli.codebot import verb  # noqa: PLC0415 - slow

        return verb.build_command(cmd_name) if verb.has_verb(cmd_name) else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return the commands and verbs that start as typed."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for a completion

        offered = super().shell_complete(ctx, incomplete)
        verbs = [name for name in self.command_names() if name not in self.names]
        return [*offered, *(CompletionItem(name) for name in verbs if name.startswith(incomplete))]

    def command_names(self) -> Iterable[str]:
        """Return the names of commands and verbs."""
        from prunejuice.cli.codebot import verb  # noqa: PLC0415 - slow

        return dict.fromkeys((*self.names, *verb.verb_names()))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands, and the names of the built-in verbs."""
        super().format_commands(ctx, formatter)
        folder = Path(prunejuice.__file__).with_name("verbs") / "builtin"
        names = sorted(path.stem for path in folder.glob("*.md"))
        with formatter.section("Verbs"):
            formatter.write_text(f"{', '.join(names)}. Run codebot VERB --help for their options.")

    def has_command(self, word: str) -> bool:
        """Tell whether a word names a command or a verb."""
        if self.is_listed(word):
            return True
        from prunejuice.cli.codebot import verb  # noqa: PLC0415 - slow

        return verb.has_verb(word)


@click.group(cls=VerbGroup, package=__name__, names=COMMANDS, context_settings=CONTEXT_SETTINGS)
@click.version_option(__version__, "--version", message="Codebot (PruneJuice) %(version)s")
def codebot() -> None:
    """Ask an agent for changes, review them hunk by hunk, apply all or none, and undo them.

    codebot VERB PATHS asks an agent to do what the verb says (codebot list shows the verbs);
    codebot @"INSTRUCTION" PATHS asks in your own words.
    """


def main() -> None:
    """Run `codebot` and exit with its code: the entry point of the script."""
    sys.exit(error_boundary.run_command_line(codebot))
