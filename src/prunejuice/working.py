"""Agents that edit files by themselves, held to the same: what they change in a replica is their answer."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from prunejuice import change
from prunejuice.agent import AgentEvent, Ended, Task
from prunejuice.change import ChangeSet
from prunejuice.protocols import Agent, Stop
from prunejuice.replica import Replica
from prunejuice.workspaces import house as houses

NO_CHANGES = "NO CHANGES"
"""What an answer says when nothing has to be done."""


class Working:
    """An agent that works in a replica of the directory that its task names, below `place`.

    Its answer is a change set as JSON, taken from the files and not from what it says of them; after a
    failure too, so that what it did until then can be kept.
    """

    def __init__(self, agent: Agent, place: Path, environ: Mapping[str, str]) -> None:
        self.name, self.can = agent.name, agent.can
        self._agent, self._place, self._environ = agent, place, environ
        self._replicas: dict[str, Replica] = {}

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Let it work there, on the files as they are now."""
        replica = self._replica(Path(task.directory))
        replica.follow()
        for event in self._agent.run(task._replace(directory=str(replica.root)), stop):
            yield self._answered(event, task, replica) if isinstance(event, Ended) else event

    def _replica(self, tree: Path) -> Replica:
        if str(tree) not in self._replicas:
            house = houses.around(tree, self._environ)
            place = self._place / f"replica-{len(self._replicas) + 1}"
            self._replicas[str(tree)] = Replica(house, place, self._environ)
        return self._replicas[str(tree)]

    def _answered(self, ended: Ended, task: Task, replica: Replica) -> Ended:
        if task.schema is not None:
            return ended
        found, faults = replica.differences()
        said = str(ended.output or "").strip()
        made = ChangeSet(change.of_differences(found), said)
        if faults:
            told = "; ".join(each.message for each in faults[:3])
            kept = made.to_json() if found else None
            return Ended("denied", kept, f"{self.name}: {told}", faults[0].fix)
        if found:
            return replace(ended, output=made.to_json())
        return replace(ended, output=f"{NO_CHANGES}\n\n{said}" if ended.status == "ok" else None)

    def close(self) -> None:
        """Close the agent, and let the replicas be gone."""
        self._agent.close()
        for replica in self._replicas.values():
            replica.remove()
