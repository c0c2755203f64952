"""Show the calls, tokens and cost of models.

Costs are in US dollars, where the price is known.
"""

import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prunejuice.agents.metering import LedgerEntry


@click.command("cost")
@click.option(
    "--by",
    type=click.Choice(["day", "model", "command", "run"]),
    default="day",
    show_default=True,
    help="Group the costs.",
)
@click.option(
    "--days", type=click.IntRange(1), default=30, show_default=True, help="Number of days to include."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def cost_command(*, by: str, days: int, as_json: bool) -> None:
    from prunejuice.agents.metering import Ledger  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    since = time.time() - days * 86400
    entries = [
        entry
        for entry in Ledger(settings.state_directory(settings.environment())).entries()
        if entry.at >= since
    ]
    rows = [_sum_usage(name, group) for name, group in sorted(_group_usage(entries, by).items())]
    total = _sum_usage("total", entries)
    if as_json:
        render.print_json("cost", {"by": by, "days": days, "items": rows, "total": total})
        return
    for row in render.align_columns(
        _usage_row(safe_line(entry["name"], 60), entry) for entry in [*rows, total]
    ):
        render.print_line(row)


def _group_usage(entries: "Iterable[LedgerEntry]", by: str) -> "dict[str, list[LedgerEntry]]":
    groups: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        name = str(getattr(entry, by))
        if by == "model" and not name:
            name = f"{entry.agent} (its own)"
        groups.setdefault(name, []).append(entry)
    return groups


def _sum_usage(name: str, entries: "Iterable[LedgerEntry]") -> dict[str, Any]:
    listed = list(entries)
    return {
        "name": name,
        "calls": sum(entry.calls for entry in listed),
        "input": sum(entry.input for entry in listed),
        "output": sum(entry.output for entry in listed),
        "cost": round(sum(entry.cost or 0.0 for entry in listed), 8),
        "unknown": sum(entry.cost is None for entry in listed),
        **({"estimated": estimated} if (estimated := sum(entry.is_estimate for entry in listed)) else {}),
    }


def _usage_row(name: str, usage: dict[str, Any]) -> tuple[str, ...]:
    from prunejuice.text import format_count, format_dollars  # noqa: PLC0415

    notes = f"plus {usage['unknown']} of unknown price" if usage["unknown"] else ""
    if usage.get("estimated"):
        notes = ", ".join(filter(None, [notes, f"tokens of {usage['estimated']} estimated"]))
    tokens = f"{usage['input'] + usage['output']:,} tokens"
    return name, format_count(usage["calls"], "call"), tokens, format_dollars(usage["cost"]), notes
