"""Options that several commands share, each defined once."""

import click

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
