"""Submit the work of runs as pull requests, one for each run.

The work is all that differs in the worktree, whoever changed it. It becomes a commit on a branch, which is
pushed; your checkout and the worktree stay as they are. Submitting a run again continues its branch and its
pull request. The API login comes from GH_TOKEN, GITHUB_TOKEN or gh; git pushes with its own credentials.
"""

from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.cli.submission import print_preview, submission_options

if TYPE_CHECKING:
    from prunejuice.app.wiring import App
    from prunejuice.forges.submit import SubmitOptions


@click.command("submit")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", shell_complete=complete_run)
@click.option("--title", default="", help="Title of the pull request  [default: from the run].")
@submission_options
@json_option
def submit_command(
    *, runs: tuple[str, ...], dry_run: bool, no_pr: bool, as_json: bool, **options: Any
) -> int:
    from prunejuice.app import wiring  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.cli.text_source import read_description  # noqa: PLC0415
    from prunejuice.errors import PruneJuiceError, UsageError  # noqa: PLC0415
    from prunejuice.forges.submit import SubmitOptions  # noqa: PLC0415

    if len(runs) > 1 and (options["title"] or options["branch"]):
        raise UsageError("--title and --branch are for one run", "submit the runs one by one")
    options["description"] = read_description(options["description"])
    app = wiring.open_app()
    submit_options = SubmitOptions(**options, request=not no_pr)
    items, failures = [], []
    for run in runs:
        try:
            items.append(_submit_run(app, run, submit_options, dry_run=dry_run))
        except PruneJuiceError as error:
            if len(runs) == 1:
                raise
            failures.append((run, error))
    if as_json:
        errors = [{"run": run, "message": each.message, "fix": each.fix} for run, each in failures]
        render.print_json("submissions", {"items": items, **({"errors": errors} if errors else {})})
    else:
        for item in items:
            _print_item(item)
        for run, failure in failures:
            render.print_error(f"{run}: {failure.message}", failure.fix, as_json=False)
    return 2 if failures else 0


def _submit_run(app: "App", name: str, options: "SubmitOptions", *, dry_run: bool) -> dict[str, Any]:
    from prunejuice.app import run_submission  # noqa: PLC0415
    from prunejuice.cli.run_lookup import find_run  # noqa: PLC0415
    from prunejuice.forges import submit  # noqa: PLC0415

    run = find_run(app, name)
    submission = run_submission.plan_run_submission(app, run, options)
    planned = {
        "run": run.id,
        **submit.plan_to_data(submission.plan),
        "update": submission.is_update,
        "as_checked": submission.is_as_checked,
    }
    if dry_run:
        diff = submit.format_patch(submission.plan)
        submission.discard()
        return {"dry_run": True, **planned, "diff": diff}
    result = run_submission.submit_run(
        submission, app, app.build_runtime(), request=options.request, exact=bool(options.branch)
    )
    return {**planned, **result._asdict()}


def _print_item(item: dict[str, Any]) -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    if not item["as_checked"]:
        changed = f"note: the work of run {item['run'][:8]} has changed since its checks"
        render.print_message(f"{changed}: the pull request names no evidence")
    if "dry_run" in item:
        render.print_line(f"run      {item['run']}")
        print_preview(item, item["diff"])
        return
    verb = "updated" if item["update"] else "submitted"
    where = safe_line(item["url"] or f"branch {item['branch']}", 300)
    render.print_line(f"run {item['run'][:8]} {verb}: {where}")
