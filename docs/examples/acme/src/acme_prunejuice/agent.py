"""An agent that answers every task with the same edit."""

from collections.abc import Iterator

from prunejuice.agents.protocol import (
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    AgentStarted,
    Capabilities,
    Task,
    Usage,
)
from prunejuice.system.stop_request import Stop


class EchoAgent:
    """Writes `hello` into a file, whatever the task is."""

    name = "acme-echo"
    capabilities = Capabilities()

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Yield `AgentStarted` first and `AgentEnded` last, whatever happens."""
        yield AgentStarted(self.name, task.model)
        if stop.is_requested():
            yield AgentEnded("cancelled", error="stopped")
            return
        yield Usage(1, 1, cost=0.0)
        yield AgentEnded("ok", output=f"{self.path}\n```\nhello\n```\n")

    def close(self) -> None:
        """Release nothing."""


def create(request: AgentRequest) -> Agent:
    """Create the agent; `acme-echo:notes.txt` names the file."""
    return EchoAgent(request.argument or "echo.txt")
