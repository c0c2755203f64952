"""Show and change settings; without a command, list them with their sources."""

import click

from prunejuice.cli.lazy_group import LazyGroup
from prunejuice.cli.options import json_option

COMMANDS = ("list", "get", "set", "path")


@click.group("config", cls=LazyGroup, package=__name__, names=COMMANDS, invoke_without_command=True)
@json_option
@click.pass_context
def config_command(context: click.Context, *, as_json: bool) -> None:
    if context.invoked_subcommand is None:
        from prunejuice.cli.prj.config.list import show_settings  # noqa: PLC0415 - slow

        show_settings(as_json=as_json)
    elif as_json:
        context.default_map = {context.invoked_subcommand: {"as_json": True}}
