"""Show, split, join or drop pending change sets; without a command, list them."""

import click

from prunejuice.cli.lazy_group import LazyGroup
from prunejuice.cli.options import json_option

COMMANDS = ("list", "show", "add", "split", "squash", "drop")


@click.group("pending", cls=LazyGroup, package=__name__, names=COMMANDS, invoke_without_command=True)
@json_option
@click.pass_context
def pending_command(context: click.Context, *, as_json: bool) -> None:
    if context.invoked_subcommand is None:
        from prunejuice.cli.codebot.pending.list import show_change_sets  # noqa: PLC0415 - slow

        show_change_sets(every=False, as_json=as_json)
