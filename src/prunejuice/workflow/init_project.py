"""Create the folders, settings and first commands of a project, for `prj init`."""

from collections.abc import Iterator

from prunejuice.errors import UsageError
from prunejuice.workflow import project
from prunejuice.workflow.catalog import BUILTIN_FOLDER
from prunejuice.workflow.project import Project

TEMPLATE_COMMANDS = ("analyze-issue", "code-review", "feature-branch")
"""The built-in commands of which a new project gets a copy."""


def init_project(target: Project, config: str) -> list[str]:
    """Create the folders, settings and first commands of a project; return the new paths.

    `config` is the text of the settings. Existing files stay.

    Raises:
        UsageError: A folder or file could not be created.
    """
    try:
        return list(_create_project_files(target, config))
    except OSError as error:
        message = f"could not create {error.filename}: {error.strerror}"
        raise UsageError(message, "move the file out of the way or check its permissions") from error


def _create_project_files(target: Project, config: str) -> Iterator[str]:
    for name in project.FOLDERS:
        folder = target.prj / name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            yield f".prj/{name}/"
    files = {target.config: config.encode()}
    for name in TEMPLATE_COMMANDS:
        files[target.commands / f"{name}.yaml"] = (BUILTIN_FOLDER / f"{name}.yaml").read_bytes()
    for path, content in files.items():
        if not path.exists() and not path.is_symlink():  # never write through a dangling link
            path.write_bytes(content)
            yield str(path.relative_to(target.root))
