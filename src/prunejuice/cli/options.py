"""Options that several commands share, each defined once."""

import click

from prunejuice.system import settings

_SANDBOX_VARIABLE = "PRUNEJUICE_SANDBOX"
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
all_projects_option = click.option(
    "--all", "everywhere", is_flag=True, help="Include the runs of all projects."
)
wide_option = click.option("--wide", is_flag=True, help="Do not cut rows to the width of the terminal.")
allow_option = click.option(
    "--allow",
    "--grant",
    "grant",
    multiple=True,
    metavar="GLOB",
    help="Allow edits to protected files (CI, hooks, agent configuration).",
)


def _choose_sandbox(context: click.Context, _parameter: click.Parameter, mode: str | None) -> None:
    """Let the flag be the strongest setting of this process, and of the drivers that it starts."""
    if mode is None:
        return
    environ = settings.environment()
    before = environ.get(_SANDBOX_VARIABLE)
    environ[_SANDBOX_VARIABLE] = mode
    # Several commands can run in one process.
    context.call_on_close(lambda: _restore(_SANDBOX_VARIABLE, before))


def _restore(name: str, value: str | None) -> None:
    if value is None:
        settings.environment().pop(name, None)
    else:
        settings.environment()[name] = value


sandbox_option = click.option(
    "--sandbox",
    type=click.Choice(settings.SANDBOX_MODES[1:]),
    callback=_choose_sandbox,
    expose_value=False,
    help="Contain processes: their files, or files and network  [default: settings].",
)
verbose_option = click.option("--verbose", is_flag=True, help="Show the program's own log messages.")
decisions_option = click.option(
    "--decisions", default="", metavar="FILE|-", help="Take the review decisions from JSON."
)
again_option = click.option(
    "--again",
    default="",
    metavar="COMMAND",
    help="Command that revises the hunks that a review sends back.",
)
