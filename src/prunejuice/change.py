"""Changes of files as values that programs and models exchange, and how they come to the disk.

A `FileChange` is one, a `ChangeSet` is all those that belong together: they are made all or not at all.
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

from prunejuice import hunk, pathname, settings
from prunejuice.errors import ConflictError, DeniedError, UsageError
from prunejuice.hunk import Difference, Version
from prunejuice.overlay import Overlay
from prunejuice.text import safe_line
from prunejuice.workspaces import house as houses
from prunejuice.workspaces import rooted, transaction
from prunejuice.workspaces.house import House
from prunejuice.workspaces.rooted import ABSENT, Seen, State
from prunejuice.workspaces.slot import Plan, Wanted

Operation = Literal["write", "delete", "rename", "mode"]
SCHEMA = "codebot.changes/1"
LARGEST = 64_000_000
MOST = 10_000
GONE = "absent"
_PLAIN = 0o644


class FileChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A change of the file at `filepath`, which is relative to the top of the tree.

    write: it has `content`, in base64 when `encoding` says so.  delete: it goes.
    rename: it is called `to`.  mode: it becomes executable (`mode` 755) or not (644), as a write may too.
    `base` is the SHA-256 of what the change was made for, `absent` for nothing; without one it counts for
    whatever is there. `reason` says why, for whoever reviews it.
    """

    filepath: str
    content: str = ""
    operation: Operation = "write"
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
            UsageError: it is not what `encoding` says.
        """
        try:
            return (
                base64.b64decode(self.content, validate=True)
                if self.encoding == "base64"
                else self.content.encode()
            )
        except ValueError as error:
            what = f"the content of {safe_line(self.filepath, 120)!r} is not {self.encoding}"
            raise UsageError(what, "write it anew") from error

    @property
    def why(self) -> str:
        """The reason that is given, wherever it is."""
        known = (self.metadata.get(key) for key in ("ai_explanation", "fix_reason", "reason"))
        return self.reason or next((str(each) for each in known if each), "")

    def apply(self, root: str | Path = ".") -> Plan:
        """Make the change in the tree at `root`.

        Raises:
            ConflictError: the file is not what the change was made for; nothing was changed.
            DeniedError: the path may not be written.
        """
        return ChangeSet((self,)).apply(root)

    def preview(self, root: str | Path = ".") -> str:
        """The change as a diff of the tree at `root`; empty when it would change nothing."""
        return ChangeSet((self,)).preview(root)


class ChangeSet(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Changes that are made all or not at all; `run` and `command` say what made them."""

    file_changes: tuple[FileChange, ...]
    summary: str = ""
    metadata: dict[str, Any] = {}
    command: str = ""
    run: str = ""
    schema: str = ""

    def apply(self, root: str | Path = ".", *, grant: Sequence[str] = ()) -> Plan:
        """Make the changes in the tree at `root`; `grant` are globs of files that decide what runs.

        Raises:
            ConflictError: a file is not what a change was made for; nothing was changed.
            DeniedError: a path may not be written, or needs a grant.
        """
        house, prefix = _here(root)
        found = resolve(under(self, prefix), house)
        demand_grants(found, grant)
        return carry_out(house, found)

    def preview(self, root: str | Path = ".") -> str:
        """The changes as one diff of the tree at `root`."""
        house, prefix = _here(root)
        return "".join(hunk.diff(each) for each in resolve(under(self, prefix), house))

    def to_json(self) -> str:
        """The changes as JSON, in the published schema; an empty file is said to be one."""
        return msgspec.json.encode(plain(msgspec.structs.replace(self, schema=SCHEMA))).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "ChangeSet":
        """The changes that JSON says.

        Raises:
            UsageError: it is not JSON, or says something else.
        """
        return read(text)


class CommandOutput(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a command gives: changes, a summary for people, and data for programs."""

    file_changes: list[FileChange]
    summary: str = ""
    metadata: dict[str, Any] = {}

    def change_set(self, command: str = "", run: str = "") -> ChangeSet:
        """The changes, to be previewed, reviewed and applied together."""
        return ChangeSet(tuple(self.file_changes), self.summary, self.metadata, command, run)


def _here(root: str | Path) -> tuple[House, str]:
    """The house around a folder, and the way to the folder from its top."""
    place = Path(root).resolve()
    house = houses.around(place, settings.environment())
    inner = place.relative_to(house.root.resolve()).as_posix()
    return house, "" if inner == "." else f"{inner}/"


def under(change_set: ChangeSet, prefix: str) -> ChangeSet:
    """The same with every name below a folder."""
    if not prefix:
        return change_set
    moved = (
        msgspec.structs.replace(each, filepath=prefix + each.filepath, to=each.to and prefix + each.to)
        for each in map(_named, change_set.file_changes)
    )
    return msgspec.structs.replace(change_set, file_changes=tuple(moved))


def _named(each: FileChange) -> FileChange:
    pathname.checked(each.filepath)
    return each


# -- JSON -------------------------------------------------------------------------------------------


def read(text: str | bytes) -> ChangeSet:
    """The change set that JSON says: an object with `file_changes`, as the schema has it.

    Raises:
        UsageError: it is not JSON, has a name twice, or says something else.
    """
    if len(text) > LARGEST:
        raise UsageError(f"the changes have more than {LARGEST // 1_000_000} MB", "ask for less at once")
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        json.dumps(data, ensure_ascii=False).encode()  # which a lone surrogate is not
        found = msgspec.convert(data, ChangeSet)
    except RecursionError as error:
        raise UsageError(
            "the changes are nested too deeply", "write them as the schema says: codebot schema"
        ) from error
    except (ValueError, msgspec.ValidationError) as error:
        what = f"the changes are not as the schema says: {safe_line(str(error), 200)}"
        raise UsageError(what, "codebot schema shows it") from error
    for each, said in zip(found.file_changes, data["file_changes"], strict=True):
        if each.operation == "write" and "content" not in said and not each.base:  # with one, we wrote it
            what = f"the change of {safe_line(each.filepath, 80)} has no `content`"
            raise UsageError(what, 'an empty file is "content": ""; to remove one: "operation": "delete"')
    if len(found.file_changes) > MOST:
        raise UsageError(f"there are more than {MOST} changes", "ask for less at once")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is there twice")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def plain(change_set: ChangeSet) -> dict[str, Any]:
    """A change set as plain data; an empty file is said to be one."""
    data: dict[str, Any] = msgspec.to_builtins(change_set)
    for each in data["file_changes"]:
        if each.get("operation", "write") == "write":
            each.setdefault("content", "")
    return data


def schema() -> dict[str, Any]:
    """The JSON Schema of a change set."""
    found = msgspec.json.schema(ChangeSet)
    writes = {"if": {"properties": {"operation": {"const": "write"}}}, "then": {"required": ["content"]}}
    found["$defs"]["FileChange"] |= writes
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **found}


def schema_text() -> str:
    """The JSON Schema of a change set, as text."""
    return json.dumps(schema(), indent=2)


# -- what becomes of the files ----------------------------------------------------------------------


def resolve(change_set: ChangeSet, house: House) -> list[Difference]:
    """Every file that the changes concern, before and after, in a tree as it is now.

    Raises:
        ConflictError: files are not what changes were made for; names all of them.
        DeniedError: a path may not be written.
    """
    with seeing(house) as see:
        overlay = Overlay(see)
        make(change_set.file_changes, overlay)
        return overlay.differences()


@contextmanager
def seeing(house: House) -> Iterator[Callable[[str], Version]]:
    """What says what is at a path of a tree."""
    with rooted.opened(house.root, house.closed | {house.state}) as tree:
        yield lambda path: version(tree.see(tree.checked(path)))


def version(seen: Seen) -> Version:
    """What was seen at a path, as a version of a file."""
    if seen.state == ABSENT:
        return Version(None)
    return Version(seen.data, seen.state.mode, seen.state.kind == "link")


def make(changes: Iterable[FileChange], overlay: Overlay) -> None:
    """Make changes one after the other, on files that are not touched.

    Raises:
        ConflictError: files are not what changes were made for; names all of them.
    """
    stale = []
    met: set[str] = set()
    for each in changes:
        if each.filepath not in met and _is_stale(each, overlay.get(each.filepath)):
            stale.append(each.filepath)
        met |= {each.filepath, each.to}
        _make(each, overlay)
    if stale:
        raise transaction.changed_since(stale)


def _is_stale(change: FileChange, now: Version) -> bool:
    return change.base not in {"", GONE if now.data is None else hashlib.sha256(now.data).hexdigest()}


def _make(change: FileChange, overlay: Overlay) -> None:
    now = overlay.get(change.filepath)
    if change.operation == "delete":
        overlay.put(change.filepath, Version(None))
    elif change.operation == "write":
        kept = now.mode if now.data is not None else _PLAIN
        overlay.put(change.filepath, _of_mode(change, Version(change.data, kept, now.link)))
    elif change.operation == "rename":
        overlay.rename(change.filepath, change.to)
    elif now.data is None:
        what = f"there is no file {safe_line(change.filepath, 120)}"
        raise ConflictError(what, "nothing was changed", (change.filepath,))
    else:
        overlay.put(change.filepath, _of_mode(change, now))


def _of_mode(change: FileChange, made: Version) -> Version:
    return made.executable(on=change.mode == "755") if change.mode else made


def reasons(change_set: ChangeSet) -> dict[str, str]:
    """Why each file is changed, as far as it was said."""
    return {each.filepath: each.why for each in change_set.file_changes if each.why}


def of_differences(found: Sequence[Difference], why: Mapping[str, str] = {}) -> tuple[FileChange, ...]:
    """Files before and after as changes; each has the base that it was made for."""
    return tuple(change for each in found for change in _changes(each, why.get(each.path, "")))


def _changes(each: Difference, reason: str) -> list[FileChange]:
    base = GONE if each.old.data is None else hashlib.sha256(each.old.data).hexdigest()
    if each.new.data is None:
        return [FileChange(each.path, operation="delete", base=base, reason=reason)]
    mode = _word(each)
    made = []
    if each.new.data != each.old.data:
        text, encoding = said(each.new.data)
        made.append(FileChange(each.path, text, base=base, reason=reason, mode=mode, encoding=encoding))
    elif mode:
        made.append(FileChange(each.path, operation="mode", base=base, reason=reason, mode=mode))
    if each.to:
        made.append(FileChange(each.path, operation="rename", base=base, reason=reason, to=each.to))
    return made


def _word(each: Difference) -> Literal["", "644", "755"]:
    if (each.old.mode & 0o100) == (each.new.mode & 0o100) and each.old.data is not None:
        return ""
    executable = bool(each.new.mode & 0o100)
    return "755" if executable else ("" if each.old.data is None else "644")


def said(data: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    """Bytes as text, and how they were made that."""
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(data).decode(), "base64"


# -- onto the disk ----------------------------------------------------------------------------------


def ungranted(found: Iterable[Difference], grant: Sequence[str]) -> list[str]:
    """The files that decide what runs on this machine and that no glob grants."""
    names = (name for each in found for name in (each.path, each.to))
    return [name for name in names if pathname.decides(name) and not pathname.matches(name, grant)]


def demand_grants(
    found: Iterable[Difference], grant: Sequence[str] = (), approved: Iterable[str] = ()
) -> None:
    """Refuse files that decide what runs on this machine, unless granted by glob or approved one by one.

    Raises:
        DeniedError: names all of them.
    """
    refused = sorted(set(ungranted(found, grant)) - set(approved))
    if refused:
        listed = ", ".join(safe_line(name, 80) for name in refused)
        words = " ".join(f"--grant {safe_line(name, 80)!r}" for name in refused[:3])
        raise DeniedError(
            f"these files decide what runs on this machine: {listed}", f"look at them, then {words}"
        )


def carry_out(house: House, found: Sequence[Difference], name: str = "") -> Plan:
    """Make files what they are to be, where they still are what they were; the plan that was carried out.

    Raises:
        ConflictError: a file changed meanwhile; nothing was changed.
        DeniedError: a path may not be written.
        StoreError: the disk refuses; nothing was changed.
    """
    return transaction.apply(house, [want for each in found for want in _wanted(each)], name=name)


def state(version: Version) -> State:
    """What the disk has when a path is such a version."""
    if version.data is None:
        return ABSENT
    if version.link:
        return rooted.state_of_link(version.data)
    return rooted.state_of(version.data, version.mode)


def _wanted(each: Difference) -> list[Wanted]:
    base = state(each.old)
    mode = each.new.mode if each.old.data is not None and each.new.mode != each.old.mode else None
    if each.to:
        gone = Wanted(each.path, None, base)
        return [gone, Wanted(each.to, each.new.data, ABSENT, each.new.mode, each.new.link)]
    if each.old.data is None and each.new.mode & 0o100:
        mode = each.new.mode
    return [Wanted(each.path, each.new.data, base, mode)]
