"""Create an agent by its name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prunejuice.agents.protocol import Agent, AgentRequest
from prunejuice.errors import PruneJuiceError, UsageError
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.system.settings import Settings

if TYPE_CHECKING:
    from prunejuice.agents.interactive import TerminalRunner

EXTENSIONS = ExtensionPoint(
    "prunejuice.agents",
    {
        "oneshot": "prunejuice.agents.oneshot:create",
        "claude": "prunejuice.agents.claude:create",
        "codex": "prunejuice.agents.codex:create",
        "acp": "prunejuice.agents.acp:create",
        "interactive": "prunejuice.agents.interactive:create",
        "scripted": "prunejuice.agents.scripted:create",
    },
)
"""Agents by name: a function `(AgentRequest) → Agent`. `NAME:ARGUMENT` passes an argument to it."""
_ALIASES = {"claudesdk": "claude"}
_WITHOUT_ARGUMENT = {"oneshot", "claude", "codex", "scripted"}


class AnswerSource(NamedTuple):
    """The source of an agent's answers: a `script`, or a recording to `replay`; `record` writes one.

    `elsewhere` runs an interactive program outside of this terminal, for a run that has none.
    """

    script: str = ""
    record: str = ""
    replay: str = ""
    elsewhere: "TerminalRunner | None" = None


class UsageLabel(NamedTuple):
    """The command and the run that usage is recorded for."""

    command: str
    run: str = ""


@contextmanager
def open_agent(
    name: str,
    source: AnswerSource,
    billed: UsageLabel,
    *,
    settings: Settings,
    environ: Mapping[str, str],
    around: Callable[[Agent], Agent] = lambda agent: agent,
) -> Iterator[Agent]:
    """Return the agent with a name, recorded or replayed as requested; it is closed at the end.

    Usage is recorded for `billed`; a replay costs nothing. `around` wraps an agent that edits files itself.

    Raises:
        UsageError: the name is unknown, or a file that the agent needs could not be read.
    """
    agent = _create_agent(name, source, environ)
    metered = None
    if not source.replay:
        from prunejuice.agents.metering import Ledger, MeteredAgent  # noqa: PLC0415

        agent = around(agent) if agent.capabilities.edits else agent
        agent = metered = MeteredAgent(
            agent, Ledger(settings.home), billed.command, settings.daily_cost, billed.run
        )
    if source.record:
        from prunejuice.agents.recording import RecordingAgent  # noqa: PLC0415

        agent = RecordingAgent(agent, Path(source.record))
    try:
        yield agent
    except PruneJuiceError as error:
        if metered and metered.spent.calls:
            error.outputs = {**error.outputs, **metered.spent.to_outputs()}
        raise
    finally:
        agent.close()


def require_known(name: str) -> None:
    """Check that there is an agent of a name, without creating it.

    Raises:
        UsageError: there is none.
    """
    kind = name.partition(":")[0]
    EXTENSIONS.load(_ALIASES.get(kind, kind))


def _create_agent(name: str, source: AnswerSource, environ: Mapping[str, str]) -> Agent:
    if source.replay:
        from prunejuice.agents.recording import ReplayAgent  # noqa: PLC0415

        return ReplayAgent(Path(source.replay))
    kind, _, argument = name.partition(":")
    kind = "scripted" if source.script and kind == "oneshot" else _ALIASES.get(kind, kind)
    if argument and kind in _WITHOUT_ARGUMENT:
        raise UsageError(f"the agent {kind!r} takes no argument: {name!r}", f"use {kind!r}")
    request = AgentRequest(argument, environ, source.script, source.elsewhere)
    agent: Agent = EXTENSIONS.load(kind)(request)
    return agent
