"""The environment of a step: an allow-listed part of the caller's, what the command names, and the run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice import settings, template
from prunejuice.errors import StepError
from prunejuice.plan import Plan
from prunejuice.process import TAG
from prunejuice.protocols import Handle
from prunejuice.redact import secrets
from prunejuice.workflow import Step
from prunejuice.workspaces import usable


class Surroundings(NamedTuple):
    """What a process of a step is given; `hidden` are values that logs must not show."""

    variables: Mapping[str, str]
    directory: Path
    hidden: tuple[str, ...]


def surroundings(handle: Handle, environ: Mapping[str, str]) -> Surroundings:
    """The variables and directory of a step.

    Raises:
        StepError: the directory is not there, or a value cannot be a variable.
        ConditionError: an expression in them cannot be evaluated.
    """
    command = handle.plan.command
    directory = working_directory(handle)
    given = settings.dotenv(Path(handle.plan.project) / ".env")
    for named in (command.environment, handle.step.environment):
        given |= _named(template.fill(named, handle.facts), environ)
    hidden = secrets(given)
    variables = {
        **settings.passed_on(environ),
        **given,
        **_arguments(handle),
        **_context(handle, directory),
    }
    if outer := environ.get(TAG):
        variables[TAG] = outer
    for name, value in variables.items():
        if "\0" in value:
            raise StepError(f"the value of {name} holds a NUL character")
    return Surroundings(variables, directory, hidden)


def hidden_from(plan: Plan, step: Step, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values that nothing kept of a step may show, as far as they do not hang on its expressions."""
    given = settings.dotenv(Path(plan.project) / ".env")
    for named in (plan.command.environment, step.environment):
        given |= _named(named, environ)
    return secrets(given)


def working_directory(handle: Handle) -> Path:
    """Where a step works: its own directory or its command's, as seen from the workspace.

    Raises:
        StepError: there is no such directory.
    """
    workspace = Path(handle.workspace.directory)
    asked = handle.step.working_directory or handle.plan.command.working_directory
    directory = workspace / str(template.fill(asked, handle.facts) or ".")
    if not directory.is_dir():
        raise StepError(f"there is no directory {str(directory)!r}")
    return Path(os.path.normpath(directory))


def outputs_file(handle: Handle) -> Path:
    """Where a step writes what it hands on."""
    return handle.directory / "outputs" / f"{handle.log.stem}.out"


def _named(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Values as text; a null hands on the caller's variable, when there is one."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if value is not None:
            found[name] = template.as_text(value)
        elif name in environ:
            found[name] = environ[name]
    return found


def _arguments(handle: Handle) -> dict[str, str]:
    given = {**handle.plan.arguments, **template.fill(handle.step.args, handle.facts)}
    return {
        f"PRUNEJUICE_ARG_{name.upper().replace('-', '_')}": template.as_text(value)
        for name, value in given.items()
        if value is not None
    }


def _context(handle: Handle, directory: Path) -> dict[str, str]:
    run, workspace = handle.run, handle.workspace
    return {
        "PRUNEJUICE_RUN_ID": run.id,
        "PRUNEJUICE_SESSION_ID": run.id,
        "PRUNEJUICE_EVENT_ID": f"{run.id}/{handle.log.stem.split('-')[0]}",
        "PRUNEJUICE_STEP_NAME": handle.step.id,
        "PRUNEJUICE_COMMAND_NAME": run.plan.command.name,
        "PRUNEJUICE_PROJECT_PATH": run.plan.project,
        "PRUNEJUICE_ARTIFACT_DIR": str(handle.directory),
        "PRUNEJUICE_WORKING_DIR": str(directory),
        "PRUNEJUICE_WORKTREE_PATH": workspace.worktree,
        "PRUNEJUICE_BRANCH_NAME": workspace.branch,
        "PRUNEJUICE_TMUX_SESSION": workspace.session,
        "PRUNEJUICE_OUTPUT": str(outputs_file(handle)),
        **usable.variables(workspace.port),
    }
