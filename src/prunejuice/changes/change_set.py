"""File changes as values that programs and models exchange, and their way to the disk.

A `FileChange` concerns one file. A `ChangeSet` groups those that are applied together or not at all.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from prunejuice.changes import dirfd, transaction
from prunejuice.changes.dirfd import ABSENT, FileSnapshot, FileState
from prunejuice.changes.staging import FileWrite, TransactionPlan
from prunejuice.changes.tree_state import TreeState, find_tree_state
from prunejuice.edits import diff, path_rules, protected_files
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import ConflictError, DeniedError, UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line

ChangeOperation = Literal["write", "delete", "rename", "mode"]
SCHEMA = "codebot.changes/1"
LARGEST = 64_000_000  # characters or bytes of JSON
MAX_CHANGES = 10_000
ABSENT_BASE = "absent"
_DEFAULT_MODE = 0o644


class FileChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A change of the file at `filepath`, which is relative to the root of the tree.

    The `operation` write replaces the content by `content`, which is base64 if `encoding` says so; delete
    removes the file; rename moves it to `to`; mode makes it executable (`mode` 755) or not (644), as can a
    write. `base` is the SHA-256 of the content that the change was made for, or `absent` for a new file;
    without it, the change applies to any content. `reason` explains the change to a reviewer.
    """

    filepath: str
    content: str = ""
    operation: ChangeOperation = "write"
    metadata: dict[str, Any] = {}
    reason: str = ""
    base: str = ""
    to: str = ""
    mode: Literal["", "644", "755"] = ""
    encoding: Literal["utf-8", "base64"] = "utf-8"

    @property
    def data(self) -> bytes:
        """The content as bytes.

        Raises:
            UsageError: the content is not what `encoding` says.
        """
        try:
            return (
                base64.b64decode(self.content, validate=True)
                if self.encoding == "base64"
                else self.content.encode()
            )
        except ValueError as error:
            message = f"the content of {safe_line(self.filepath, 120)!r} is not {self.encoding}"
            raise UsageError(message, "encode the content again") from error

    @property
    def why(self) -> str:
        """The reason for the change, from `reason` or else from `metadata`."""
        reasons = (self.metadata.get(key) for key in ("ai_explanation", "fix_reason", "reason"))
        return self.reason or next((str(reason) for reason in reasons if reason), "")

    def apply(self, root: str | Path = ".") -> TransactionPlan:
        """Apply the change to the tree at `root`.

        Raises:
            ConflictError: the file is not what the change was made for; nothing was changed.
            DeniedError: the path may not be written.
        """
        return ChangeSet((self,)).apply(root)

    def preview(self, root: str | Path = ".") -> str:
        """Return the change as a diff of the tree at `root`; empty if it changes nothing."""
        return ChangeSet((self,)).preview(root)


class ChangeSet(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """File changes that are applied together or not at all; `run` and `command` name their origin."""

    file_changes: tuple[FileChange, ...]
    summary: str = ""
    metadata: dict[str, Any] = {}
    command: str = ""
    run: str = ""
    schema: str = ""

    def apply(self, root: str | Path = ".", *, grant: Sequence[str] = ()) -> TransactionPlan:
        """Apply the changes to the tree at `root`; `grant` has globs of protected files to allow.

        Raises:
            ConflictError: a file is not what a change was made for; nothing was changed.
            DeniedError: a path may not be written, or needs a grant.
        """
        tree_state, prefix = _locate_tree(root)
        differences = resolve_diffs(with_path_prefix(self, prefix), tree_state)
        require_allowed(differences, grant)
        return write_diffs(tree_state, differences)

    def preview(self, root: str | Path = ".") -> str:
        """Return the changes as one diff of the tree at `root`."""
        tree_state, prefix = _locate_tree(root)
        return "".join(
            diff.format_diff(file_diff)
            for file_diff in resolve_diffs(with_path_prefix(self, prefix), tree_state)
        )

    def to_json(self) -> str:
        """Return the changes as JSON in the published schema; every write has its `content`."""
        return msgspec.json.encode(to_plain_data(msgspec.structs.replace(self, schema=SCHEMA))).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "ChangeSet":
        """Return the change set in a JSON text.

        Raises:
            UsageError: the text is not JSON, or does not match the schema.
        """
        return parse_change_set(text)


class CommandOutput(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The result of a command: changes, a summary for people, and data for programs."""

    file_changes: list[FileChange]
    summary: str = ""
    metadata: dict[str, Any] = {}

    def change_set(self, command: str = "", run: str = "") -> ChangeSet:
        """Return the changes as a change set, to be previewed, reviewed and applied together."""
        return ChangeSet(tuple(self.file_changes), self.summary, self.metadata, command, run)


def _locate_tree(root: str | Path) -> tuple[TreeState, str]:
    """The house around a folder, and the way to the folder from its top."""
    place = Path(root).resolve()
    tree_state = find_tree_state(place, settings.environment())
    inner = place.relative_to(tree_state.root.resolve()).as_posix()
    return tree_state, "" if inner == "." else f"{inner}/"


def with_path_prefix(change_set: ChangeSet, prefix: str) -> ChangeSet:
    """Return the change set with every path moved below a folder."""
    if not prefix:
        return change_set
    moved = (
        msgspec.structs.replace(
            change, filepath=prefix + change.filepath, to=change.to and prefix + change.to
        )
        for change in map(_require_valid_change, change_set.file_changes)
    )
    return msgspec.structs.replace(change_set, file_changes=tuple(moved))


def _require_valid_change(change: FileChange) -> FileChange:
    path_rules.require_valid_path(change.filepath)
    return change


# -- JSON -------------------------------------------------------------------------------------------


def parse_change_set(text: str | bytes) -> ChangeSet:
    """Return the change set in a JSON text: an object with `file_changes`, as in the schema.

    Raises:
        UsageError: the text is not JSON, repeats a key, or does not match the schema.
    """
    if len(text) > LARGEST:
        raise UsageError(
            f"the changes are larger than {LARGEST // 1_000_000} MB", "request fewer changes at once"
        )
    try:
        data = json.loads(text, object_pairs_hook=_reject_duplicate_keys, parse_constant=_reject_constant)
        json.dumps(data, ensure_ascii=False).encode()  # rejects lone surrogates
        change_set = msgspec.convert(data, ChangeSet)
    except RecursionError as error:
        raise UsageError(
            "the changes are nested too deeply", "follow the schema that `codebot schema` prints"
        ) from error
    except (ValueError, msgspec.ValidationError) as error:
        message = f"the changes do not match the schema: {safe_line(str(error), 200)}"
        raise UsageError(message, "run `codebot schema` to see it") from error
    for change, plain in zip(change_set.file_changes, data["file_changes"], strict=True):
        # A change with a base was written by us, and we omit empty content.
        if change.operation == "write" and "content" not in plain and not change.base:
            message = f"the change of {safe_line(change.filepath, 80)} has no `content`"
            raise UsageError(
                message, 'use "content": "" for an empty file, "operation": "delete" to remove it'
            )
    _refuse_repeated_paths(change_set.file_changes)
    if len(change_set.file_changes) > MAX_CHANGES:
        raise UsageError(f"there are more than {MAX_CHANGES} changes", "request fewer changes at once")
    return change_set


_BEFORE: Mapping[str, Sequence[list[str]]] = {
    "mode": ([], ["write"]),
    "rename": ([], ["write"], ["mode"], ["write", "mode"]),
}
"""The operations that may come before one on the same path; before any other none may."""


def _refuse_repeated_paths(changes: Sequence[FileChange]) -> None:
    """Refuse two changes of one path, since the last would win; a file may get content and a mode.

    Raises:
        UsageError: a path is written, deleted or renamed twice, or names differ only in case.
    """
    made: dict[str, list[str]] = {}
    for change in changes:
        places = {
            change.to.removeprefix("./").casefold(): "target",
            change.filepath.removeprefix("./").casefold(): change.operation,
        }
        for place, operation in places.items():
            if place and made.setdefault(place, []) not in _BEFORE.get(operation, ([],)):
                message = f"{safe_line(change.filepath, 80)} is changed twice"
                raise UsageError(message, "write one change for each file")
            made.get(place, []).append(operation)


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate key {max(names, key=names.count)!r}")
    return data


def _reject_constant(word: str) -> None:
    raise ValueError(f"{word} is not valid JSON")


def to_plain_data(change_set: ChangeSet) -> dict[str, Any]:
    """Return a change set as plain data; every write has its `content`, even if it is empty."""
    data: dict[str, Any] = msgspec.to_builtins(change_set)
    for change in data["file_changes"]:
        if change.get("operation", "write") == "write":
            change.setdefault("content", "")
    return data


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a change set."""
    schema = msgspec.json.schema(ChangeSet)
    writes = {"if": {"properties": {"operation": {"const": "write"}}}, "then": {"required": ["content"]}}
    schema["$defs"]["FileChange"] |= writes
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}


def json_schema_text() -> str:
    """Return the JSON Schema of a change set as text."""
    return json.dumps(json_schema(), indent=2)


# -- resolving -------------------------------------------------------------------------------------


def resolve_diffs(change_set: ChangeSet, tree_state: TreeState) -> list[FileDiff]:
    """Return every file that the changes concern, before and after, in the tree as it is now.

    Raises:
        ConflictError: files are not what changes were made for; the error names all of them.
        DeniedError: a path may not be written.
    """
    with open_version_reader(tree_state) as read_version:
        overlay = Overlay(read_version)
        apply_to_overlay(change_set.file_changes, overlay)
        return overlay.diffs()


@contextmanager
def open_version_reader(tree_state: TreeState) -> Iterator[Callable[[str], Version]]:
    """Open a tree, and yield a function that returns the version of a file at a path.

    The function raises a ConflictError for a file that a sparse checkout leaves out.
    """
    with dirfd.open_tree(tree_state.root, tree_state.git_folders | {tree_state.state_dir}) as tree:

        def read_version(path: str) -> Version:
            version = version_from_snapshot(tree.read_path(tree.require_writable(path)))
            if version.data is None and tree_state.is_hidden(path):
                raise _hidden_file_error(path)
            return version

        yield read_version


def _hidden_file_error(path: str) -> ConflictError:
    name = safe_line(path, 120)
    fix = f"run `git sparse-checkout add {name.rpartition('/')[0] or name}`, then try again"
    return ConflictError(f"{name} is outside your sparse checkout", fix, (path,))


def version_from_snapshot(snapshot: FileSnapshot) -> Version:
    """Return a snapshot of a path as a version of a file."""
    if snapshot.state == ABSENT:
        return Version(None)
    return Version(snapshot.data, snapshot.state.mode, snapshot.state.kind == "link")


def apply_to_overlay(changes: Iterable[FileChange], overlay: Overlay) -> None:
    """Apply changes one after the other to an overlay; the files below it are not touched.

    Raises:
        ConflictError: files are not what changes were made for; the error names all of them.
    """
    stale = []
    touched: set[str] = set()  # a base counts for the file before the first change of it
    for change in changes:
        if change.filepath not in touched and _is_stale(change, overlay.get(change.filepath)):
            stale.append(change.filepath)
        touched |= {change.filepath, change.to}
        _apply_file_change(change, overlay)
    if stale:
        raise transaction.changed_since_error(stale)


def _is_stale(change: FileChange, current: Version) -> bool:
    return change.base not in {
        "",
        ABSENT_BASE if current.data is None else hashlib.sha256(current.data).hexdigest(),
    }


def _apply_file_change(change: FileChange, overlay: Overlay) -> None:
    current = overlay.get(change.filepath)
    if change.operation == "delete":
        overlay.put(change.filepath, Version(None))
    elif change.operation == "write":
        mode = current.mode if current.data is not None else _DEFAULT_MODE
        overlay.put(change.filepath, _with_mode(change, Version(change.data, mode, current.link)))
    elif change.operation == "rename":
        overlay.rename(change.filepath, change.to)
    elif current.data is None:
        message = f"{safe_line(change.filepath, 120)} does not exist"
        raise ConflictError(message, "check the path; nothing was changed", (change.filepath,))
    else:
        overlay.put(change.filepath, _with_mode(change, current))


def _with_mode(change: FileChange, version: Version) -> Version:
    return version.with_executable(on=change.mode == "755") if change.mode else version


def digest_differences(differences: Iterable[FileDiff]) -> str:
    """Return a digest of the files that differences make and delete, with their kinds; or empty."""
    versions: dict[str, Version] = {}
    for difference in differences:
        if difference.to:
            versions[difference.path] = Version(None)
        versions[difference.to or difference.path] = difference.new
    rows = sorted((path, *_describe_version(version)) for path, version in versions.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest() if rows else ""


def _describe_version(version: Version) -> tuple[str, bool, bool]:
    """Return what tells one version of a file from another; the content is empty if it does not exist."""
    content = "" if version.data is None else hashlib.sha256(version.data).hexdigest()
    return content, bool(version.mode & 0o100), version.link


def reasons_by_path(change_set: ChangeSet) -> dict[str, str]:
    """Return the reason for each change that has one, by path."""
    return {change.filepath: change.why for change in change_set.file_changes if change.why}


def changes_from_diffs(
    differences: Sequence[FileDiff], reasons: Mapping[str, str] = {}
) -> tuple[FileChange, ...]:
    """Return differences as file changes, each with its base and its reason, by path."""
    return tuple(
        change
        for file_diff in differences
        for change in _changes_from_diff(file_diff, reasons.get(file_diff.path, ""))
    )


def _changes_from_diff(difference: FileDiff, reason: str) -> list[FileChange]:
    base = ABSENT_BASE if difference.old.data is None else hashlib.sha256(difference.old.data).hexdigest()
    if difference.new.data is None:
        return [FileChange(difference.path, operation="delete", base=base, reason=reason)]
    mode = _mode_change(difference)
    changes = []
    if difference.new.data != difference.old.data:
        text, encoding = encode_content(difference.new.data)
        changes.append(
            FileChange(difference.path, text, base=base, reason=reason, mode=mode, encoding=encoding)
        )
    elif mode:
        changes.append(FileChange(difference.path, operation="mode", base=base, reason=reason, mode=mode))
    if difference.to:
        changes.append(
            FileChange(difference.path, operation="rename", base=base, reason=reason, to=difference.to)
        )
    return changes


def _mode_change(difference: FileDiff) -> Literal["", "644", "755"]:
    if (difference.old.mode & 0o100) == (difference.new.mode & 0o100) and difference.old.data is not None:
        return ""
    executable = bool(difference.new.mode & 0o100)
    return "755" if executable else ("" if difference.old.data is None else "644")


def encode_content(data: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    """Return bytes as text, and the encoding of the text."""
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(data).decode(), "base64"


# -- writing ---------------------------------------------------------------------------------------


def find_disallowed_paths(differences: Iterable[FileDiff], grant: Sequence[str]) -> list[str]:
    """Return the protected files among the differences that no glob grants."""
    names = (name for file_diff in differences for name in (file_diff.path, file_diff.to))
    return [
        name
        for name in names
        if protected_files.is_protected(name) and not path_rules.matches_any(name, grant)
    ]


def require_allowed(
    differences: Iterable[FileDiff], grant: Sequence[str] = (), approved: Iterable[str] = ()
) -> None:
    """Raise unless every protected file is granted by a glob or approved individually.

    Raises:
        DeniedError: a file is neither; the error names all such files.
    """
    refused = sorted(set(find_disallowed_paths(differences, grant)) - set(approved))
    if refused:
        names = ", ".join(safe_line(name, 80) for name in refused)
        options = " ".join(f"--allow {safe_line(name, 80)!r}" for name in refused[:3])
        raise DeniedError(
            f"these files decide what runs on this machine: {names}", f"review them, then add {options}"
        )


def write_diffs(tree_state: TreeState, differences: Sequence[FileDiff], name: str = "") -> TransactionPlan:
    """Write the new versions of files that still have their old versions, and return the executed plan.

    Raises:
        ConflictError: a file changed meanwhile; nothing was changed.
        DeniedError: a path may not be written.
        StoreError: the disk refuses; nothing was changed.
    """
    return transaction.apply(
        tree_state, [write for file_diff in differences for write in _file_writes(file_diff)], name=name
    )


def version_state(version: Version) -> FileState:
    """Return the state of a path that holds the version."""
    if version.data is None:
        return ABSENT
    if version.link:
        return dirfd.link_state(version.data)
    return dirfd.file_state(version.data, version.mode)


def _file_writes(difference: FileDiff) -> list[FileWrite]:
    old, new = difference.old, difference.new
    base = version_state(old)
    mode = new.mode if old.data is not None and new.mode != old.mode else None
    if difference.to:
        removal = FileWrite(difference.path, None, base)
        return [removal, FileWrite(difference.to, new.data, ABSENT, new.mode, new.link)]
    if old.data is None and new.mode & 0o100:
        mode = new.mode
    return [FileWrite(difference.path, new.data, base, mode)]
