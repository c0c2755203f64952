"""The options and the preview that all commands share which submit a pull request."""

from collections.abc import Callable, Mapping
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--description",
        "--body",
        "description",
        default="",
        metavar="TEXT|@FILE",
        help="Text that precedes the generated description.",
    ),
    click.option("--base", default="", help="Target branch  [default: the remote's default branch]."),
    click.option("--onto", default="", metavar="COMMIT", help="Commit to build on, instead of the base."),
    click.option("--branch", default="", help="Branch to create  [default: codebot/ and the title]."),
    click.option("--remote", default="", help="Remote to push to  [default: origin]."),
    click.option("--draft", is_flag=True, help="Open the pull request as a draft."),
    click.option("--no-pr", is_flag=True, help="Push the branch without opening a pull request."),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Show what would be submitted, without creating or pushing anything.",
    ),
)


def submission_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a submission to a command, in their order in its help."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def print_preview(data: Mapping[str, Any], patch: str) -> None:
    """Print what a submission would do: its fields, its description and its patch."""
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_line, safe_text  # noqa: PLC0415

    for name in ("title", "branch", "base", "remote"):
        render.print_line(f"{name:8} {safe_line(str(data[name] or 'none'), 200)}")
    render.print_line(f"\n{safe_text(data['description'])}")
    render.print_text(safe_text(patch))
