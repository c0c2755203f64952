"""`codeclip serve`: contexts for another program, a JSON object a line in and out."""

import gc
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec

from prunejuice import settings
from prunejuice.context import Item
from prunejuice.contexts.asked import BUDGET
from prunejuice.contexts.gather import Engine
from prunejuice.errors import PruneJuiceError

Tokens = Annotated[int, msgspec.Meta(gt=0)]


class Request(msgspec.Struct, frozen=True):
    """A task about a repository; `seeds` are files that whoever asks has already.

    With `budgets` the answer has files for each of them, else for `budget`.
    """

    repo: str = "."
    query: str = ""
    seeds: tuple[str, ...] = ()
    budget: Tokens = BUDGET
    budgets: tuple[Tokens, ...] = ()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the requests end; one that cannot be answered gets its error, and the next its turn."""
    engines: dict[str, Engine] = {}
    gc.set_threshold(200_000, 20, 20)  # what is kept is large, and has no cycles
    for line in filter(bytes.strip, requests):
        try:
            answer = _answer(engines, msgspec.json.decode(line, type=Request))
        except (PruneJuiceError, OSError, ValueError) as error:  # a word that is not UTF-8 is a ValueError
            answer = {"error": str(error)}
        answers.write(_encoded(answer) + b"\n")
        answers.flush()


def _encoded(answer: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(answer)).encode()


def _answer(engines: dict[str, Engine], request: Request) -> dict[str, Any]:
    if request.repo not in engines:
        engines[request.repo] = Engine(Path(request.repo), settings.environment())
    budgets = request.budgets or (request.budget,)
    found = engines[request.repo].select(request.query, request.seeds, budgets)
    by_budget = {str(budget): [_file(item) for item in items] for budget, items in found.items()}
    return {"by_budget": by_budget} if request.budgets else {"files": by_budget[str(request.budget)]}


def _file(item: Item) -> Mapping[str, Any]:
    mode = "skeleton" if item.mode == "signatures" else item.mode
    return {
        "path": item.path,
        "mode": mode,
        "tokens": item.tokens,
        "text": item.text,
        "ranges": item.ranges,
    }
