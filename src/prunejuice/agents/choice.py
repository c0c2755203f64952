"""Which agent a name means."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prunejuice.errors import UsageError
from prunejuice.protocols import Agent
from prunejuice.text import nearest

NAMES = ("oneshot", "scripted")


@contextmanager
def chosen(name: str, *, script: str = "", record: str = "", replay: str = "") -> Iterator[Agent]:
    """The agent of a name, recorded or replayed where that is asked for; closed at the end.

    Raises:
        UsageError: there is none of that name, or a file it needs cannot be read.
    """
    agent = _agent(name, script, replay)
    if record:
        from prunejuice.agents.recorded import Recorder  # noqa: PLC0415

        agent = Recorder(agent, Path(record))
    try:
        yield agent
    finally:
        agent.close()


def _agent(name: str, script: str, replay: str) -> Agent:
    if replay:
        from prunejuice.agents.recorded import Replayer  # noqa: PLC0415

        return Replayer(Path(replay))
    if name == "scripted" or (script and name == "oneshot"):
        from prunejuice.agents import scripted  # noqa: PLC0415

        if not script:
            raise UsageError("the agent 'scripted' needs its answers", "name the file: --script FILE")
        return scripted.read(Path(script))
    if name == "oneshot":
        from prunejuice.agents.oneshot import Oneshot  # noqa: PLC0415

        return Oneshot()
    raise UsageError(f"there is no agent {name!r}", nearest(name, NAMES) or f"there are {', '.join(NAMES)}")
