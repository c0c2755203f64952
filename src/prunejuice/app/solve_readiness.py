"""See that tasks can be solved here before the first of several runs starts."""

from collections.abc import Iterator
from pathlib import Path

from prunejuice.agents import registry
from prunejuice.app.wiring import App
from prunejuice.environments.place import own_place
from prunejuice.errors import UsageError
from prunejuice.forges.registry import open_forge
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line
from prunejuice.verbs.check_command import CheckCommand
from prunejuice.verbs.verify import default_checks
from prunejuice.worktrees import git as gits


def require_ready(app: App, *, has_issues: bool, agent: str, model: str, check: str) -> Iterator[str]:
    """Yield what a person should know before tasks are solved in worktrees of the project.

    `agent`, `model` and `check` are those of the command line, or empty. Nothing is sent anywhere.

    Raises:
        UsageError: there is no repository, agent, forge, or program of the check.
    """
    git = gits.open_git(app.project.root, dict(app.environ))
    if not git.is_repository():
        fix = "run `git init`, and commit the files"
        raise UsageError(f"{app.project.root} is not in a git repository", fix)
    located = git.locate()
    if not located.resolve("HEAD"):
        raise UsageError("the repository has no commit to work on", "commit the files first")
    _require_agent(app, agent, model)
    if has_issues:
        open_forge(located, app.environ)
    root = Path(located.directory)
    command = default_checks.resolve_check(
        check or default_checks.AUTOMATIC_CHECK, app.settings.check, root
    )
    if not command:
        yield "note: nothing will check the changes: no tests were found, and `check` is not set"
        return
    stop = Stop()
    try:
        CheckCommand(command, root, stop).require_program(own_place(root))
    finally:
        stop.close()


def _require_agent(app: App, agent: str, model: str) -> None:
    name = agent or app.settings.agent
    if name:
        registry.require_known(name)
    if name in {"", "oneshot"} and not (model or app.settings.model or app.settings.script):
        fix = (
            "install claude or codex, or name one with --agent; or pass --model provider:name, "
            "with the key of the provider set"
        )
        if app.has_untrusted_settings():
            fix = f"{safe_line(str(app.project.config))} is ignored until you run `prj trust`; or {fix}"
        raise UsageError("no agent and no model is set", fix)
