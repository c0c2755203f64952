"""The built-in steps, by the names that command files use."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.context.bundle import Bundle, render_bundle
from prunejuice.context.engine import Engine
from prunejuice.context.request import DEFAULT_BUDGET, ContextRequest
from prunejuice.engine.history import DRIVER_LOCK
from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.errors import StepError
from prunejuice.forges.forge import open_forge
from prunejuice.steps import workspace
from prunejuice.steps.artifacts import store_artifact, write_artifact
from prunejuice.steps.resources import StepResources, ok_result
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.worktrees import snapshot

MAX_ARTIFACTS = 10_000
RUN_FOLDERS = ("specs", "logs", "outputs", "prompts", "analysis", "plans", "configs", "temp")


def setup_environment(handle: StepContext, _resources: StepResources) -> StepResult:
    """Create the run's directories."""
    for name in RUN_FOLDERS:
        (handle.directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    return ok_result("Environment setup complete", directory=str(handle.directory))


def validate_prerequisites(handle: StepContext, resources: StepResources) -> StepResult:
    """Check the `tools`, `files` and `environment` variables, and that the repository has a commit."""
    missing = [
        f"{tool} is not installed"
        for tool in _list_argument(resources.args, "tools")
        if not shutil.which(tool, path=resources.environ.get("PATH"))
    ]
    directory = Path(handle.workspace.directory)
    missing += [
        f"file {name} does not exist"
        for name in _list_argument(resources.args, "files")
        if not (directory / name).exists()
    ]
    missing += [
        f"environment variable {name} is not set"
        for name in _list_argument(resources.args, "environment")
        if not resources.environ.get(name)
    ]
    if resources.args.get("repository", True):
        git = resources.open_unlocated_git(handle)
        if not git.is_repository():
            missing.append(f"{handle.workspace.directory} is not in a git repository")
        elif not git.resolve("HEAD"):
            missing.append("the repository has no commits yet")
    if missing:
        return StepResult(False, "; ".join(missing), "usage", output="\n".join(missing))
    return ok_result("All prerequisites are met")


def gather_context(handle: StepContext, resources: StepResources) -> StepResult:
    """Store the code relevant to the task, the diff, status, history and file list as artifacts."""
    folder = handle.directory / "context"
    folder.mkdir(exist_ok=True, mode=0o700)
    git = resources.open_git(handle)
    base = str(resources.args.get("base") or handle.workspace.base or git.resolve("HEAD"))
    if base and not git.resolve(base):
        raise StepError(f"unknown commit {base!r} to compare with", "set `base` to an existing commit")
    with snapshot.open_index(git, exact=False) as index:
        now = index.take_snapshot("context")
        status = index.files.run("diff-tree", "-r", "--name-status", git.head_commit(), now.tree)
        files = index.files.run("ls-files", "-z", "--cached")
    snapshot.write_patch(git, base, now.commit, folder / "diff.patch")
    store_artifact(handle, folder / "diff.patch")
    texts = {
        "status.txt": f"## {git.current_branch()}\n{status}",
        "history.txt": git.run("log", "-20", "--no-show-signature", "--format=%h %as %an: %s"),
        "files.txt": files.replace("\0", "\n"),
    }
    for name, text in texts.items():
        write_artifact(handle, folder / name, text)
    changed = len(status.splitlines())
    count = files.count("\0")
    write_artifact(
        handle,
        folder / "context.json",
        _format_json({
            "directory": handle.workspace.directory,
            "branch": git.current_branch(),
            "base": base,
            "head": git.head_commit(),
            "files": count,
            "changed": changed,
            "arguments": handle.plan.arguments,
        }),
    )
    bundle = _gather_bundle(handle, resources)
    write_artifact(handle, folder / "context.md", render_bundle(bundle, "markdown"))
    write_artifact(handle, folder / "bundle.json", _format_json(bundle))
    shown = f"{len(bundle.items)} of them shown in {bundle.used} tokens"
    text = f"Gathered context: {count} files, {changed} changed since {base[:12]}, {shown}"
    return ok_result(text, files=count, changed=changed, folder=str(folder), tokens=bundle.used)


def _gather_bundle(handle: StepContext, resources: StepResources) -> Bundle:
    """Gather the code for `query`, or for the run's text arguments without one."""
    budget = resources.args.get("budget") or DEFAULT_BUDGET
    if not isinstance(budget, int):
        raise StepError(
            f"budget must be a number of tokens, not {budget!r}", "write a number, such as 16000"
        )
    text_arguments = [str(value) for value in handle.plan.arguments.values() if isinstance(value, str)]
    request = ContextRequest(
        query=str(resources.args.get("query") or "\n".join(text_arguments)),
        paths=tuple(_list_argument(resources.args, "paths")),
        budget=budget,
        style="markdown",
    )
    return Engine(Path(handle.workspace.directory), resources.environ).gather(request)


def fetch_issue(handle: StepContext, resources: StepResources) -> StepResult:
    """Store an issue of the repository's forge, and output its title, body and URL."""
    number = resources.args.get("issue") or resources.args.get("number")
    if not isinstance(number, int) or number <= 0:
        raise StepError(
            f"issue must be an issue number, not {number!r}", "write a number: args: {issue: 12}"
        )
    issue = open_forge(resources.open_git(handle), resources.environ).fetch_issue(number)
    write_artifact(handle, handle.directory / "specs" / f"issue-{number}.md", issue.text)
    return ok_result(issue.text, title=issue.title, body=issue.body, url=issue.url, markdown=issue.text)


def store_artifacts(handle: StepContext, resources: StepResources) -> StepResult:
    """Store the files that match `paths` (globs), the run's files, and its changes as a patch."""
    _store_changes(handle, resources)
    workspace = Path(handle.workspace.directory)
    for path in _find_matches(workspace, _list_argument(resources.args, "paths")):
        target = handle.directory / "artifacts" / path.relative_to(workspace)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target, follow_symlinks=False)
    stored = list(_run_files(handle))
    for path in stored:
        store_artifact(handle, path)
    return ok_result(f"Stored {len(stored)} artifacts", count=len(stored))


EXTENSIONS = ExtensionPoint("prunejuice.steps", {})
"""Steps of other packages: a function `(StepContext, StepResources) → StepResult` for each name."""
BUILTIN_STEPS: Mapping[str, Callable[[StepContext, StepResources], StepResult]] = {
    "setup-environment": setup_environment,
    "validate-prerequisites": validate_prerequisites,
    "create-worktree": workspace.create_worktree,
    "start-session": workspace.start_session,
    "gather-context": gather_context,
    "fetch-issue": fetch_issue,
    "store-artifacts": store_artifacts,
    "cleanup": workspace.cleanup,
}


def _list_argument(args: Mapping[str, Any], name: str) -> list[str]:
    value = args.get(name) or []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _format_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _store_changes(handle: StepContext, resources: StepResources) -> None:
    workspace = handle.workspace
    if workspace.base:
        git = resources.open_git(handle)
        folder = handle.directory / "artifacts"
        folder.mkdir(exist_ok=True, mode=0o700)
        now = snapshot.current_snapshot(git, exact=False)
        snapshot.write_patch(git, workspace.base, now.commit, folder / "changes.patch")
        store_artifact(handle, folder / "changes.patch")


def _find_matches(workspace: Path, patterns: list[str]) -> Iterator[Path]:
    """Yield the regular files inside the workspace that match; links and paths out of it are skipped."""
    root = workspace.resolve()
    for pattern in patterns:
        if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
            raise StepError(f"pattern {pattern!r} points outside of the workspace")
        for path in sorted(workspace.glob(pattern)):
            if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(root):
                yield path


def _run_files(handle: StepContext) -> Iterator[Path]:
    """Yield the files in the run's directory, without those of the driver."""
    for number, path in enumerate(sorted(handle.directory.rglob("*"))):
        if number > MAX_ARTIFACTS:
            raise StepError(f"{handle.directory} has more than {MAX_ARTIFACTS} files")
        is_driver_file = path.suffix in {".exit", ".out", ".sh"} and path.parent.name == "outputs"
        is_driver_file = is_driver_file or path == handle.log or path.name == DRIVER_LOCK
        if path.is_file() and not path.is_symlink() and not is_driver_file:
            yield path
