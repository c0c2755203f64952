"""The trust check before a project's commands run."""

import sys
from collections.abc import Iterable

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.engine import trust
from prunejuice.text import safe_line
from prunejuice.workflow.plan import Plan


def require_trust(app: wiring.App, plans: Iterable[Plan] = ()) -> None:
    """Require that the project and what `plans` were parsed from are trusted; on a terminal, offer it.

    Raises:
        DeniedError: the project is not trusted.
    """
    if sys.stdin and sys.stdin.isatty() and sys.stderr.isatty():
        state = trust.trust_state(app.project, app.trust_store)
        for change in state.changes:
            render.print_message(safe_line(change, 300))
        question = f"trust these files in {safe_line(str(app.project.prj), 300)}?"
        if not state.is_trusted and click.confirm(question, err=True):
            trust.trust_project(app.project, app.trust_store)
    trust.require_trusted_project(app.project, app.trust_store)
    for plan in plans:
        trust.require_trusted_commands(app.project, plan.all_commands(), app.trust_store)
