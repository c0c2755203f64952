"""Submit the pending change sets as a pull request.

Each change set becomes a commit on a new branch, which is pushed. Your checkout, index and branch stay
as they are. The API login comes from GH_TOKEN, GITHUB_TOKEN or gh; git pushes with its own credentials.
"""

from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.submission import print_preview, submission_options

if TYPE_CHECKING:
    from prunejuice.forges.submit import SubmitPlan


@click.command("submit-pr")
@click.option("--title", default="", help="Title of the pull request  [default: from the change sets].")
@submission_options
@click.option(
    "--only", multiple=True, metavar="ID", help="Submit only this change set; it may be applied already."
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
    from prunejuice.forges import submit  # noqa: PLC0415

    data = submit.plan_to_data(plan)
    if as_json:
        render.print_json("submission", {"dry_run": True, **data})
        return 0
    print_preview(data, submit.format_patch(plan))
    return 0
