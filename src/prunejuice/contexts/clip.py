"""A context in one call, for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prunejuice import settings
from prunejuice.context import Bundle, present
from prunejuice.contexts.asked import BUDGET, Ask
from prunejuice.contexts.gather import Engine


def gather(directory: str | Path = ".", **asked: Any) -> Bundle:
    """The context for what is asked; the words are those of `Ask`.

    Raises:
        NotFoundError: a path names no file.
        UsageError: it is in a bare repository, the budget holds nothing, there is no such commit.
    """
    return Engine(Path(directory).absolute(), settings.environment()).gather(Ask(**asked))


def get_context(
    paths: Sequence[str] = (),
    *,
    query: str = "",
    budget: int = BUDGET,
    directory: str | Path = ".",
    **asked: Any,
) -> tuple[str, Mapping[str, Any]]:
    """The text that a model reads, and its tokens: `total_tokens`, `budget`, and of each file `files`."""
    bundle = gather(directory, paths=tuple(paths), query=query, budget=budget, **asked)
    info = {
        "total_tokens": bundle.used,
        "budget": bundle.budget,
        "tokenizer": bundle.tokenizer,
        "files": {item.path: item.tokens for item in bundle.items},
    }
    return present(bundle, asked.get("style", "text")), info
