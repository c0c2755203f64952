"""Let agents that edit files work in a copy of the tree, and take their changes as the answer."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from prunejuice.agents.protocol import Agent, AgentEnded, AgentEvent, Task
from prunejuice.changes import change_set, tree_state
from prunejuice.changes.change_set import ChangeSet
from prunejuice.changes.scratch_copy import ScratchCopy
from prunejuice.system.process import SandboxEntry
from prunejuice.system.stop_request import Stop

NO_CHANGES = "NO CHANGES"
"""The marker of an answer without changes."""


class AgentInCopy:
    """An agent that works in a copy, below `place`, of the directory that its task names.

    Its answer is a change set as JSON that is computed from the files, not from the agent's words. A failed
    task has one as well, so that its changes so far can be kept. `contain` opens a sandbox for a copy.
    """

    def __init__(
        self,
        agent: Agent,
        place: Path,
        environ: Mapping[str, str],
        contain: Callable[[Path], SandboxEntry] | None = None,
    ) -> None:
        self.name, self.capabilities = agent.name, agent.capabilities
        self._agent, self._place, self._environ, self._contain = agent, place, environ, contain
        self._replicas: dict[str, ScratchCopy] = {}

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Run the agent in a copy of the files as they are now."""
        replica = self._scratch_copy(Path(task.directory))
        replica.sync_from_tree()
        sandbox = self._contain(replica.root) if self._contain else None
        for event in self._agent.run(task._replace(directory=str(replica.root), sandbox=sandbox), stop):
            yield self._with_change_set(event, task, replica) if isinstance(event, AgentEnded) else event

    def _scratch_copy(self, root: Path) -> ScratchCopy:
        if str(root) not in self._replicas:
            tree = tree_state.find_tree_state(root, self._environ)
            copy_path = self._place / f"replica-{len(self._replicas) + 1}"
            self._replicas[str(root)] = ScratchCopy(tree, copy_path, self._environ)
        return self._replicas[str(root)]

    def _with_change_set(self, ended: AgentEnded, task: Task, replica: ScratchCopy) -> AgentEnded:
        if task.schema is not None:
            return ended
        diffs, faults = replica.diffs()
        text = str(ended.output or "").strip()
        changes = ChangeSet(change_set.changes_from_diffs(diffs), text)
        if faults:
            messages = "; ".join(fault.message for fault in faults[:3])
            output = changes.to_json() if diffs else None
            return AgentEnded("denied", output, f"{self.name}: {messages}", faults[0].fix)
        if diffs:
            return replace(ended, output=changes.to_json())
        return replace(ended, output=f"{NO_CHANGES}\n\n{text}" if ended.status == "ok" else None)

    def close(self) -> None:
        """Close the agent and delete the copies."""
        self._agent.close()
        for replica in self._replicas.values():
            replica.remove()
