"""Trust in project files: code of a repository runs only if a person trusted its exact bytes."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice.engine import trusted_copies
from prunejuice.engine.ports import TrustStore
from prunejuice.errors import DeniedError
from prunejuice.text import safe_line
from prunejuice.workflow.command import Command
from prunejuice.workflow.project import Project, fingerprint


class TrustState(NamedTuple):
    """The trust state of a project. `changes` lists untrusted differences as `path (new|changed|gone)`.

    `digests` and `trusted` are the digests of its files by path: now, and when they were trusted. A project
    without such files needs no trust, but `by_person` is true only if a person gave it.
    """

    is_trusted: bool
    changes: tuple[str, ...] = ()
    digests: Mapping[str, str] = {}
    trusted: Mapping[str, str] = {}
    by_person: bool = False


_PROJECT_MARK = "."
"""Stands among the trusted files for the project itself, which may have none."""


def trust_state(project: Project, store: TrustStore) -> TrustState:
    """Return the trust state of a project's `.prj`; a project without one needs no trust."""
    current = fingerprint(project)
    pinned = store.trusted_files(str(project.root))
    trusted = {name: digest for name, digest in pinned.items() if name != _PROJECT_MARK}
    changes = [f"{name} (new)" for name in current if name not in trusted]
    changes += [
        f"{name} (changed)" for name in current if trusted.get(name, current[name]) != current[name]
    ]
    changes += [f"{name} (gone)" for name in trusted if name not in current]
    return TrustState(not changes, tuple(changes), current, trusted, by_person=not changes and bool(pinned))


def trust_project(
    project: Project, store: TrustStore, home: Path, digests: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Trust files of a project by their digests (default: as they are now); return the digests by path.

    Their copies in the state directory `home` let the next question show what changed since.
    """
    digests = fingerprint(project) if digests is None else digests
    trusted_copies.keep_copies(home, project, digests)
    store.trust_files(str(project.root), {**digests, _PROJECT_MARK: ""})
    return digests


def require_trusted_file(project: Project, path: Path, store: TrustStore) -> None:
    """Raise an error unless a file of the project is unchanged since it was trusted.

    Raises:
        DeniedError: The file has changed, perhaps by a step.
    """
    read_trusted_file(project, path, store)


def read_trusted_file(project: Project, path: Path, store: TrustStore) -> bytes:
    """Return the bytes of a file of the project, read once and compared with those that were trusted.

    Raises:
        DeniedError: The file has changed since it was trusted.
    """
    trusted = store.trusted_files(str(project.root)).get(str(path.relative_to(project.root)))
    # The target of a symbolic link lies outside the trusted files and can change unseen.
    content = b"" if path.is_symlink() else path.read_bytes()
    if path.is_symlink() or hashlib.sha256(content).hexdigest() != trusted:
        raise _changed_error(path)
    return content


def require_trusted_commands(project: Project, commands: Iterable[Command], store: TrustStore) -> None:
    """Raise an error unless the bytes from which commands of the project were parsed are trusted.

    Files may change between the moment they are parsed and the moment the project is compared.

    Raises:
        DeniedError: A command was parsed from other bytes.
    """
    trusted = store.trusted_files(str(project.root))
    for command in commands:
        for file, digest in command.digests.items():
            path = Path(file)
            is_own = path.is_relative_to(project.prj)
            if is_own and trusted.get(str(path.relative_to(project.root))) != digest:
                raise _changed_error(path)


def _changed_error(path: Path) -> DeniedError:
    return DeniedError(f"{path} has changed since it was trusted", "review it, then run `prj trust`")


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
