"""What the shell offers when you press Tab: runs, steps, commands, arguments and settings.

A completion never fails and never writes: without an answer, nothing is offered.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from prunejuice.errors import PruneJuiceError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_PLAIN_WORD = re.compile(r"[\w.:=/@+,%-]+")
"""Words that mean nothing to a shell, which inserts an offer as it is."""
Offer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def offer_words(find: Callable[[click.Context], Iterable[tuple[str, str]]]) -> Offer:
    """Return a completion that offers the found words with their help, if they start as typed."""

    def complete(context: click.Context, _param: click.Parameter, typed: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for a completion

        from prunejuice.text import safe_line  # noqa: PLC0415 - only for a completion

        items = []
        with suppress(PruneJuiceError, OSError, KeyError):  # a message would be taken for an offer
            for word, about in find(context):
                if word.startswith(typed) and _PLAIN_WORD.fullmatch(word):
                    items.append(CompletionItem(word, help=safe_line(about, 80)))
        return items

    return complete


def _find_runs(_context: click.Context) -> Iterable[tuple[str, str]]:
    from prunejuice.cli.run_history import open_reading_history, project_filter  # noqa: PLC0415

    for run in open_reading_history().list_runs(project_filter(everywhere=False), (), 50):
        yield run.id[:8], f"{run.command} {run.arguments} {run.status}"


def _find_undoable(context: click.Context) -> Iterable[tuple[str, str]]:
    from prunejuice.app import wiring  # noqa: PLC0415
    from prunejuice.worktrees import git as gits  # noqa: PLC0415
    from prunejuice.worktrees import oplog  # noqa: PLC0415

    yield from _find_runs(context)
    app = wiring.open_app()
    git = gits.open_git(app.project.root, dict(app.environ)).locate()
    for operation in oplog.open_log(git).list_operations():
        if operation.state == "done":
            yield operation.id, f"{operation.kind} {operation.what}"


def _find_steps(context: click.Context) -> Iterable[tuple[str, str]]:
    from prunejuice.cli.run_history import open_reading_history  # noqa: PLC0415

    history = open_reading_history()
    run = history.load_run(history.find_run_id(str(context.params["run"])))
    return ((step, "") for step in run.plan.workflow.steps)


def _find_commands(_context: click.Context) -> Iterable[tuple[str, str]]:
    from prunejuice.app import wiring  # noqa: PLC0415

    return ((entry.name, entry.description) for entry in wiring.open_app().catalog.command_entries())


def _find_arguments(context: click.Context) -> Iterable[tuple[str, str]]:
    from prunejuice.app import wiring  # noqa: PLC0415

    command = wiring.open_app().catalog.load(str(context.params["command"]))
    return ((f"{argument.name}=", argument.description) for argument in command.arguments)


def _find_settings(_context: click.Context) -> Iterable[tuple[str, str]]:
    from prunejuice.system.settings import SETTING_TYPES  # noqa: PLC0415

    return ((name, kind.__name__) for name, kind in SETTING_TYPES.items())


complete_run = offer_words(_find_runs)
complete_undoable = offer_words(_find_undoable)
complete_step = offer_words(_find_steps)
complete_command = offer_words(_find_commands)
complete_argument = offer_words(_find_arguments)
complete_setting = offer_words(_find_settings)
