"""Trust in project files: code of a repository runs only if a person trusted its exact bytes."""

from pathlib import Path
from typing import NamedTuple

from prunejuice.engine.ports import TrustStore
from prunejuice.errors import DeniedError
from prunejuice.text import safe_line
from prunejuice.workflow.project import Project, file_digest, fingerprint


class TrustState(NamedTuple):
    """The trust state of a project. `changes` lists untrusted differences as `path (new|changed|gone)`."""

    is_trusted: bool
    changes: tuple[str, ...] = ()


def trust_state(project: Project, store: TrustStore) -> TrustState:
    """Return the trust state of a project's `.prj`; a project without one needs no trust."""
    current = fingerprint(project)
    trusted = store.trusted_files(str(project.root))
    changes = [f"{name} (new)" for name in current if name not in trusted]
    changes += [
        f"{name} (changed)" for name in current if trusted.get(name, current[name]) != current[name]
    ]
    changes += [f"{name} (gone)" for name in trusted if name not in current]
    return TrustState(not changes, tuple(changes))


def trust_project(project: Project, store: TrustStore) -> dict[str, str]:
    """Trust the current files of a project's `.prj`; return their digests by path."""
    digests = fingerprint(project)
    store.trust_files(str(project.root), digests)
    return digests


def require_trusted_file(project: Project, path: Path, store: TrustStore) -> None:
    """Raise an error unless a file of the project is unchanged since it was trusted.

    Raises:
        DeniedError: The file has changed, perhaps by a step.
    """
    trusted = store.trusted_files(str(project.root)).get(str(path.relative_to(project.root)))
    # The target of a symbolic link lies outside the trusted files and can change unseen.
    if path.is_symlink() or file_digest(path) != trusted:
        raise DeniedError(f"{path} has changed since it was trusted", "review it, then run `prj trust`")


def require_trusted_project(project: Project, store: TrustStore) -> None:
    """Raise an error unless the project is trusted.

    Raises:
        DeniedError: The project is not trusted; the message names new and changed files.
    """
    state = trust_state(project, store)
    if not state.is_trusted:
        # File names come from the repository: keep control characters off the terminal.
        shown = ", ".join(safe_line(change, 120) for change in state.changes[:5])
        omitted = f" and {len(state.changes) - 5} more" if len(state.changes) > 5 else ""
        raise DeniedError(
            f"{project.prj} is not trusted: {shown}{omitted}",
            "review these files, then run `prj trust`",
        )
