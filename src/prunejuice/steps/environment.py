"""The environment of a step: allow-listed variables of the caller, of the command, and of the run."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.engine.ports import StepContext
from prunejuice.environments import ports
from prunejuice.environments.active_environment import activate_environment
from prunejuice.environments.place import Place
from prunejuice.errors import DeniedError, StepError
from prunejuice.steps.resources import ProjectAccess, StepResources, make_teller
from prunejuice.system import settings
from prunejuice.system.process_tags import TAG_VARIABLE
from prunejuice.system.redact import secret_values
from prunejuice.text import safe_line
from prunejuice.workflow import interpolation
from prunejuice.workflow.graph import Step
from prunejuice.workflow.plan import Plan
from prunejuice.worktrees.git import find_top


class StepEnvironment(NamedTuple):
    """The variables and directory of a step's process; `hidden` are values that logs must not show."""

    variables: Mapping[str, str]
    directory: Path
    hidden: tuple[str, ...]


def build_step_environment(
    handle: StepContext,
    environ: Mapping[str, str],
    project_variables: Mapping[str, str],
    secret_names: Sequence[str] = (),
) -> StepEnvironment:
    """Return the variables and the directory of a step.

    `project_variables` are those of the project's `.env`; `secret_names` are further names of secrets.

    Raises:
        StepError: the directory does not exist, or a value cannot be a variable.
        ConditionError: an expression in a variable cannot be evaluated.
    """
    directory = require_working_directory(handle)
    declared = declared_variables(handle, environ, project_variables)
    hidden = secret_values({**_text_arguments(handle.plan), **declared}, secret_names)
    worktree = handle.workspace.worktree
    if worktree:
        checkout = Path(find_top(handle.plan.project) or handle.plan.project)
        place = Place(Path(worktree), checkout, declared=declared)
        inherited = place.variables(environ, origin_report(handle))
    else:
        active = activate_environment(directory, environ)
        inherited = {**settings.inherited_environment(active), **declared}
    variables = {
        **inherited,
        **_argument_variables(handle),
        **_run_variables(handle, directory),
    }
    # A run inside another run keeps the outer tag, so that stopping the outer run finds its processes.
    if outer_tag := environ.get(TAG_VARIABLE):
        variables[TAG_VARIABLE] = outer_tag
    for name, value in variables.items():
        if "\0" in value:
            raise StepError(f"the value of {name} contains a NUL character")
    return StepEnvironment(variables, directory, hidden)


def declared_variables(
    handle: StepContext, environ: Mapping[str, str], project_variables: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that the project, the command and the step declare.

    Raises:
        ConditionError: an expression in a variable cannot be evaluated.
    """
    declared = dict(project_variables)
    for values in (handle.plan.command.environment, handle.step.environment):
        declared |= _to_variables(interpolation.render(values, handle.expression_data), environ)
    return declared


def check_variables(handle: StepContext, resources: StepResources) -> dict[str, str]:
    """Return the variables that a check of an agent step gets beside those of the caller."""
    is_checked = resources.args.get("check") or resources.settings.check
    tell = make_teller(handle, resources)
    project_variables = load_trusted_variables(
        resources.project, handle.plan.project, lambda line: tell(line) if is_checked else None
    )
    declared = declared_variables(handle, resources.environ, project_variables)
    return {**declared, **ports.port_variables(handle.workspace.port)}


def load_trusted_variables(
    project: ProjectAccess, root: str, report: Callable[[str], None]
) -> Mapping[str, str]:
    """Return the variables of a project's `.env` for a check.

    Without trust in it there are none, and `report` is told.
    """
    try:
        return project.load_project_variables(root)
    except DeniedError:
        report("the check runs without the variables of .env: review it, then run `prj trust`")
        return {}


def step_secret_values(
    plan: Plan,
    step: Step,
    environ: Mapping[str, str],
    project_variables: Mapping[str, str],
    secret_names: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the secret values of a step that do not depend on its expressions."""
    declared = dict(project_variables)
    for values in (plan.command.environment, step.environment):
        declared |= _to_variables(values, environ)
    return secret_values({**_text_arguments(plan), **declared}, secret_names)


def _text_arguments(plan: Plan) -> dict[str, str]:
    return {name: value for name, value in plan.arguments.items() if isinstance(value, str)}


def require_working_directory(handle: StepContext) -> Path:
    """Return the directory of a step: its own or its command's, relative to the workspace.

    Raises:
        StepError: the directory does not exist, or is outside of the worktree or the project.
    """
    workspace = Path(handle.workspace.directory)
    template_text = handle.step.working_directory or handle.plan.command.working_directory
    directory = workspace / str(interpolation.render(template_text, handle.expression_data) or ".")
    if not directory.is_dir():
        raise StepError(f"directory {str(directory)!r} does not exist")
    directory, top = Path(os.path.normpath(directory)), handle.workspace.worktree or handle.plan.project
    if not (directory.is_relative_to(workspace) or directory.is_relative_to(top)):
        raise StepError(
            f"working_directory {safe_line(template_text, 80)!r} is outside of {top}",
            "use a folder of the project; a script may `cd` elsewhere",
        )
    return directory


def origin_report(handle: StepContext) -> Path:
    """Return the path of the file to which interpreters report modules that are not of the worktree."""
    return outputs_file(handle).with_suffix(".origin")


def outputs_file(handle: StepContext) -> Path:
    """Return the path of the file that a step writes its outputs to."""
    return handle.directory / "outputs" / f"{handle.log.stem}.out"


def _to_variables(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Return values as text; a null takes the caller's variable, if it is set."""
    variables: dict[str, str] = {}
    for name, value in values.items():
        if value is not None:
            variables[name] = interpolation.to_text(value)
        elif name in environ:
            variables[name] = environ[name]
    return variables


def _argument_variables(handle: StepContext) -> dict[str, str]:
    arguments = {**handle.plan.arguments, **interpolation.render(handle.step.args, handle.expression_data)}
    return {
        f"PRUNEJUICE_ARG_{name.upper().replace('-', '_')}": interpolation.to_text(value)
        for name, value in arguments.items()
        if value is not None
    }


def _run_variables(handle: StepContext, directory: Path) -> dict[str, str]:
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
        **ports.port_variables(workspace.port),
    }
