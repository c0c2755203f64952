"""The built-in step that gathers the code and the state of the repository for a task."""

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.context.bundle import Bundle, render_bundle
from prunejuice.context.engine import Engine
from prunejuice.context.request import ContextRequest
from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.errors import StepError
from prunejuice.steps.artifacts import store_artifact, write_artifact
from prunejuice.steps.resources import StepResources, ok_result
from prunejuice.worktrees import snapshot


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
        paths=tuple(resources.list_argument("paths")),
        budget=budget,
        style="markdown",
    )
    with closing(Engine(Path(handle.workspace.directory), resources.environ)) as engine:
        return engine.gather(request)


def _format_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
