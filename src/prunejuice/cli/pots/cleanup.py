"""Kill the sessions that pots made and whose folder is gone."""

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.pots.session_lookup import is_orphan, socket_name
from prunejuice.text import safe_line
from prunejuice.worktrees import tmux


@click.command("cleanup")
@click.option("-p", "--project", "wanted", default="", help="Clean up only sessions of this project.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the sessions without killing them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def cleanup_command(*, wanted: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    sessions = tmux.list_sessions(socket_name()).values()
    orphans = [
        session
        for session in sessions
        if is_orphan(session) and session.mark and wanted in {"", session.mark.project}
    ]
    if not orphans and not as_json:
        render.print_line("No orphaned sessions found")
        return
    if not as_json:
        render.print_line("Found orphaned sessions:")
        for orphan in orphans:
            render.print_line(safe_line(f"  - {orphan.name}"))
    confirmed = yes or dry_run or (orphans and click.confirm("Kill them?", err=True))
    killed = [
        orphan.name
        for orphan in orphans
        if confirmed and not dry_run and tmux.kill_session(orphan.name, socket_name())
    ]
    if as_json:
        render.print_json(
            "cleanup", [{"name": orphan.name, "killed": orphan.name in killed} for orphan in orphans]
        )
    elif not dry_run:
        render.print_line(f"Killed {len(killed)} sessions" if killed else "Cancelled")
