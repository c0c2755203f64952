"""The trust check before a project's commands run, and the question whether to trust."""

from collections.abc import Iterable
from itertools import islice

import click

from prunejuice.app import wiring
from prunejuice.cli import render, terminal
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.engine import trust, trusted_copies
from prunejuice.engine.trust import TrustState
from prunejuice.text import format_count, safe_line, safe_text
from prunejuice.workflow.plan import Plan

_SHOWN_LINES = 200
_WIDTH = 300


def require_trust(app: wiring.App, plans: Iterable[Plan] = ()) -> None:
    """Require that the project and what `plans` were parsed from are trusted; on a terminal, offer it.

    Raises:
        DeniedError: the project is not trusted.
    """
    if terminal.is_interactive():
        state = trust.trust_state(app.project, app.trust_store)
        if not state.is_trusted and ask_to_trust(app, state):
            # The files that were shown, not those that may have replaced them meanwhile.
            trust.trust_project(app.project, app.trust_store, app.settings.home, state.digests)
    trust.require_trusted_project(app.project, app.trust_store)
    for plan in plans:
        trust.require_trusted_commands(app.project, plan.all_commands(), app.trust_store)


def ask_to_trust(app: wiring.App, state: TrustState) -> bool:
    """Show what is not trusted, and ask whether to trust it."""
    for change in state.changes:
        render.print_message(safe_line(change, 300))
    patch = trusted_copies.diff_lines(app.settings.home, app.project, state.digests, state.trusted)
    for line in islice(patch, _SHOWN_LINES):
        text = mask_secrets("", safe_text(line))
        # Wrapped and not cut: what is not shown may be what matters.
        for start in range(0, len(text) or 1, _WIDTH):
            shown = text[start : start + _WIDTH]
            render.print_message(render.format_patch_line(shown if start == 0 else f"{text[0]}  … {shown}"))
    if omitted := sum(1 for _ in patch):
        render.print_message(f"… and {format_count(omitted, 'more line')}: read the files")
    return click.confirm(f"trust these files in {safe_line(str(app.project.prj), 300)}?", err=True)
