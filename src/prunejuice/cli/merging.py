"""The commands that bring work together: merge, conflicts."""

import click

from prunejuice import app as apps
from prunejuice import git as gits
from prunejuice import trust, work
from prunejuice.cli import render
from prunejuice.cli.undoing import found_run
from prunejuice.errors import UsageError
from prunejuice.text import safe_line, unicode
from prunejuice.work import Landing
from prunejuice.workspaces.landing import Method

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command("merge")
@click.argument("run")
@click.option("--squash", "method", flag_value="squash", help="One commit for all of it.")
@click.option("--rebase", "method", flag_value="rebase", help="Its commits, one on top of the other.")
@click.option("--no-ff", "method", flag_value="no-ff", help="A merge commit in any case.")
@click.option(
    "--into", default="", metavar="BRANCH", help="Instead of the branch of the main working tree."
)
@click.option("--check", "check", default=None, help="Command that must pass first  [setting check].")
@click.option("--no-check", is_flag=True, help="Without any check.")
@click.option("-m", "--message", default="", help="For the commits that are made.")
@_JSON
def merge_command(  # noqa: PLR0913 - one for each option
    *,
    run: str,
    method: Method | None,
    into: str,
    check: str | None,
    no_check: bool,
    message: str,
    as_json: bool,
) -> None:
    """Bring the work of RUN into a branch: uncommitted work is committed, the two are combined apart from
    every checkout, the check runs on the combined files, and only then does the branch move.

    A conflict (exit 4) or a failed check (exit 3) moves nothing.
    """
    if check and no_check:
        raise UsageError("--check and --no-check exclude each other", "give one of them")
    app = apps.open_app()
    found = found_run(app, run)
    if check is None and not no_check and app.project.config.is_file():
        trust.demand(app.project, app.store)  # it may name the check, which must not be passed over unseen
    command = "" if no_check else app.settings.check if check is None else check
    how = Landing(method or "merge", into, command, message)
    done = work.merge(app, app.tools(), found, how)
    if as_json:
        render.json("merge", {"run": found.id, **done._asdict()})
        return
    checked = f", checked with: {safe_line(done.checked)}" if done.checked else ""
    render.out(f"{done.into} is at {done.new[:12]} (was {done.old[:12]}){checked}")
    render.out(f"  go back    prj undo {done.operation}")


@click.command("conflicts")
@click.option("--base", default="", metavar="REF", help="Instead of the commit that is checked out here.")
@_JSON
def conflicts_command(*, base: str, as_json: bool) -> None:
    """Show which live worktrees would conflict with each other and with the base, with their uncommitted
    work. Nothing is merged.
    """
    app = apps.open_app()
    git = gits.git(str(app.project.root), dict(app.environ)).located()
    commit, sides, clashes = work.conflicts(git, base)
    if as_json:
        found = [
            {"one": c.one, "other": c.other or None, "files": [unicode(each) for each in c.files]}
            for c in clashes
        ]
        trees = [
            {
                "name": s.name,
                "path": str(s.path),
                "files": len(s.paths),
                **({"fault": s.fault} if s.fault else {}),
            }
            for s in sides
        ]
        render.json("conflicts", {"base": commit, "worktrees": trees, "items": found})
        return
    for side in sides:
        if side.fault:
            render.say(f"{safe_line(side.name)}: {safe_line(side.fault)}")
    for clash in clashes:
        other = safe_line(clash.other) if clash.other else f"the base {commit[:12]}"
        files = ", ".join(safe_line(each, 80) for each in clash.files[:8])
        more = f" and {len(clash.files) - 8} more" if len(clash.files) > 8 else ""
        render.out(f"{safe_line(clash.one)} ✗ {other}: {files}{more}")
    if not clashes:
        render.out(f"no conflicts among {len(sides)} worktrees, nor with the base {commit[:12]}")
