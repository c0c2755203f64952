"""`codebot submit-pr`: what waits becomes a branch, is pushed, and a pull request is opened for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from prunejuice.submission import Plan


@click.command("submit-pr")
@click.option("--title", default="", help="Of the pull request  [what the changes say of themselves].")
@click.option(
    "--description",
    "--body",
    "description",
    default="",
    metavar="TEXT|@FILE",
    help="Put before what is known.",
)
@click.option("--base", default="", help="The branch to change  [the remote's main one].")
@click.option("--branch", default="", help="The branch to make  [codebot/ and the title].")
@click.option("--onto", default="", metavar="COMMIT", help="Build on this instead of on the base.")
@click.option(
    "--only", multiple=True, metavar="ID", help="Only this change set, which may be applied already."
)
@click.option("--remote", default="", help="[origin]")
@click.option("--draft", is_flag=True, help="Open it as a draft.")
@click.option("--no-pr", is_flag=True, help="Only make the branch and push it.")
@click.option("--dry-run", is_flag=True, help="Show what would be handed in; nothing is made or sent.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def submit_pr_command(*, dry_run: bool, no_pr: bool, as_json: bool, **asked: Any) -> int:
    """Hand in the change sets that wait: a commit for each on a branch, pushed, and a pull request.

    Your checkout, its index and its branch stay as they are. The login is that of GH_TOKEN, GITHUB_TOKEN
    or gh; git pushes with the login that it has.
    """
    from prunejuice import git as gits  # noqa: PLC0415
    from prunejuice import project, settings, submission  # noqa: PLC0415
    from prunejuice.cli import applying, render  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    environ = settings.environment()
    shelf = applying.shelf_here()
    git = gits.git(str(project.here()), dict(environ)).located()
    asked["description"] = _text(asked["description"])
    wanted = submission.Wanted(**asked, request=not no_pr)
    made = submission.plan(shelf, git, wanted)
    if dry_run:
        return _shown(made, as_json=as_json)
    done = submission.hand_in(shelf, git, made, environ, request=not no_pr, exact=bool(asked["branch"]))
    if as_json:
        render.json("submission", {**submission.told(made), **done._asdict()})
        return 0
    count = len(made.records)
    render.say(f"{count} change {'set' if count == 1 else 'sets'} on {done.branch}")
    render.out(safe_line(done.url or done.branch, 300))
    return 0


def _shown(made: "Plan", *, as_json: bool) -> int:
    from prunejuice import hunk, submission  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_line, safe_text  # noqa: PLC0415

    about = submission.told(made)
    if as_json:
        render.json("submission", {"dry_run": True, **about})
        return 0
    for name in ("title", "branch", "base", "remote"):
        render.out(f"{name:8} {safe_line(str(about[name] or 'none'), 200)}")
    render.out(f"\n{safe_text(about['description'])}")
    render.raw(safe_text("".join(hunk.diff(each) for part in made.parts for each in part)))
    return 0


def _text(said: str) -> str:
    """A text, or that of `@FILE` or stdin (`-`)."""
    from prunejuice.cli.codeclip import text_of  # noqa: PLC0415

    is_file = said == "-" or (said[:1] == "@" and Path(said[1:]).is_file())
    return text_of(said) if is_file else said
