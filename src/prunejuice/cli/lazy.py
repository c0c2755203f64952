"""A group of commands that imports a command's module when the command is called."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import click

Table = Mapping[str, tuple[str, str]]
"""name: (module below `prunejuice.cli`, what it does)"""


class Lazy(click.Group):
    """Commands by a table; `hidden` are those that no help lists."""

    def __init__(self, *args: Any, table: Table, hidden: Table | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.table = table
        self.known = {**table, **(hidden or {})}

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(self.table)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in self.known:
            return None
        module = import_module(f"prunejuice.cli.{self.known[cmd_name][0]}")
        found: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return found

    def knows(self, word: str) -> bool:
        """Whether a word names a command."""
        return word in self.known

    def names(self) -> Iterable[str]:
        """All words that name a command, for hints."""
        return self.table

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; an unknown one is told what is near."""
        if args and not args[0].startswith("-") and not self.knows(args[0]):
            from prunejuice.text import nearest  # noqa: PLC0415

            hint = nearest(args[0], self.names())
            ctx.fail(f"there is no command {args[0]!r}" + (f": {hint}" if hint else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table itself, without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])
