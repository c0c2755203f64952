"""The limits of an agent step: those that are given, and what bounds a step without any."""

from types import SimpleNamespace

import pytest

from prunejuice.agents.protocol import Capabilities, Limits
from prunejuice.errors import UsageError
from prunejuice.steps.agent_request import bound_limits

CLAUDE = Capabilities()
CODEX = Capabilities(enforced_limits=("cost", "tokens", "seconds"), priced=True)
ACP = Capabilities(enforced_limits=("seconds",))
SONNET = "anthropic:claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("capabilities", "model", "given", "default", "cost"),
    [
        (CLAUDE, "", Limits(), 10.0, 10.0),
        (CLAUDE, "", Limits(cost=2.0), 10.0, 2.0),
        (CLAUDE, "", Limits(tokens=100), 10.0, None),
        (CLAUDE, "", Limits(), 0.0, None),
        (CODEX, SONNET, Limits(), 10.0, 10.0),
        (CODEX, "", Limits(), 10.0, None),
        (CODEX, "ollama:unheard-of", Limits(), 10.0, None),
        (ACP, "", Limits(), 10.0, None),
    ],
)
def test_the_cost_is_bounded_where_it_is_known(capabilities, model, given, default, cost):
    agent = SimpleNamespace(name="agent", capabilities=capabilities)
    assert bound_limits(given, model, agent, default) == given._replace(cost=cost)


@pytest.mark.parametrize(
    ("capabilities", "model", "given", "message"),
    [
        (ACP, "", Limits(cost=1.0), "does not support --max-cost"),
        (CODEX, "", Limits(turns=3), "does not support --max-turns"),
        (CODEX, "ollama:unheard-of", Limits(cost=1.0), "none is known for ollama:unheard-of"),
        (Capabilities(model=False), "x", Limits(), "does not accept a model"),
    ],
)
def test_a_limit_that_would_not_hold_is_refused(capabilities, model, given, message):
    agent = SimpleNamespace(name="agent", capabilities=capabilities)
    with pytest.raises(UsageError, match=message):
        bound_limits(given, model, agent, 10.0)
