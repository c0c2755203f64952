"""`prj`: the table of its commands, each loaded when it is called."""

import sys

import click

import prunejuice
from prunejuice.cli import boundary
from prunejuice.cli.lazy import Lazy

# name: (module, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("defining", "Make .prj with three commands to start from."),
    "list": ("defining", "List the commands that can be run here."),
    "explain": ("defining", "Show a command in canonical form, and its graph."),
    "trust": ("defining", "Let this project's .prj run, as it is now."),
    "run": ("running", "Run a command."),
    "resume": ("running", "Go on with a run."),
    "stop": ("running", "End a run in order."),
    "status": ("reading", "Show what is going on in this project."),
    "show": ("reading", "Show one run with its steps."),
    "logs": ("reading", "Show what the steps of a run printed."),
    "history": ("reading", "List past runs."),
    "artifacts": ("reading", "List the files a run kept."),
    "diff": ("undoing", "Show what a run changed, or one step of it."),
    "undo": ("undoing", "Take back what a run, a step or an operation did."),
    "compare": ("undoing", "Show runs side by side."),
    "conflicts": ("merging", "Show which worktrees would conflict."),
    "merge": ("merging", "Bring the work of a run into a branch."),
    "attach": ("running", "Bring this terminal to the session of a run."),
    "mcp": ("offering", "Serve this project to other programs' agents."),
    "cleanup": ("keeping", "Clear away what ended runs left behind."),
    "doctor": ("keeping", "Check that everything needed is there and well."),
    "demo": ("demonstrating", "See it work: three runs at once, one killed and resumed."),
}

HIDDEN = {"drive": ("many", "Drive runs that were made for it.")}


@click.group(
    cls=Lazy, table=COMMANDS, hidden=HIDDEN, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(prunejuice.__version__, "--version", message="PruneJuice %(version)s")
def prj() -> None:
    """Run repeatable AI-coding workflows, each in its own worktree, and keep their history."""


def main() -> None:
    """The entry point of the scripts."""
    sys.exit(boundary.guarded(prj))
