"""Show which worktrees conflict with each other and with the base.

Uncommitted work and change sets that wait for a review count. Nothing is merged.
"""

import click

from prunejuice.app import run_actions, wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.text import safe_line, to_unicode
from prunejuice.worktrees import git as gits


@click.command("conflicts")
@click.option("--base", default="", metavar="REF", help="Base to compare with  [default: HEAD].")
@json_option
def conflicts_command(*, base: str, as_json: bool) -> None:
    app = wiring.open_app()
    git = gits.open_git(str(app.project.root), dict(app.environ)).locate()
    commit, sides, clashes = run_actions.find_conflicts(git, base)
    if as_json:
        items = [
            {
                "one": clash.one,
                "other": clash.other or None,
                "files": [to_unicode(path) for path in clash.files],
            }
            for clash in clashes
        ]
        worktrees = [
            {
                "name": side.name,
                "path": str(side.path),
                "files": len(side.paths),
                **({"fault": side.fault} if side.fault else {}),
            }
            for side in sides
        ]
        render.print_json("conflicts", {"base": commit, "worktrees": worktrees, "items": items})
        return
    for side in sides:
        if side.fault:
            render.print_message(f"{safe_line(side.name)}: {safe_line(side.fault)}")
    for clash in clashes:
        other = safe_line(clash.other) if clash.other else f"the base {commit[:12]}"
        files = ", ".join(safe_line(path, 80) for path in clash.files[:8])
        rest = f" and {len(clash.files) - 8} more" if len(clash.files) > 8 else ""
        render.print_line(f"{safe_line(clash.one)} ✗ {other}: {files}{rest}")
    if not clashes:
        render.print_line(f"no conflicts among {len(sides)} worktrees or with the base {commit[:12]}")
