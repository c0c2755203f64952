"""Whether what a repository brings along may run: only exactly those bytes that a person trusted."""

from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import DeniedError
from prunejuice.project import Project, digest, fingerprint
from prunejuice.protocols import Store
from prunejuice.text import safe_line


class Standing(NamedTuple):
    """How a project stands: what differs from what was trusted, as `path (new|changed|gone)`."""

    trusted: bool
    changes: tuple[str, ...] = ()


def standing(project: Project, store: Store) -> Standing:
    """Whether the project's `.prj` is what was trusted; a project without one needs no trust."""
    now = fingerprint(project)
    pinned = store.pins(str(project.root))
    changes = [f"{name} (new)" for name in now if name not in pinned]
    changes += [f"{n} (changed)" for n in now if n in pinned and pinned[n] != now[n]]
    changes += [f"{name} (gone)" for name in pinned if name not in now]
    return Standing(not changes, tuple(changes))


def trust(project: Project, store: Store) -> dict[str, str]:
    """Trust the project's `.prj` as it is now; its files and digests."""
    now = fingerprint(project)
    store.pin(str(project.root), now)
    return now


def demand_file(project: Project, path: Path, store: Store) -> None:
    """Nothing, when one file of the project is what was trusted.

    Raises:
        DeniedError: it was changed since, perhaps by a step.
    """
    pinned = store.pins(str(project.root)).get(str(path.relative_to(project.root)))
    if path.is_symlink() or digest(path) != pinned:
        raise DeniedError(f"{path} is not what was trusted", "look at it, then run: prj trust")


def demand(project: Project, store: Store) -> None:
    """Nothing, when the project may run.

    Raises:
        DeniedError: it may not; names what is new or changed.
    """
    found = standing(project, store)
    if not found.trusted:
        shown = ", ".join(safe_line(change, 120) for change in found.changes[:5])
        more = f" and {len(found.changes) - 5} more" if len(found.changes) > 5 else ""
        raise DeniedError(
            f"{project.prj} is not trusted: {shown}{more}",
            "look at these files, then run: prj trust",
        )
