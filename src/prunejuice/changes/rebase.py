"""Rebase the changes of a record, made for one version of a file, onto the current version."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from prunejuice.changes.change_set import apply_to_overlay
from prunejuice.changes.change_set_store import ChangeSetRecord
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import ConflictError
from prunejuice.system import settings
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits

VersionReader = Callable[[str], Version]


def apply_diff(difference: FileDiff, overlay: Overlay) -> None:
    """Apply a difference to an overlay, whatever the file is there."""
    if difference.to:
        overlay.rename(difference.path, difference.to)
    overlay.put(difference.to or difference.path, difference.new)


def original_diffs(record: ChangeSetRecord) -> list[FileDiff]:
    """Return the differences that a record was made for, whatever the files are now."""
    overlay = Overlay(record.original_version)
    apply_to_overlay([replace(change, base="") for change in record.change_set.file_changes], overlay)
    return overlay.diffs()


def rebase_record(record: ChangeSetRecord, read_version: VersionReader) -> list[FileDiff]:
    """Return the differences that a record makes to the current files, merged with edits of other lines.

    Raises:
        ConflictError: the same lines were changed; the error names the file.
        DeniedError: the path holds something other than a file or a link.
    """
    overlay = Overlay(read_version)
    for difference in original_diffs(record):
        _rebase_diff(difference, overlay)
    return overlay.diffs()


def _rebase_diff(difference: FileDiff, overlay: Overlay) -> None:
    """Apply to the current version of a file the change that was made for another version."""
    current, old, new = overlay.get(difference.path), difference.old, difference.new
    if difference.to:
        if current != old:
            raise _conflict_error(difference.path, "its content differs")
        overlay.rename(difference.path, difference.to)
        overlay.put(difference.to, new)
        return
    if current == old or (current.data is not None and current == new):
        overlay.put(difference.path, new)
        return
    if current.data is None or old.data is None or new.data is None or current.link or old.link:
        raise _conflict_error(difference.path, _describe_change(old, current))
    data = merge_file(difference.path, old.data, new.data, current.data)
    mode = new.mode if new.mode != old.mode else current.mode
    overlay.put(difference.path, current._replace(data=data, mode=mode))


def _describe_change(old: Version, current: Version) -> str:
    if current.data is None:
        return "it was deleted"
    return "it exists now" if old.data is None else "its content differs"


def merge_file(path: str, old: bytes, new: bytes, now: bytes) -> bytes:
    """Merge the change from `old` to `new` into the content `now`, as git merges.

    Raises:
        ConflictError: the same or adjacent lines were changed, or the file is not text.
    """
    if now in {old, new}:
        return new
    if old == new:
        return now
    environ = dict(settings.environment())
    with tempfile.TemporaryDirectory(prefix="prj-merge-") as folder:
        names = {"now": now, "old": old, "new": new}
        for name, data in names.items():
            (Path(folder) / name).write_bytes(data)
        result = gits.open_git(folder, environ).try_run("merge-file", "-p", "-q", *names, limit=1 << 28)
    if result.code:  # the number of conflicts, or 128 and above for an error
        raise _conflict_error(
            path, "the same or adjacent lines differ" if result.code < 128 else "it is not text"
        )
    return result.stdout


def _conflict_error(path: str, reason: str) -> ConflictError:
    fix = "request the change again for the current file; nothing was changed"
    return ConflictError(f"{safe_line(path, 120)} was changed since: {reason}", fix, (path,))
