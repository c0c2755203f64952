"""Which agent a name means."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prunejuice.errors import UsageError
from prunejuice.protocols import Agent
from prunejuice.settings import Settings
from prunejuice.text import nearest

if TYPE_CHECKING:
    from prunejuice.agents.interactive import Elsewhere

NAMES = ("oneshot", "claude", "codex", "acp:NAME", "interactive", "scripted")
CLAUDESDK = "claudesdk"
"""Another name of `claude`."""


class Source(NamedTuple):
    """Where an agent's answers come from and go to: a `script`, a recording to make or to `replay`.

    `elsewhere` is where a person can work with a program when our terminal is not theirs.
    """

    script: str = ""
    record: str = ""
    replay: str = ""
    elsewhere: "Elsewhere | None" = None


class Billed(NamedTuple):
    """For what an agent's takings are written down."""

    command: str
    run: str = ""


@contextmanager
def chosen(
    name: str,
    source: Source,
    billed: Billed,
    *,
    settings: Settings,
    environ: Mapping[str, str],
    around: Callable[[Agent], Agent] = lambda agent: agent,
) -> Iterator[Agent]:
    """The agent of a name, recorded or replayed where that is asked for; closed at the end.

    What it takes is written down for what is `billed`; what was recorded costs nothing again. `around` is
    what one that edits files by itself works in.

    Raises:
        UsageError: there is none of that name, or a file it needs cannot be read.
    """
    agent = _agent(name, source, environ)
    if not source.replay:
        from prunejuice.agents.metered import Ledger, Metered  # noqa: PLC0415

        agent = around(agent) if agent.can.edits else agent
        agent = Metered(agent, Ledger(settings.home), billed.command, settings.daily_cost, billed.run)
    if source.record:
        from prunejuice.agents.recorded import Recorder  # noqa: PLC0415

        agent = Recorder(agent, Path(source.record))
    try:
        yield agent
    finally:
        agent.close()


def _agent(name: str, source: Source, environ: Mapping[str, str]) -> Agent:
    script = source.script
    if source.replay:
        from prunejuice.agents.recorded import Replayer  # noqa: PLC0415

        return Replayer(Path(source.replay))
    if name == "scripted" or (script and name == "oneshot"):
        from prunejuice.agents import scripted  # noqa: PLC0415

        if not script:
            raise UsageError("the agent 'scripted' needs its answers", "name the file: --script FILE")
        return scripted.read(Path(script))
    if name == "oneshot":
        from prunejuice.agents.oneshot import Oneshot  # noqa: PLC0415

        return Oneshot()
    return _program(name, environ, source.elsewhere)


def _program(name: str, environ: Mapping[str, str], elsewhere: "Elsewhere | None") -> Agent:
    kind, _, row = name.partition(":")
    if name in {"claude", CLAUDESDK}:
        from prunejuice.agents.claude import Claude  # noqa: PLC0415

        return Claude(environ)
    if name == "codex":
        from prunejuice.agents.codex import Codex  # noqa: PLC0415

        return Codex(environ)
    if kind == "acp":
        from prunejuice.agents.acp import Acp  # noqa: PLC0415

        return Acp(row, environ)
    if kind == "interactive":
        from prunejuice.agents.interactive import Interactive  # noqa: PLC0415

        return Interactive(row or "claude", environ, elsewhere)
    raise UsageError(f"there is no agent {name!r}", nearest(name, NAMES) or f"there are {', '.join(NAMES)}")
