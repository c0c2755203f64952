"""Built-in steps that prepare a run: its folders, its prerequisites, and the issue it works on."""

import shutil
from pathlib import Path

from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.errors import StepError
from prunejuice.forges import tracker_export
from prunejuice.forges.registry import open_forge
from prunejuice.steps.artifacts import write_artifact
from prunejuice.steps.resources import StepResources, ok_result
from prunejuice.system.private import make_private_folder

RUN_FOLDERS = ("specs", "logs", "outputs", "prompts", "analysis", "plans", "configs", "temp")


def setup_environment(handle: StepContext, _resources: StepResources) -> StepResult:
    """Create the run's directories."""
    for name in RUN_FOLDERS:
        make_private_folder(handle.directory / name)
    return ok_result("Environment setup complete", directory=str(handle.directory))


def validate_prerequisites(handle: StepContext, resources: StepResources) -> StepResult:
    """Check the `tools`, `files` and `environment` variables, and that the repository has a commit."""
    missing = [
        f"{tool} is not installed"
        for tool in resources.list_argument("tools")
        if not shutil.which(tool, path=resources.environ.get("PATH"))
    ]
    directory = Path(handle.workspace.directory)
    missing += [
        f"file {name} does not exist"
        for name in resources.list_argument("files")
        if not (directory / name).exists()
    ]
    missing += [
        f"environment variable {name} is not set"
        for name in resources.list_argument("environment")
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


def fetch_issue(handle: StepContext, resources: StepResources) -> StepResult:
    """Store an issue, and output its number, title, body and URL.

    It is that of the repository's forge, or of the file `export`, an export of a tracker as JSON.
    """
    number = resources.args.get("issue") or resources.args.get("number")
    if not isinstance(number, int) or number <= 0:
        raise StepError(
            f"issue must be an issue number, not {number!r}", "write a number: args: {issue: 12}"
        )
    if export := str(resources.args.get("export") or ""):
        issue = tracker_export.find_issue(Path(handle.workspace.directory) / export, str(number))
    else:
        issue = open_forge(resources.open_git(handle), resources.environ).fetch_issue(number)
    write_artifact(handle, handle.directory / "specs" / f"issue-{number}.md", issue.text)
    return ok_result(
        issue.text, number=number, title=issue.title, body=issue.body, url=issue.url, markdown=issue.text
    )
