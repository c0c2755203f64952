"""A context or a summary in one call, for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunejuice import settings
from prunejuice.context import STRATEGIES, STYLES, Bundle, present
from prunejuice.contexts.asked import BUDGET, Ask
from prunejuice.contexts.gather import Engine
from prunejuice.errors import UsageError
from prunejuice.protocols import Agent, Stop

if TYPE_CHECKING:
    from prunejuice.summary import SummaryResult


def gather(directory: str | Path = ".", **asked: Any) -> Bundle:
    """The context for what is asked; the words are those of `Ask`.

    Raises:
        NotFoundError: a path names no file.
        UsageError: it is in a bare repository, the budget holds nothing, there is no such commit.
    """
    try:
        ask = Ask(**asked)
    except TypeError as error:
        raise UsageError(
            str(error).replace("Ask.__new__() ", ""), f"it takes {', '.join(Ask._fields)}"
        ) from error
    for name, value, known in (("strategy", ask.strategy, STRATEGIES), ("style", ask.style, STYLES)):
        if value not in known:
            raise UsageError(f"there is no {name} {value!r}", f"there are {', '.join(known)}")
    budget = asked.get("budget", BUDGET)
    if not (isinstance(budget, int) and budget > 0):
        raise UsageError(f"budget is no number of tokens: {budget!r}", "write one, as 8000")
    return Engine(Path(directory).absolute(), settings.environment()).gather(ask)


def get_context(
    paths: Sequence[str] = (),
    *,
    query: str = "",
    budget: int = BUDGET,
    directory: str | Path = ".",
    **asked: Any,
) -> tuple[str, Mapping[str, Any]]:
    """The text that a model reads, and its tokens: `total_tokens`, `budget`, and of each file `files`."""
    named = (paths,) if isinstance(paths, str) else tuple(paths)
    bundle = gather(directory, paths=named, query=query, budget=budget, **asked)
    info = {
        "total_tokens": bundle.used,
        "budget": bundle.budget,
        "tokenizer": bundle.tokenizer,
        "files": {item.path: item.tokens for item in bundle.items},
    }
    return present(bundle, asked.get("style", "text")), info


def summarize(
    paths: Sequence[str] = (),
    *,
    token_limit: int = 2_000,
    model: str = "",
    agent: Agent | None = None,
    directory: str | Path = ".",
) -> "SummaryResult":
    """A summary of the code in paths: by a model that an agent asks, or without both out of syntax trees.

    Raises:
        NotFoundError: a path names no file.
        UsageError: there is an agent and no model, or the limit holds nothing.
        AgentError: the model did not answer.
        LimitError: a limit was reached.
    """
    from prunejuice.contexts.summaries import Summaries, Wanted  # noqa: PLC0415 - most want a context only

    summaries = Summaries(Engine(Path(directory).absolute(), settings.environment()))
    wanted = Wanted(tuple(paths), token_limit, model)
    if agent is None:
        return summaries.offline(wanted).result
    stop = Stop()
    try:
        return summaries.asked(wanted, agent, stop).result
    finally:
        stop.close()
