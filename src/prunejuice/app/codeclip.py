"""The Python API of codeclip: gather a context or summarize code with one call."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from prunejuice.agents.protocol import Agent
from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.context.bundle import STRATEGIES, STYLES, Bundle, render_bundle
from prunejuice.context.engine import Engine
from prunejuice.context.request import ContextDetails, ContextOptions, ContextRequest
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.system.stop_request import Stop

if TYPE_CHECKING:
    from prunejuice.verbs.summarize.summary import SummaryResult


def gather(directory: str | Path = ".", **options: Unpack[ContextOptions]) -> Bundle:
    """Gather the context for a request; `options` are the fields of `ContextRequest`.

    Raises:
        NotFoundError: A path matches no file.
        UsageError: An option is invalid, the budget is too small, the commit does not exist, or the
            directory is in a bare repository.
    """
    try:
        request = ContextRequest(**cast("dict[str, Any]", options))
    except TypeError as error:
        message = str(error).replace(f"{ContextRequest.__name__}.__new__() ", "")
        raise UsageError(message, f"use one of: {', '.join(ContextRequest._fields)}") from error
    paths = options.get("paths", ())
    request = request._replace(paths=(paths,) if isinstance(paths, str) else tuple(paths))
    for name, value, choices in (
        ("strategy", request.strategy, STRATEGIES),
        ("style", request.style, STYLES),
    ):
        if value not in choices:
            raise UsageError(f"unknown {name} {value!r}", f"use one of: {', '.join(choices)}")
    budget: object = request.budget
    if not (isinstance(budget, int) and budget > 0):
        raise UsageError(
            f"budget must be a number of tokens above 0, not {budget!r}", "use a number such as 8000"
        )
    with closing(Engine(Path(directory).absolute(), settings.environment())) as engine:
        return engine.gather(request)


def get_context(
    paths: Sequence[str] = (),
    *,
    query: str = "",
    budget: int = DEFAULT_BUDGET,
    directory: str | Path = ".",
    **options: Unpack[ContextDetails],
) -> tuple[str, Mapping[str, Any]]:
    """Return the context text for a model, and its token counts.

    The counts have the keys `total_tokens`, `budget`, `tokenizer` and `files` (tokens by path). `options`
    are further fields of `ContextRequest`.

    Raises:
        NotFoundError: A path matches no file.
        UsageError: An option is invalid or the budget is too small.
    """
    bundle = gather(directory, paths=paths, query=query, budget=budget, **options)
    info = {
        "total_tokens": bundle.used,
        "budget": bundle.budget,
        "tokenizer": bundle.tokenizer,
        "files": {item.path: item.tokens for item in bundle.items},
    }
    return render_bundle(bundle, options.get("style", "text")), info


def summarize(
    paths: Sequence[str] = (),
    *,
    token_limit: int = 2_000,
    model: str = "",
    agent: Agent | None = None,
    directory: str | Path = ".",
) -> "SummaryResult":
    """Summarize the code in `paths` with at most `token_limit` tokens.

    With an `agent` a model writes the summary; without one it is derived from syntax trees.

    Raises:
        NotFoundError: A path matches no file.
        UsageError: An agent is given without a model, or the limit is too small.
        AgentError: The model did not answer.
        LimitError: A limit was reached.
    """
    from prunejuice.verbs.summarize.summaries import Summarizer, SummaryRequest  # noqa: PLC0415 - slow to import

    request = SummaryRequest(tuple(paths), token_limit, model)
    with (
        closing(Engine(Path(directory).absolute(), settings.environment())) as engine,
        closing(Stop()) as stop,
    ):
        summarizer = Summarizer(engine)
        if agent is None:
            return summarizer.summarize_offline(request).result
        return summarizer.summarize_with_agent(request, agent, stop).result
