"""The built-in steps that give a run a place of its own, and take it away again."""

import shutil
import time
from pathlib import Path

from msgspec.structs import replace

from prunejuice import event as events
from prunejuice import process
from prunejuice.errors import StepError, UsageError
from prunejuice.git import Git
from prunejuice.protocols import Handle, StepResult
from prunejuice.steps.environment import surroundings
from prunejuice.steps.world import World, said
from prunejuice.workspace import Workspace
from prunejuice.workspaces import tmux, usable, worktree


def create_worktree(handle: Handle, world: World) -> StepResult:
    """Give the run a worktree and branch of its own, ready to work in; later steps work there."""
    around = world.around(handle)
    if not around.is_repository():
        raise UsageError(
            f"{handle.workspace.directory} is not in a git repository",
            "git init, or run with --no-worktree",
        )
    git = around.located()
    given = {**handle.plan.arguments, **world.args}
    base_ref = str(given.get("base") or "HEAD")
    base = git.resolve(base_ref) if base_ref != "HEAD" else git.head()
    if not base:
        raise StepError(f"there is no commit {base_ref!r} to begin at")
    branch = str(given.get("branch_name") or _branch(handle, world.settings.branch_pattern))
    path = worktree.place(git, world.settings.worktree_parent, branch)
    made = worktree.create(git, worktree.Wanted(path, branch, base, handle.run.id))
    inside = Path(handle.workspace.directory).resolve().relative_to(Path(git.directory).resolve())
    directory = path / inside if (path / inside).is_dir() else path
    workspace = Workspace(
        str(directory),
        made.path,
        branch,
        made.base,
        made.made_branch,
        handle.workspace.session,
        made.git_dir,
        git.common,
        usable.ports(world.settings.home, path),
    )
    handle.emit(events.WorkspaceSet(at=time.time(), workspace=workspace))
    _equip(handle._replace(run=replace(handle.run, workspace=workspace)), world, git)
    return said(f"Worktree created at: {path}", path=str(path), branch=branch, base=made.base)


def _branch(handle: Handle, pattern: str) -> str:
    day = time.strftime("%Y%m%d", time.gmtime(handle.run.created))
    words = {"command": handle.plan.command.name, "date": day, "run": handle.run.id[:6]}
    return worktree.named(pattern, {**words, "project": Path(handle.plan.project).name})


def _equip(handle: Handle, world: World, git: Git) -> None:
    """Make the worktree usable: files of the checkout, and the project's set-up."""
    main = git.from_main()
    files = [*usable.included(main), *usable.files_to_copy(world.environ)] if git.main else []
    for copied in usable.copy(Path(main.directory), Path(handle.workspace.worktree), files):
        world.log(f"{copied}\n".encode())
    if world.settings.setup:
        around = surroundings(handle, world.environ)
        call = process.Call((), "/", around.variables, tag=handle.tag)
        tree, git_dir = Path(handle.workspace.worktree), Path(handle.workspace.git_dir)
        usable.set_up(tree, git_dir, world.settings, call, world.log, world.stop)


def start_session(handle: Handle, world: World) -> StepResult:
    """Start a tmux session in the workspace; without tmux the run goes on, and says so."""
    if not tmux.is_installed():
        note = "tmux is not installed: going on without a session"
        return StepResult(not world.args.get("required"), note, "usage", output=note)
    directory = Path(handle.workspace.directory)
    project = Path(handle.plan.project).name
    task = str(world.args.get("task") or handle.plan.command.name)
    own = handle.workspace.worktree  # its name has the run's id already
    worktree_name = Path(own).name if own else f"{directory.name}-{handle.run.id[:6]}"
    name = tmux.session_name(project, worktree_name, task)
    mark = tmux.Mark(project, str(directory), task, handle.run.id)
    tmux.create(name, str(directory), world.settings.tmux_socket, mark)
    workspace = replace(handle.workspace, session=name)
    handle.emit(events.WorkspaceSet(at=time.time(), workspace=workspace))
    return said(f"Session created: {name}", session=name)


def cleanup(handle: Handle, world: World) -> StepResult:
    """End the run's session, empty its `temp`; its worktree goes with `worktree: true`, if clean."""
    done = []
    workspace = handle.workspace
    shutil.rmtree(handle.directory / "temp", ignore_errors=True)
    if workspace.session and tmux.kill(workspace.session, world.settings.tmux_socket):
        done.append(f"ended session {workspace.session}")
    if workspace.worktree and world.args.get("worktree") and not workspace.borrowed:
        removed = worktree.remove(world.git(handle), Path(workspace.worktree))
        kept = f"kept {workspace.worktree}: {removed.why}"
        done.append(kept if removed.why else f"removed {workspace.worktree}")
    elif workspace.worktree:
        done.append(f"kept worktree {workspace.worktree}")
    return said("; ".join(done) or "nothing to clean up")
