"""Check before a request that its estimated usage fits into the remaining limits."""

from prunejuice.agents import prices
from prunejuice.agents.protocol import NO_USAGE, Limits, Usage
from prunejuice.code import tokens
from prunejuice.errors import LimitError
from prunejuice.text import format_dollars

RAISE_COST = "raise max_cost: of the step, the setting, or --max-cost of codebot"


def require_budget(limits: Limits, spent: Usage, prompt: str, model: str) -> Usage:
    """Return the estimated usage of a prompt without its answer; zero without limits.

    The cost is None if the price of the model is unknown.

    Raises:
        LimitError: the limit of tokens or cost is reached, or the prompt alone would exceed it.
    """
    if limits.tokens is None and limits.cost is None:
        return NO_USAGE
    prompt_tokens = round(tokens.count(prompt) * tokens.model_factor(model))
    estimate = Usage(prompt_tokens, 0, cost=prices.cost(model, prompt_tokens) if model else None)
    if limits.tokens is not None:
        _require_tokens(limits.tokens, spent.input + spent.output, estimate.input)
    if limits.cost is not None:
        _require_money(limits.cost, spent.cost or 0.0, estimate.cost)
    return estimate


def require_rest(limits: Limits, spent: Usage) -> None:
    """Check that something is left of the limits.

    Raises:
        LimitError: the limit of tokens or cost is reached.
    """
    if limits.tokens is not None:
        _require_tokens(limits.tokens, spent.input + spent.output, 0)
    if limits.cost is not None:
        _require_money(limits.cost, spent.cost or 0.0, None)


def reached_token_limit(used: int, limit: int) -> str:
    """Return the message about a limit of tokens that was reached."""
    return f"token limit reached ({used:,} of {limit:,} tokens)"


def reached_cost_limit(used: float, limit: float) -> str:
    """Return the message about a limit of cost, in US dollars, that was reached."""
    return f"cost limit reached ({format_dollars(used)} of {format_dollars(limit)})"


def _require_tokens(limit: int, used: int, needed: int) -> None:
    if used >= limit:
        raise LimitError(reached_token_limit(used, limit), "raise --max-tokens")
    if needed > limit - used:
        message = f"the prompt has about {needed:,} tokens, but {limit - used:,} of {limit:,} are left"
        raise LimitError(message, "raise --max-tokens, or shorten the request")


def _require_money(limit: float, used: float, needed: float | None) -> None:
    if used >= limit:
        raise LimitError(reached_cost_limit(used, limit), RAISE_COST)
    if needed is not None and needed > limit - used:
        left = f"{format_dollars(limit - used)} of {format_dollars(limit)} are left"
        message = f"the prompt costs about {format_dollars(needed)}, but {left}"
        raise LimitError(message, f"{RAISE_COST}, or shorten the request")
