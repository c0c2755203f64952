"""Whether a question may still be asked: what it takes is reckoned first, and held against what is left."""

from prunejuice import prices
from prunejuice.agent import NOTHING, Limits, Spent
from prunejuice.contexts import tokens
from prunejuice.errors import LimitError
from prunejuice.text import dollars


def demand(limits: Limits, spent: Spent, prompt: str, model: str) -> Spent:
    """What a question takes before it is answered, when it fits into what is left; nothing without limits.

    Its cost is None where no price is known.

    Raises:
        LimitError: tokens or money are used up, or would be by the question alone.
    """
    if limits.tokens is None and limits.cost is None:
        return NOTHING
    read = round(tokens.count(prompt) * tokens.factor(model))
    asked = Spent(read, 0, cost=prices.cost(model, read) if model else None)
    if limits.tokens is not None:
        _demand_tokens(limits.tokens, spent.input + spent.output, asked.input)
    if limits.cost is not None:
        _demand_money(limits.cost, spent.cost or 0.0, asked.cost)
    return asked


def _demand_tokens(most: int, used: int, asked: int) -> None:
    if used >= most:
        raise LimitError(f"{used:,} of {most:,} tokens are used up", "raise --max-tokens")
    if asked > most - used:
        what = f"the question has about {asked:,} tokens, and {most - used:,} of {most:,} are left"
        raise LimitError(what, "raise --max-tokens, or ask about less")


def _demand_money(most: float, used: float, asked: float | None) -> None:
    if used >= most:
        raise LimitError(f"{dollars(used)} of {dollars(most)} are used up", "raise --max-cost")
    if asked is not None and asked > most - used:
        left = f"{dollars(most - used)} of {dollars(most)} are left"
        what = f"the question costs about {dollars(asked)}, and {left}"
        raise LimitError(what, "raise --max-cost, or ask about less")
