"""Run the processes of a step in a sandbox, and judge afterwards what they left in the worktree."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from prunejuice.agents import own_files
from prunejuice.engine.event import ActionRefused
from prunejuice.engine.history import DRIVER_LOCK
from prunejuice.engine.ports import StepContext
from prunejuice.engine.run import Run, StepRun
from prunejuice.environments import ports
from prunejuice.environments.place_sandbox import PlaceSandbox, open_place_sandbox
from prunejuice.environments.tree_policy import TreeAccess, make_policy
from prunejuice.sandbox.permissions import Permissions
from prunejuice.sandbox.policy import Bind, GivenFile
from prunejuice.sandbox.programs.registry import find_program
from prunejuice.sandbox.sandbox import Refusal, Sandbox
from prunejuice.system.deletion import delete_folder
from prunejuice.system.private import make_private_folder
from prunejuice.system.process import SandboxEntry
from prunejuice.system.settings import Settings
from prunejuice.system.untrusted_files import read_bounded
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import git_quarantine, planted_files
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.git_quarantine import GitQuarantine
from prunejuice.worktrees.planted_files import Kept

_OUTPUTS, _REFUSED = "outputs", "refused"
_OWN_FOLDERS = ("logs", "temp", "prompts", "work", _OUTPUTS, _REFUSED, "artifacts", "pycache")
"""Folders of a run's directory: the record of the run, and what processes outside read or write."""
_COLLECTED = (".out", ".exit", ".origin")
"""The endings of the files in `outputs` that belong to a process."""
_MAX_OUTPUT_BYTES = 64 << 20


class StepContainment:
    """What contains the processes of one step."""

    def __init__(self, handle: StepContext, environ: Mapping[str, str], settings: Settings) -> None:
        self.handle, self.environ, self.settings = handle, environ, settings
        self.containment = handle.plan.containment_of(handle.step)

    @contextmanager
    def open_worktree(self) -> Iterator[SandboxEntry | None]:
        """Yield the sandbox of processes that work in the workspace of the run; None without one.

        At the end, their commits are taken over, and what would run programs outside is moved away.

        Raises:
            MissingToolError: no sandbox can be made here.
            UsageError: what is allowed contradicts itself.
        """
        if not self.containment.is_on:
            yield None
            return
        program = find_program(self.settings.sandbox_program, self.environ)
        git = self._open_git()
        quarantine = self._open_quarantine(git) if git else None
        policy = make_policy(self.containment, self._access(git, quarantine))
        outputs = _outputs_folder(self.handle.directory, self.handle.log)
        delete_folder(outputs)
        make_private_folder(outputs)
        binds = (*policy.binds, Bind(str(outputs), str((self.handle.directory / _OUTPUTS).resolve())))
        policy = policy._replace(ports=(*policy.ports, *self.service_ports()), binds=binds)
        kept = Kept(policy.write[1:], planted_files.identify_files(policy.read))
        began = time.time()
        try:
            yield Sandbox(program, policy, self._temporary_folder(), self.report).enter
        finally:
            collect_outputs(self.handle.directory, self.handle.log)
            self._take_over(quarantine, git, kept, began)

    def contain_services(self) -> SandboxEntry | None:
        """Return the sandbox of the services of the run; they listen on ports of this machine.

        Raises:
            MissingToolError: no sandbox can be made here.
        """
        if not self.containment.is_on:
            return None
        program = find_program(self.settings.sandbox_program, self.environ)
        allow = self.containment.allow.without_hosts()
        containment = replace(self.containment, mode="files", allow=allow)
        policy = make_policy(containment, self._access(self._open_git(), None))
        return Sandbox(program, policy, self._temporary_folder(), self.report).enter

    def service_ports(self) -> tuple[int, ...]:
        """Return the ports of the run's services, if the project has any."""
        if not self.settings.services:
            return ()
        return tuple(map(int, ports.port_variables(self.handle.workspace.port).values()))

    def _access(self, git: Git | None, quarantine: GitQuarantine | None) -> TreeAccess:
        """Return what processes in the workspace of the run need; the record of the run is read-only."""
        directory = self.handle.directory
        for name in _OWN_FOLDERS:
            (directory / name).mkdir(exist_ok=True)
        own = (*_OWN_FOLDERS, DRIVER_LOCK)
        return TreeAccess(
            _find_tree(self.handle),
            Path(gits.find_top(self.handle.plan.project) or self.handle.plan.project),
            self.environ,
            write=(str(directory),),
            protected=tuple(str(directory / name) for name in own),
            git=git,
            quarantine=quarantine,
        )

    def _temporary_folder(self) -> Path:
        return self.handle.directory / "temp"

    def open_check_sandbox(self, tell: Callable[[str], None]) -> PlaceSandbox | None:
        """Return the sandbox of the step's checks: one by default, where the system can make it.

        Raises:
            MissingToolError: a sandbox was asked for that cannot be made here.
        """
        return open_place_sandbox(self.containment, self.settings, self.environ, tell, self.report)

    def contain_agent(self, agent: str) -> Callable[[Path], SandboxEntry] | None:
        """Return a function that opens the sandbox of an agent's program in a copy of the tree, if any.

        Raises:
            MissingToolError: a sandbox was asked for that cannot be made here.
        """
        if not self.containment.is_on:
            return None
        program = find_program(self.settings.sandbox_program, self.environ)
        sandbox = PlaceSandbox(program, self.containment, self.environ, self.report)
        checkout = Path(gits.find_top(self.handle.plan.project) or self.handle.plan.project)
        contain = agent_container(sandbox, agent, checkout, self._temporary_folder())
        return lambda copy: contain(copy, self.service_ports())

    def _take_over(
        self, quarantine: GitQuarantine | None, git: Git | None, kept: Kept, began: float
    ) -> None:
        """Take over commits, and move away what would run programs outside; report what was refused."""
        try:
            if quarantine:
                allowed = self.containment.allow.write
                for name, fix in git_quarantine.take_over(quarantine, allowed):
                    self.report(Refusal("ref", name, fix))
                delete_folder(quarantine.folder)
        finally:
            top = _find_tree(self.handle)
            target = self.handle.directory / _REFUSED / self.handle.log.stem
            for planted in planted_files.move_planted_files(git, top, began, kept, target):
                fix = f"it would run programs outside, and is at {planted.moved_to} now; "
                fix += f"allow it: allow: {{write: [{planted.path}]}}"
                self.report(Refusal("path", planted.path, fix))

    def report(self, refusal: Refusal) -> None:
        """Record a refusal as an event, and show it."""
        self.handle.emit(
            ActionRefused(
                at=time.time(),
                step=self.handle.step.id,
                visit=self.handle.visit,
                what=refusal.what,
                target=safe_line(refusal.target, 300),
                fix=safe_line(refusal.fix, 300),
            )
        )
        self.handle.report_line(safe_line(str(refusal), 400))

    def _open_git(self) -> Git | None:
        if not gits.may_be_in_repository(self.handle.workspace.directory):
            return None
        return gits.open_workspace_git(self.handle.workspace, dict(self.environ))

    def _open_quarantine(self, git: Git) -> GitQuarantine | None:
        """Return a quarantine in a linked worktree; in the main one, its settings are beside its index."""
        if git.git_dir == git.common:
            return None
        return git_quarantine.open_quarantine(
            git, _quarantine_folder(self.handle.directory, self.handle.log)
        )


def agent_container(
    sandbox: PlaceSandbox, agent: str, checkout: Path, folder: Path
) -> Callable[..., SandboxEntry]:
    """Return a function that opens the sandbox of an agent's program in a copy of a tree.

    The program has its own settings and conversations, and reaches its models. `checkout` is where the
    packages of the tree may be; `folder` gets the private folders.
    """
    environ, containment = sandbox.environ, sandbox.containment
    own = own_files.find_home_access(agent, environ)
    if containment.mode == "files+net":
        containment = replace(containment, allow=containment.allow.union(Permissions(hosts=own.hosts)))

    def contain(copy: Path, service_ports: tuple[int, ...] = ()) -> SandboxEntry:
        access = TreeAccess(
            copy,
            checkout,
            environ,
            write=own.write,
            read=own.read,
            given=[GivenFile(path, content) for path, content in own.given],
            covers_git=True,
        )
        policy = make_policy(containment, access)
        policy = policy._replace(ports=(*policy.ports, *service_ports))
        return Sandbox(sandbox.program, policy, folder, sandbox.report).enter

    return contain


def collect_outputs(directory: Path, log: Path) -> None:
    """Move what a contained process wrote to its private outputs to those of the run: plain files alone."""
    folder = _outputs_folder(directory, log)
    for ending in _COLLECTED:
        source = folder / f"{log.stem}{ending}"
        if source.is_file() and not source.is_symlink():
            content = read_bounded(source, _MAX_OUTPUT_BYTES)
            (directory / _OUTPUTS / source.name).write_bytes(content)
    delete_folder(folder)


def take_over_recovered(run: Run, visit: StepRun, directory: Path, environ: Mapping[str, str]) -> None:
    """Take over the commits of a program that ended in a sandbox after its driver had died.

    Raises:
        GitError: git failed, or the commits are not whole.
    """
    log = Path(visit.log)
    folder = _quarantine_folder(directory, log)
    if not folder.is_dir():
        return
    git = gits.open_workspace_git(run.workspace, dict(environ))
    allowed = run.plan.containment_of(run.plan.workflow.steps[visit.step]).allow.write
    if quarantine := git_quarantine.reopen_quarantine(git, folder):
        git_quarantine.take_over(quarantine, allowed)
    delete_folder(folder)
    kept = Kept([f"{git.directory}/{path}" for path in allowed])
    target = directory / _REFUSED / log.stem
    planted_files.move_planted_files(git, Path(git.directory), visit.started, kept, target)


def _outputs_folder(directory: Path, log: Path) -> Path:
    return directory / "temp" / f"{log.stem}.outputs"


def _quarantine_folder(directory: Path, log: Path) -> Path:
    return directory / "temp" / f"{log.stem}.git"


def _find_tree(handle: StepContext) -> Path:
    """Return the worktree of a run, or the top of the tree it works in."""
    workspace = handle.workspace
    return Path(workspace.worktree or gits.find_top(workspace.directory) or workspace.directory)
