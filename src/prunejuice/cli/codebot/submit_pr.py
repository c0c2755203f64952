"""Submit the pending change sets as a pull request.

Each change set becomes a commit on a new branch, which is pushed. Your checkout, index and branch stay
as they are. The API login comes from GH_TOKEN, GITHUB_TOKEN or gh; git pushes with its own credentials.
"""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from prunejuice.forges.submit import SubmitPlan


@click.command("submit-pr")
@click.option("--title", default="", help="Title of the pull request  [default: from the change sets].")
@click.option(
    "--description",
    "--body",
    "description",
    default="",
    metavar="TEXT|@FILE",
    help="Text that precedes the generated description.",
)
@click.option("--base", default="", help="Target branch  [default: the remote's default branch].")
@click.option("--branch", default="", help="Branch to create  [default: codebot/ and the title].")
@click.option("--onto", default="", metavar="COMMIT", help="Commit to build on, instead of the base.")
@click.option(
    "--only", multiple=True, metavar="ID", help="Submit only this change set; it may be applied already."
)
@click.option("--remote", default="", help="Remote to push to  [default: origin].")
@click.option("--draft", is_flag=True, help="Open the pull request as a draft.")
@click.option("--no-pr", is_flag=True, help="Push the branch without opening a pull request.")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be submitted, without creating or pushing anything."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def submit_pr_command(*, dry_run: bool, no_pr: bool, as_json: bool, **options: Any) -> int:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.cli.codebot import change_store  # noqa: PLC0415
    from prunejuice.cli.text_source import read_description  # noqa: PLC0415
    from prunejuice.forges import submit  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415
    from prunejuice.worktrees import git as gits  # noqa: PLC0415

    environ = settings.environment()
    store = change_store.open_change_store()
    git = gits.open_git(str(project.current_directory()), dict(environ)).locate()
    options["description"] = read_description(options["description"])
    submit_options = submit.SubmitOptions(**options, request=not no_pr)
    plan = submit.plan_submission(store, git, submit_options)
    if dry_run:
        return _show_submission(plan, as_json=as_json)
    result = submit.submit_changes(
        store, git, plan, environ, request=not no_pr, exact=bool(options["branch"])
    )
    if as_json:
        render.print_json("submission", {**submit.plan_to_data(plan), **result._asdict()})
        return 0
    count = len(plan.records)
    render.print_message(f"{count} change {'set' if count == 1 else 'sets'} on {result.branch}")
    if plan.submission.draft and result.url and not result.draft:
        render.print_message("the repository does not allow drafts: the pull request is open for review")
    render.print_line(safe_line(result.url or result.branch, 300))
    return 0


def _show_submission(plan: "SubmitPlan", *, as_json: bool) -> int:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.edits import diff  # noqa: PLC0415
    from prunejuice.forges import submit  # noqa: PLC0415
    from prunejuice.text import safe_line, safe_text  # noqa: PLC0415

    data = submit.plan_to_data(plan)
    if as_json:
        render.print_json("submission", {"dry_run": True, **data})
        return 0
    for name in ("title", "branch", "base", "remote"):
        render.print_line(f"{name:8} {safe_line(str(data[name] or 'none'), 200)}")
    render.print_line(f"\n{safe_text(data['description'])}")
    render.print_text(
        safe_text(
            "".join(
                diff.format_diff(difference) for differences in plan.parts for difference in differences
            )
        )
    )
    return 0
