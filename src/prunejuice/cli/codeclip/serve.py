"""`codeclip serve`: context for another program, one JSON object a line in and out."""

import gc
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec

from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.context.bundle import Item
from prunejuice.context.engine import Engine
from prunejuice.errors import PruneJuiceError
from prunejuice.system import settings

TokenBudget = Annotated[int, msgspec.Meta(gt=0)]


class ServeRequest(msgspec.Struct, frozen=True):
    """A request for context in a repository. `seeds` are files that the caller already has.

    With `budgets`, the answer lists files for each budget; otherwise for `budget`. Both are in tokens.
    """

    repo: str = "."
    query: str = ""
    seeds: tuple[str, ...] = ()
    budget: TokenBudget = DEFAULT_BUDGET
    budgets: tuple[TokenBudget, ...] = ()


def serve_requests(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the input ends. A request that fails gets an error as its answer."""
    engines: dict[str, Engine] = {}
    gc.set_threshold(200_000, 20, 20)  # the indexes are large and free of cycles
    for line in filter(bytes.strip, requests):
        try:
            answer = _answer_request(engines, msgspec.json.decode(line, type=ServeRequest))
        except (PruneJuiceError, OSError, ValueError) as error:  # text that is not UTF-8 is a ValueError
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - one request must not end those that follow
            answer = {"error": f"unexpected {type(error).__name__}: {error}"}
        answers.write(_encode_answer(answer) + b"\n")
        answers.flush()


def _encode_answer(answer: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(answer)).encode()  # escapes surrogates


def _answer_request(engines: dict[str, Engine], request: ServeRequest) -> dict[str, Any]:
    if request.repo not in engines:
        engines[request.repo] = Engine(Path(request.repo), settings.environment())
    budgets = request.budgets or (request.budget,)
    by_tokens = engines[request.repo].select_items(request.query, request.seeds, budgets)
    by_budget = {
        str(budget): [_file_to_dict(item) for item in items] for budget, items in by_tokens.items()
    }
    return {"by_budget": by_budget} if request.budgets else {"files": by_budget[str(request.budget)]}


def _file_to_dict(item: Item) -> Mapping[str, Any]:
    mode = "skeleton" if item.mode in {"signatures", "names"} else item.mode
    return {
        "path": item.path,
        "mode": mode,
        "tokens": item.tokens,
        "text": item.text,
        "ranges": item.ranges,
    }
