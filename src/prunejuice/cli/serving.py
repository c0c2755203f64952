"""`codeclip serve`: contexts for another program, a JSON object a line in and out."""

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import msgspec

from prunejuice import settings
from prunejuice.context import Item
from prunejuice.contexts.asked import BUDGET
from prunejuice.contexts.gather import Engine
from prunejuice.errors import PruneJuiceError, UsageError


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end; one that cannot be answered gets its error, and the next its turn."""
    engines: dict[str, Engine] = {}
    gc.set_threshold(200_000, 20, 20)  # what is kept is large, and has no cycles
    for line in requests:
        if not line.strip():
            continue
        try:
            answer = _answer(engines, msgspec.json.decode(line))
        except (PruneJuiceError, msgspec.DecodeError) as error:
            answer = {"error": str(error)}
        answers.write(msgspec.json.encode(answer).decode() + "\n")
        answers.flush()


def _answer(engines: dict[str, Engine], request: Any) -> dict[str, Any]:
    if not isinstance(request, dict) or not isinstance(request.get("query", ""), str):
        raise UsageError("a request is an object with repo, query, seeds and budgets")
    repo = str(request.get("repo") or ".")
    if repo not in engines:
        engines[repo] = Engine(Path(repo), settings.environment())
    budgets = request.get("budgets") or [request.get("budget") or BUDGET]
    if not isinstance(budgets, list) or not all(isinstance(each, int) and each > 0 for each in budgets):
        raise UsageError("budgets are numbers of tokens")
    seeds = [str(each) for each in request.get("seeds") or ()]
    found = engines[repo].select(request.get("query", ""), seeds, budgets)
    if "budgets" not in request:
        return {"files": [_file(item) for item in found[budgets[0]]]}
    return {"by_budget": {str(budget): [_file(item) for item in items] for budget, items in found.items()}}


def _file(item: Item) -> Mapping[str, Any]:
    mode = "skeleton" if item.mode == "signatures" else item.mode
    return {
        "path": item.path,
        "mode": mode,
        "tokens": item.tokens,
        "text": item.text,
        "ranges": item.ranges,
    }
