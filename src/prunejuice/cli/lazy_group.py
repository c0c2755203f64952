"""A Click group that imports a command's module only when that command runs.

A command `NAME` of the group in package `P` is the function `NAME_command` of the module `P.NAME`
(dashes become underscores). A name with a dot, `FOLDER.NAME`, is the command `NAME` in a package below `P`.
The module's docstring is the command's help text, so that the group can
list its commands by reading the first line of each file instead of importing it.
"""

import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

_SUMMARY = re.compile(r'"""(.+?)(?:"""|$)')


class LazyGroup(click.Group):
    """A group whose commands are the modules of a package; `hidden` ones are left out of the help."""

    def __init__(
        self, *args: Any, package: str, names: Sequence[str], hidden: Sequence[str] = (), **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.package = package
        self.modules = {name.rpartition(".")[2]: name.replace("-", "_") for name in (*names, *hidden)}
        self.names, self.hidden_names = tuple(self.modules)[: len(names)], tuple(hidden)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names that the help shows, in order."""
        return [*self.names]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command, or None for an unknown name."""
        if not self.is_listed(cmd_name):
            return None
        module = import_module(f"{self.package}.{self.modules[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        command.help = cleandoc(module.__doc__ or "")
        return command

    def is_listed(self, word: str) -> bool:
        """Tell whether a word names a module of the package."""
        return word in self.modules

    def has_command(self, word: str) -> bool:
        """Tell whether a word names a command."""
        return self.is_listed(word)

    def command_names(self) -> Iterable[str]:
        """Return every name that a spelling hint may suggest."""
        return self.names

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; fail with a spelling hint for an unknown one."""
        is_word = bool(args) and not args[0].startswith("-") and not ctx.resilient_parsing
        if is_word and not self.has_command(args[0]):
            from prunejuice.text import spelling_hint  # noqa: PLC0415 - only for the message

            hint = spelling_hint(args[0], self.command_names())
            ctx.fail(f"unknown command {args[0]!r}" + (f": {hint}" if hint else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            folder = Path(import_module(self.package).__path__[0])
            formatter.write_dl([(name, read_summary(folder, self.modules[name])) for name in self.names])


def read_summary(folder: Path, name: str) -> str:
    """Return the first line of the docstring of a command's module, read from its file in `folder`."""
    path = folder.joinpath(*name.replace("-", "_").split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    with path.open(encoding="utf-8") as file:
        match = _SUMMARY.match(file.readline().rstrip())
    return match[1] if match else ""
