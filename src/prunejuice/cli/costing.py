"""`codebot cost`: what models took, by day, model, command or run."""

import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prunejuice.agents.metered import Usage


@click.command("cost")
@click.option(
    "--by", type=click.Choice(["day", "model", "command", "run"]), default="day", show_default=True
)
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="How far back.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def cost_command(*, by: str, days: int, as_json: bool) -> None:
    """Show what models took: calls, tokens, and US dollars as far as prices are known."""
    from prunejuice import settings  # noqa: PLC0415
    from prunejuice.agents.metered import Ledger  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    since = time.time() - days * 86400
    found = [each for each in Ledger(settings.home(settings.environment())).all() if each.at >= since]
    rows = [_sum(name, group) for name, group in sorted(_grouped(found, by).items())]
    total = _sum("total", found)
    if as_json:
        render.json("cost", {"by": by, "days": days, "items": rows, "total": total})
        return
    for row in render.columns(_row(safe_line(each["name"], 60), each) for each in [*rows, total]):
        render.out(row)


def _grouped(found: "Iterable[Usage]", by: str) -> "dict[str, list[Usage]]":
    groups: dict[str, list[Usage]] = {}
    for each in found:
        groups.setdefault(str(getattr(each, by)), []).append(each)
    return groups


def _sum(name: str, found: "Iterable[Usage]") -> dict[str, Any]:
    every = list(found)
    return {
        "name": name,
        "calls": sum(each.calls for each in every),
        "input": sum(each.input for each in every),
        "output": sum(each.output for each in every),
        "cost": round(sum(each.cost or 0.0 for each in every), 6),
        "unknown": sum(each.cost is None for each in every),
    }


def _row(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    unknown = f"and {each['unknown']} of unknown price" if each["unknown"] else ""
    tokens = f"{each['input'] + each['output']:,} tokens"
    return name, f"{each['calls']} calls", tokens, f"${each['cost']:.4f}", unknown
