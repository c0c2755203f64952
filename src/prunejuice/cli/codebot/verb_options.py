"""The options of `codebot VERB` and `codebot @"…"`."""

import click

from prunejuice.cli.options import allow_option, sandbox_option
from prunejuice.cli.param_type import TokenCount
from prunejuice.context.budget import DEFAULT_BUDGET

ACCESS_LEVELS = ("read", "edit", "full")
_POSITIVE = click.FloatRange(0, min_open=True)
CONTEXT_OPTIONS = (
    click.argument("paths", nargs=-1),
    click.option(
        "--prompt",
        "words",
        default="",
        metavar="TEXT",
        help="Instructions; - reads stdin, @FILE reads a file.",
    ),
    click.option(
        "--issue", type=click.IntRange(1), help="Number of the issue to resolve, in the repository's forge."
    ),
    click.option(
        "--context", multiple=True, metavar="PATH", help="Include this file or folder as context."
    ),
    click.option(
        "--input",
        "given",
        default="",
        metavar="SOURCE",
        help="Include output that belongs to the task: clipboard, tmux, - (stdin) or a file.",
    ),
    click.option(
        "--diff",
        is_flag=False,
        flag_value="HEAD",
        default="",
        metavar="[REF]",
        help="Include the changes since REF.",
    ),
    click.option(
        "-b",
        "--budget",
        type=TokenCount(),
        default=f"{DEFAULT_BUDGET // 1000}k",
        show_default=True,
        help="Maximum number of tokens of context.",
    ),
)
AGENT_OPTIONS = (
    click.option(
        "-m", "--model", default="", help="Model to use, as provider:name; A,B uses B when A fails."
    ),
    click.option(
        "--agent",
        default="",
        help="Agent: oneshot, claude, codex, acp:NAME, interactive[:NAME] or scripted  [default: oneshot].",
    ),
    click.option("--claudesdk", is_flag=True, help="Same as --agent claude."),
    click.option(
        "-i", "interactive", is_flag=True, help="Work in your terminal, with Claude Code or --agent."
    ),
    click.option(
        "--access",
        type=click.Choice(ACCESS_LEVELS),
        default="edit",
        show_default=True,
        help="Permissions of an autonomous agent: read files, edit files, or also run commands (full).",
    ),
    click.option(
        "--script", default="", metavar="FILE", help="File with the answers of the scripted agent."
    ),
    click.option("--record", default="", metavar="FILE", help="Record every answer in a file."),
    click.option("--replay", default="", metavar="FILE", help="Replay the answers from a recording."),
    click.option("--max-cost", type=_POSITIVE, metavar="USD", help="Stop once this amount is spent."),
    click.option(
        "--max-tokens", type=TokenCount(), help="Stop once this many input and output tokens are used."
    ),
    click.option("--max-time", type=_POSITIVE, metavar="SECONDS", help="Time limit for the whole task."),
    click.option(
        "--max-rounds",
        type=click.IntRange(1, 10),
        default=3,
        show_default=True,
        help="Maximum number of answers.",
    ),
    sandbox_option,
    click.option(
        "--max-turns", type=click.IntRange(1), help="Maximum number of model calls of an autonomous agent."
    ),
)
CHANGE_OPTIONS = (
    click.option(
        "--check",
        default="",
        metavar="COMMAND",
        help="Command that must pass; retried until it does.",
    ),
    click.option(
        "--from-cmd",
        "command",
        default="",
        metavar="COMMAND",
        help="Like --check, but run first to show the failure to the agent.",
    ),
    click.option(
        "--allow-tests-change", "tests", is_flag=True, help="Allow changes to tests, checks and CI."
    ),
    click.option("--dry-run", is_flag=True, help="Show the diff, without keeping or applying it."),
    click.option("-r", "reviewed", is_flag=True, help="Review every hunk, then apply the approved ones."),
    click.option(
        "--review",
        "grain",
        type=click.Choice(["hunk", "file"]),
        help="Review by hunk or by file, then apply.",
    ),
    click.option(
        "--apply", "apply", is_flag=True, help="Apply at once instead of keeping the changes pending."
    ),
    allow_option,
    click.option(
        "-p",
        "piped",
        is_flag=True,
        help="Read options from JSON on stdin, and print one JSON object; never prompt.",
    ),
    click.option("--verbose", is_flag=True, help="Show the agent's answer."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout."),
)
CHANGE_FLAGS = {
    "reviewed": "-r",
    "grain": "--review",
    "apply": "--apply",
    "check": "--check",
    "command": "--from-cmd",
    "dry_run": "--dry-run",
    "interactive": "-i",
}
"""Options that verbs with a report reject, because they change nothing: parameter and flag."""
