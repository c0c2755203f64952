"""Built-in steps that create and remove the run's worktree and tmux session."""

import shutil
import time
from pathlib import Path

from msgspec.structs import replace

from prunejuice.engine import event as events
from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.environments import equipment, ignored_files, ports, setup_command
from prunejuice.errors import StepError, UsageError
from prunejuice.steps.containment import StepContainment
from prunejuice.steps.environment import build_step_environment
from prunejuice.steps.resources import StepResources, ok_result
from prunejuice.system import process
from prunejuice.system.process import SandboxEntry
from prunejuice.workflow.workspace import Workspace
from prunejuice.worktrees import (
    checkout,
    remote_branch,
    snapshot,
    tmux,
    worktree,
    worktree_names,
)
from prunejuice.worktrees.git import Git


def create_worktree(handle: StepContext, resources: StepResources) -> StepResult:
    """Create a worktree and a branch for the run and set them up; later steps run there."""
    unlocated = resources.open_unlocated_git(handle)
    if not unlocated.is_repository():
        raise UsageError(
            f"{handle.workspace.directory} is not in a git repository",
            "run `git init`, or run with --no-worktree",
        )
    git = unlocated.locate()
    options = {**handle.plan.arguments, **resources.args}
    branch = str(options.get("branch_name") or _format_branch(handle, resources.settings.branch_pattern))
    upstream = None if options.get("base") else remote_branch.find_remote_branch(git, branch)
    base_ref = upstream.ref if upstream else str(options.get("base") or "HEAD")
    base = git.resolve(base_ref) if base_ref != "HEAD" else git.head_commit()
    if not base:
        raise StepError(f"unknown base commit {base_ref!r}")
    path = worktree_names.worktree_path(git, resources.settings.worktree_parent, branch)
    # A branch that went with an earlier worktree comes back where the finished steps were.
    tip = "" if git.resolve(f"refs/heads/{branch}") else git.resolve(f"{_find_saved_work(handle)}^")
    created = worktree.create(git, worktree.WorktreeSpec(path, branch, tip or base, handle.run.id))
    if upstream and created.made_branch:
        remote_branch.track_branch(git, upstream)
    subdirectory = Path(handle.workspace.directory).resolve().relative_to(Path(git.directory).resolve())
    directory = path / subdirectory if (path / subdirectory).is_dir() else path
    workspace = Workspace(
        str(directory),
        created.path,
        branch,
        (tip and handle.workspace.base) or created.base,
        created.made_branch,
        handle.workspace.session,
        created.git_dir,
        git.common,
        ports.allocate_ports(resources.settings.home, path),
    )
    if not created.reused:
        _restore_finished_work(handle, git.for_worktree(created.path, created.git_dir), branch)
    handle.emit(events.WorkspaceSet(at=time.time(), workspace=workspace))
    _equip_worktree(handle._replace(run=replace(handle.run, workspace=workspace)), resources, git)
    return ok_result(f"Worktree created at: {path}", path=str(path), branch=branch, base=created.base)


def _restore_finished_work(handle: StepContext, git: Git, branch: str) -> None:
    """Bring back what finished steps of this run made, if an earlier worktree of it is gone.

    The last snapshot has it, committed or not; the branch has only what was committed.

    Raises:
        StepError: the branch has other commits than those on which the snapshot was taken.
    """
    saved = _find_saved_work(handle)
    if not saved:
        return
    if not git.resolve(saved):
        raise StepError(
            f"the files of the finished steps, commit {saved[:12]}, are gone", "start a new run"
        )
    if git.try_run("diff-tree", "--quiet", saved, "HEAD").code == 0:
        return
    head, tip = git.head_commit(), git.resolve(f"{saved}^")
    if head != tip and git.try_run("merge-base", "--is-ancestor", head, tip).code:
        raise StepError(
            f"branch {branch} has moved since the worktree of the run was removed",
            f"the files of its finished steps are in commit {saved[:12]}: merge them, or start a new run",
        )
    if head != tip:
        with checkout.lock_index(git) as files:
            checkout.update_files(files, head, tip)
            git.update_refs((f"refs/heads/{branch}", tip, head))
    snapshot.restore_files(git, saved, "files of finished steps", handle.run.id)


def _find_saved_work(handle: StepContext) -> str:
    """Return the last snapshot of the run, or an empty string."""
    return next((event.commit for event in reversed(handle.run.snapshots) if event.commit), "")


def _format_branch(handle: StepContext, pattern: str) -> str:
    day = time.strftime("%Y%m%d", time.gmtime(handle.run.created))
    words = {"command": handle.plan.command.name, "date": day, "run": handle.run.id[:6]}
    return worktree_names.format_branch_name(pattern, {**words, "project": Path(handle.plan.project).name})


def _equip_worktree(handle: StepContext, resources: StepResources, git: Git) -> None:
    """Give the worktree what the checkout has: packages and ignored files; run the project's setup."""
    with StepContainment(handle, resources.environ, resources.settings).open_worktree() as sandbox:
        _equip_in_sandbox(handle, resources, git, sandbox)


def _equip_in_sandbox(
    handle: StepContext, resources: StepResources, git: Git, sandbox: SandboxEntry | None
) -> None:
    tree = Path(handle.workspace.worktree)
    environment = build_step_environment(
        handle, resources.environ, resources.project.load_project_variables(handle.plan.project)
    )
    call = process.ProcessSpec((), "/", environment.variables, tag=handle.tag, sandbox=sandbox)

    def report(line: str) -> None:
        resources.log(f"{line}\n".encode())

    if git.main_worktree:
        main = git.for_main_worktree()
        named = [
            *ignored_files.list_included_files(main),
            *ignored_files.user_files_to_copy(resources.environ),
        ]
        for copied in ignored_files.copy_files(Path(main.directory), tree, named):
            report(str(copied))
    checkout = Path(git.directory)
    tree_git = git.for_worktree(tree, handle.workspace.git_dir)
    has_setup = bool(resources.settings.setup)
    may_install = resources.project.is_trusted_by_person(handle.plan.project)
    supplies = equipment.plan_equipment(
        git, tree_git, resources.environ, may_install=may_install, has_setup=has_setup
    )
    equipment.equip_tree(checkout, tree, supplies, call, report, resources.stop)
    if has_setup:
        git_dir = Path(handle.workspace.git_dir)
        # Once more, since the programs of the worktree exist only now.
        environment = build_step_environment(
            handle, resources.environ, resources.project.load_project_variables(handle.plan.project)
        )
        call = call._replace(env=environment.variables)
        setup_command.run_setup(tree, git_dir, resources.settings, call, resources.log, resources.stop)


def start_session(handle: StepContext, resources: StepResources) -> StepResult:
    """Start a tmux session in the workspace; report it when tmux is not installed."""
    if not tmux.is_installed():
        note = "tmux is not installed: continuing without a session"
        return StepResult(not resources.args.get("required"), note, "usage", output=note)
    directory = Path(handle.workspace.directory)
    project = Path(handle.plan.project).name
    task = str(resources.args.get("task") or handle.plan.command.name)
    worktree_path = handle.workspace.worktree  # its name contains the run's id
    worktree_name = Path(worktree_path).name if worktree_path else f"{directory.name}-{handle.run.id[:6]}"
    socket = resources.settings.tmux_socket
    name = tmux.free_session_name(tmux.session_name(project, worktree_name, task), str(directory), socket)
    mark = tmux.SessionMark(project, str(directory), task, handle.run.id)
    tmux.create_session(name, str(directory), socket, mark)
    workspace = replace(handle.workspace, session=name)
    handle.emit(events.WorkspaceSet(at=time.time(), workspace=workspace))
    return ok_result(f"Session created: {name}", session=name)


def cleanup(handle: StepContext, resources: StepResources) -> StepResult:
    """End the run's session and empty its `temp`; with `worktree: true`, remove its clean worktree."""
    actions = []
    workspace = handle.workspace
    shutil.rmtree(handle.directory / "temp", ignore_errors=True)
    if workspace.session and tmux.kill_session(workspace.session, resources.settings.tmux_socket):
        actions.append(f"ended session {workspace.session}")
    if workspace.own_worktree and resources.args.get("worktree"):
        removed = worktree.remove(resources.open_git(handle), Path(workspace.worktree))
        message = f"kept {workspace.worktree}: {removed.why}"
        actions.append(message if removed.why else f"removed {workspace.worktree}")
    elif workspace.worktree:
        actions.append(f"kept worktree {workspace.worktree}")
    return ok_result("; ".join(actions) or "nothing to clean up")
