"""The built-in steps, under the names that commands use. Each is a function of what it is given."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from prunejuice import event as events
from prunejuice import git as gits
from prunejuice.artifact import Artifact, media_type
from prunejuice.errors import StepError, UsageError
from prunejuice.history import DRIVER_LOCK
from prunejuice.protocols import Handle, StepResult, Stop
from prunejuice.settings import Settings
from prunejuice.workspace import Workspace
from prunejuice.workspaces import tmux, worktree

MAX_ARTIFACTS = 10_000
FOLDERS = ("specs", "logs", "outputs", "prompts", "analysis", "plans", "configs", "temp")


class World(NamedTuple):
    """What built-in steps work with besides their handle: `args` are theirs, filled in."""

    settings: Settings
    environ: Mapping[str, str]
    args: Mapping[str, Any]
    stop: Stop

    def git(self, directory: str) -> gits.Git:
        """Git at a directory, ended when the step is."""
        return gits.git(directory, dict(self.environ), self.stop)


def _said(text: str, **outputs: Any) -> StepResult:
    return StepResult(ok=True, output=text, outputs=outputs)


def setup_environment(handle: Handle, _world: World) -> StepResult:
    """Make the run's folders."""
    for name in FOLDERS:
        (handle.directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    return _said("Environment setup complete", directory=str(handle.directory))


def validate_prerequisites(handle: Handle, world: World) -> StepResult:
    """Check for a repository with a commit, and for the `tools`, `files` and `environment` asked for."""
    missing = [
        f"{tool} is not installed"
        for tool in _list(world.args, "tools")
        if not shutil.which(tool, path=world.environ.get("PATH"))
    ]
    directory = Path(handle.workspace.directory)
    missing += [
        f"there is no file {name}" for name in _list(world.args, "files") if not (directory / name).exists()
    ]
    missing += [
        f"the variable {name} is not set"
        for name in _list(world.args, "environment")
        if not world.environ.get(name)
    ]
    if world.args.get("repository", True):
        git = world.git(handle.workspace.directory)
        if not git.is_repository():
            missing.append(f"{handle.workspace.directory} is not in a git repository")
        elif not git.resolve("HEAD"):
            missing.append("the repository has no commit yet")
    if missing:
        return StepResult(False, "; ".join(missing), "usage", output="\n".join(missing))
    return _said("Everything needed is there")


def create_worktree(handle: Handle, world: World) -> StepResult:
    """Give the run a worktree and branch of its own; later steps work there."""
    git = world.git(handle.workspace.directory)
    if not git.is_repository():
        raise UsageError(
            f"{handle.workspace.directory} is not in a git repository",
            "git init, or run with --no-worktree",
        )
    given = {**handle.plan.arguments, **world.args}
    base_ref = str(given.get("base") or "HEAD")
    base = git.resolve(base_ref) if base_ref != "HEAD" else git.head()
    if not base:
        raise StepError(f"there is no commit {base_ref!r} to begin at")
    branch = str(given.get("branch_name") or _branch(handle))
    top = Path(git.run("rev-parse", "--show-toplevel").rstrip("\n"))
    main = git.main_worktree()
    parent = Path(world.settings.worktree_parent or f"{main.name}-worktrees").expanduser()
    path = main.parent / parent / branch.replace("/", "-")
    wanted = worktree.Wanted(path, branch, base, handle.run.id)
    made = worktree.create(git, wanted)
    inside = Path(handle.workspace.directory).resolve().relative_to(top.resolve())
    directory = made.path / inside if (made.path / inside).is_dir() else made.path
    workspace = Workspace(
        str(directory), str(made.path), branch, base, made.made_branch, handle.workspace.session
    )
    handle.emit(events.WorkspaceSet(at=time.time(), workspace=workspace))
    return _said(f"Worktree created at: {made.path}", path=str(made.path), branch=branch, base=base)


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
    tmux.create(name, str(directory), world.settings.tmux_socket)
    workspace = replace(handle.workspace, session=name)
    handle.emit(events.WorkspaceSet(at=time.time(), workspace=workspace))
    return _said(f"Session created: {name}", session=name)


def gather_context(handle: Handle, world: World) -> StepResult:
    """Keep what a person or model needs to know of the workspace: diff, status, history, files."""
    folder = handle.directory / "context"
    folder.mkdir(exist_ok=True, mode=0o700)
    git = world.git(handle.workspace.directory)
    if not git.is_repository():
        raise StepError(f"{handle.workspace.directory} is not in a git repository")
    base = str(world.args.get("base") or handle.workspace.base or "HEAD")
    if not git.resolve(base):
        raise StepError(f"there is no commit {base!r} to compare with", "name one with base=")
    status = git.run("status", "--short", "--branch", "--ignore-submodules=all")
    files = git.run("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    _write_diff(git, base, folder / "diff.patch")
    _store(handle, folder / "diff.patch")
    kept = {
        "status.txt": status,
        "history.txt": git.run("log", "-20", "--no-show-signature", "--format=%h %as %an: %s"),
        "files.txt": files.replace("\0", "\n"),
    }
    for name, text in kept.items():
        _keep(handle, folder / name, text)
    changed = len([line for line in status.splitlines() if not line.startswith("##")])
    count = files.count("\0")
    _keep(
        handle,
        folder / "context.json",
        _json({
            "directory": handle.workspace.directory,
            "branch": git.branch(),
            "base": base,
            "head": git.head(),
            "files": count,
            "changed": changed,
            "arguments": handle.plan.arguments,
        }),
    )
    text = f"Gathered context: {count} files, {changed} changed since {base[:12]}"
    return _said(text, files=count, changed=changed, folder=str(folder))


def store_artifacts(handle: Handle, world: World) -> StepResult:
    """Keep what the run made: the files of `paths` (globs), its folder, its changes as a patch."""
    _keep_changes(handle, world)
    workspace = Path(handle.workspace.directory)
    for path in _matches(workspace, _list(world.args, "paths")):
        target = handle.directory / "artifacts" / path.relative_to(workspace)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target, follow_symlinks=False)
    found = list(_own_files(handle))
    for path in found:
        _store(handle, path)
    return _said(f"Stored {len(found)} artifacts", count=len(found))


def cleanup(handle: Handle, world: World) -> StepResult:
    """End the run's session, empty its `temp`; its worktree goes with `worktree: true`, if clean."""
    done = []
    workspace = handle.workspace
    shutil.rmtree(handle.directory / "temp", ignore_errors=True)
    if workspace.session and tmux.kill(workspace.session, world.settings.tmux_socket):
        done.append(f"ended session {workspace.session}")
    if workspace.worktree and world.args.get("worktree"):
        git = world.git(handle.plan.directory)
        kept = worktree.remove(git, Path(workspace.worktree), workspace.own_branch, workspace.base)
        done.append(f"kept {workspace.worktree}: {kept}" if kept else f"removed {workspace.worktree}")
    elif workspace.worktree:
        done.append(f"kept worktree {workspace.worktree}")
    return _said("; ".join(done) or "nothing to clean up")


BUILTIN: Mapping[str, Callable[[Handle, World], StepResult]] = {
    "setup-environment": setup_environment,
    "validate-prerequisites": validate_prerequisites,
    "create-worktree": create_worktree,
    "start-session": start_session,
    "gather-context": gather_context,
    "store-artifacts": store_artifacts,
    "cleanup": cleanup,
}


def _branch(handle: Handle) -> str:
    day = time.strftime("%Y%m%d", time.gmtime(handle.run.created))
    return f"pj-{handle.plan.command.name}-{day}-{handle.run.id[:6]}"


def _list(args: Mapping[str, Any], name: str) -> list[str]:
    value = args.get(name) or []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _write_diff(git: gits.Git, base: str, target: Path) -> None:
    """The changes since a commit, new files included; the index is a copy, so that nothing is touched."""
    index = Path(git.run("rev-parse", "--path-format=absolute", "--git-path", "index").rstrip("\n"))
    copied = target.with_name("index.copy")
    if index.is_file():
        shutil.copyfile(index, copied)
    try:
        aside = git.with_index(copied)
        aside.run("add", "--intent-to-add", "--all", "--", ":/")
        plain = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--binary")
        aside.write(target, "diff", *plain, base, "--")
    finally:
        copied.unlink(missing_ok=True)


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _keep(handle: Handle, path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    _store(handle, path)


def _keep_changes(handle: Handle, world: World) -> None:
    workspace = handle.workspace
    git = world.git(workspace.directory)
    if workspace.base and git.is_repository():
        folder = handle.directory / "artifacts"
        folder.mkdir(exist_ok=True, mode=0o700)
        _write_diff(git, workspace.base, folder / "changes.patch")
        _store(handle, folder / "changes.patch")


def _matches(workspace: Path, patterns: list[str]) -> Iterator[Path]:
    """Regular files inside the workspace; a link or a way out of it is not followed."""
    root = workspace.resolve()
    for pattern in patterns:
        if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
            raise StepError(f"the pattern {pattern!r} leads out of the workspace")
        for path in sorted(workspace.glob(pattern)):
            if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(root):
                yield path


def _own_files(handle: Handle) -> Iterator[Path]:
    """What lies in the run's folder, without the driver's own files."""
    for number, path in enumerate(sorted(handle.directory.rglob("*"))):
        if number > MAX_ARTIFACTS:
            raise StepError(f"more than {MAX_ARTIFACTS} files in {handle.directory}")
        own = path.suffix in {".exit", ".out", ".sh"} and path.parent.name == "outputs"
        own = own or path == handle.log or path.name == DRIVER_LOCK
        if path.is_file() and not path.is_symlink() and not own:
            yield path


def _store(handle: Handle, path: Path) -> None:
    name = os.fsencode(path.relative_to(handle.directory)).decode("utf-8", "backslashreplace")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    artifact = Artifact(
        name, name, path.stat().st_size, digest.hexdigest(), media_type(name), handle.step.id
    )
    handle.emit(events.ArtifactStored(at=time.time(), artifact=artifact))
