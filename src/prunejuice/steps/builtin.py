"""The built-in steps, under the names that commands use. Each is a function of what it is given."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.context import Bundle, present
from prunejuice.contexts.asked import BUDGET, Ask
from prunejuice.contexts.gather import Engine
from prunejuice.errors import StepError
from prunejuice.history import DRIVER_LOCK
from prunejuice.protocols import Handle, StepResult
from prunejuice.publishers import github
from prunejuice.steps import workspace
from prunejuice.steps.keeping import keep, store
from prunejuice.steps.world import World, said
from prunejuice.workspaces import snapshot

MAX_ARTIFACTS = 10_000
FOLDERS = ("specs", "logs", "outputs", "prompts", "analysis", "plans", "configs", "temp")


def setup_environment(handle: Handle, _world: World) -> StepResult:
    """Make the run's folders."""
    for name in FOLDERS:
        (handle.directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    return said("Environment setup complete", directory=str(handle.directory))


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
        git = world.around(handle)
        if not git.is_repository():
            missing.append(f"{handle.workspace.directory} is not in a git repository")
        elif not git.resolve("HEAD"):
            missing.append("the repository has no commit yet")
    if missing:
        return StepResult(False, "; ".join(missing), "usage", output="\n".join(missing))
    return said("Everything needed is there")


def gather_context(handle: Handle, world: World) -> StepResult:
    """Keep what a person or model needs to know: the code of the task, diff, status, history, files."""
    folder = handle.directory / "context"
    folder.mkdir(exist_ok=True, mode=0o700)
    git = world.git(handle)
    base = str(world.args.get("base") or handle.workspace.base or git.resolve("HEAD"))
    if base and not git.resolve(base):
        raise StepError(f"there is no commit {base!r} to compare with", "name one with base=")
    with snapshot.index(git, exact=False) as ours:
        now = ours.snapshot("context")
        status = ours.files.run("diff-tree", "-r", "--name-status", git.head(), now.tree)
        files = ours.files.run("ls-files", "-z", "--cached")
    snapshot.patch(git, base, now.commit, folder / "diff.patch")
    store(handle, folder / "diff.patch")
    kept = {
        "status.txt": f"## {git.branch()}\n{status}",
        "history.txt": git.run("log", "-20", "--no-show-signature", "--format=%h %as %an: %s"),
        "files.txt": files.replace("\0", "\n"),
    }
    for name, text in kept.items():
        keep(handle, folder / name, text)
    changed = len(status.splitlines())
    count = files.count("\0")
    keep(
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
    bundle = _gathered(handle, world)
    keep(handle, folder / "context.md", present(bundle, "markdown"))
    keep(handle, folder / "bundle.json", _json(bundle))
    shown = f"{len(bundle.items)} of them shown in {bundle.used} tokens"
    text = f"Gathered context: {count} files, {changed} changed since {base[:12]}, {shown}"
    return said(text, files=count, changed=changed, folder=str(folder), tokens=bundle.used)


def _gathered(handle: Handle, world: World) -> Bundle:
    """The code that the run is about: the task is `query`, or what the run was given as text."""
    budget = world.args.get("budget") or BUDGET
    if not isinstance(budget, int):
        raise StepError(f"budget is no number of tokens: {budget!r}", "write one, as 16000")
    given = [str(value) for value in handle.plan.arguments.values() if isinstance(value, str)]
    ask = Ask(
        query=str(world.args.get("query") or "\n".join(given)),
        paths=tuple(_list(world.args, "paths")),
        budget=budget,
        style="markdown",
    )
    return Engine(Path(handle.workspace.directory), world.environ).gather(ask)


def fetch_issue(handle: Handle, world: World) -> StepResult:
    """Keep an issue of the repository's forge: `issue` is its number; hands on its title, body and url."""
    number = world.args.get("issue") or world.args.get("number")
    if not isinstance(number, int) or number <= 0:
        raise StepError(f"issue is no number of an issue: {number!r}", "write one: args: {issue: 12}")
    found = github.of_repository(world.git(handle), world.environ).issue(number)
    keep(handle, handle.directory / "specs" / f"issue-{number}.md", found.text)
    return said(found.text, title=found.title, body=found.body, url=found.url, markdown=found.text)


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
        store(handle, path)
    return said(f"Stored {len(found)} artifacts", count=len(found))


BUILTIN: Mapping[str, Callable[[Handle, World], StepResult]] = {
    "setup-environment": setup_environment,
    "validate-prerequisites": validate_prerequisites,
    "create-worktree": workspace.create_worktree,
    "start-session": workspace.start_session,
    "gather-context": gather_context,
    "fetch-issue": fetch_issue,
    "store-artifacts": store_artifacts,
    "cleanup": workspace.cleanup,
}


def _list(args: Mapping[str, Any], name: str) -> list[str]:
    value = args.get(name) or []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _keep_changes(handle: Handle, world: World) -> None:
    workspace = handle.workspace
    if workspace.base:
        git = world.git(handle)
        folder = handle.directory / "artifacts"
        folder.mkdir(exist_ok=True, mode=0o700)
        now = snapshot.now(git, exact=False)
        snapshot.patch(git, workspace.base, now.commit, folder / "changes.patch")
        store(handle, folder / "changes.patch")


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
