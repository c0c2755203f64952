"""Show what a run, or one step of it, changed, with the change sets that wait for a review.

Piped output is a patch that git can apply. A terminal shows it in your pager ($PAGER, or `less`).
"""

import sys
import tempfile
from pathlib import Path

import click

from prunejuice.app import run_actions, verb_run, wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_run, complete_step
from prunejuice.cli.options import json_option
from prunejuice.cli.render import change_to_dict
from prunejuice.cli.run_lookup import find_run
from prunejuice.engine.run import Run
from prunejuice.text import safe_line, safe_text
from prunejuice.worktrees import snapshot


@click.command("diff")
@click.argument("run", shell_complete=complete_run)
@click.argument("step", required=False, default="", shell_complete=complete_step)
@click.option("--stat", is_flag=True, help="Show only the files, with lines added and removed.")
@json_option
def diff_command(*, run: str, step: str, stat: bool, as_json: bool) -> None:
    app = wiring.open_app()
    loaded = find_run(app, run)
    if path := verb_run.find_kept_file(app.settings.home, loaded, "changes.diff"):
        _show_verb_run(path, loaded, plain=not (stat or as_json), as_json=as_json)
        return
    span = run_actions.find_work_range(app, loaded, step)
    if not step:
        worked, span = span.new, run_actions.find_proposed_range(app, loaded)
        if span.new != worked and not as_json:
            render.print_message(f"note: with what waits for a review: prj review {loaded.id[:8]}")
    if not (stat or as_json):
        _show_patch(span)
        return
    files = snapshot.diff_stats(span.git, span.old, span.new)
    if as_json:
        render.print_json(
            "diff", {"old": span.old, "new": span.new, "items": [change_to_dict(file) for file in files]}
        )
        return
    for row in render.align_columns(
        render.change_row(file.path, file.added, file.removed) for file in files
    ):
        render.print_line(row)


def _show_verb_run(path: Path, run: Run, *, plain: bool, as_json: bool) -> None:
    """Print the changes that the agent proposed in a verb run, whether or not they were applied."""
    if plain:
        _show_patch_file(path)
        return
    visit = verb_run.find_verb_step(run)
    files = visit.outputs.get("files", []) if visit else []
    if as_json:
        render.print_json("diff", {"old": None, "new": None, "items": [{"path": name} for name in files]})
        return
    for name in files:
        render.print_line(safe_line(name, 200))


def _show_patch(span: run_actions.CommitRange) -> None:
    """Print a patch: unchanged in a pipe; escaped and coloured on a terminal."""
    with tempfile.TemporaryDirectory(prefix="prj-") as folder:
        path = Path(folder) / "patch"
        snapshot.write_patch(span.git, span.old, span.new, path)
        _show_patch_file(path)


def _show_patch_file(path: Path) -> None:
    with path.open("rb") as file:
        if not sys.stdout.isatty():
            while chunk := file.read(1 << 20):
                render.print_bytes(chunk)
            return
        render.page_lines(render.format_patch_line(safe_text(line.rstrip(b"\n"))) for line in file)
