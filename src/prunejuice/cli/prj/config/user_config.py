"""Change the user's own config.yaml: one entry, and nothing else of the file."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from prunejuice.errors import DefinitionError, UsageError
from prunejuice.system import settings, yaml_reader
from prunejuice.system.lock import hold_lock
from prunejuice.system.private import make_private_folder
from prunejuice.text import safe_line, to_unicode

_LOCK_SECONDS = 10.0


def write_setting(path: Path, name: str, value: Any) -> None:
    """Set a setting in the file at `path`, which is replaced as a whole or stays as it is.

    Raises:
        UsageError: the folder or the file cannot be written, or the entry cannot be placed in the file.
    """
    lock_path = settings.state_directory(settings.environment()) / "config.lock"
    make_private_folder(lock_path.parent)
    try:
        with hold_lock(lock_path, _LOCK_SECONDS):
            _write_entry(path, name, value)
    except TimeoutError as error:
        raise UsageError(f"another process is changing {path}", "try again when it has ended") from error


def _write_entry(path: Path, name: str, value: Any) -> None:
    target = path.resolve()  # a link to the file stays a link
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.read_bytes().decode() if target.exists() else ""
        _replace_file(target, _text_with_entry(before, name, value, path).encode())
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        fix = f"make {target.parent} a folder that you can write to, or set PRUNEJUICE_CONFIG to another"
        raise UsageError(f"could not write {path}: {error.strerror}", fix) from error


def _text_with_entry(before: str, name: str, value: Any, path: Path) -> str:
    """Return the text of a file with an entry replaced or added; what it reads as is checked."""
    line = f"{name}: {json.dumps(value, ensure_ascii=False)}"
    if line != to_unicode(line):
        raise UsageError(f"the value of {name} is not UTF-8", "write it in UTF-8")
    wanted = {**(yaml_reader.parse(before, str(path)).data or {}), name: value}
    for text in _changed_texts(before, name, line):
        with suppress(DefinitionError):
            if yaml_reader.parse(text, str(path)).data == wanted:
                return text
    problem = f"could not set {name} in {path} without changing other parts of the file"
    raise UsageError(problem, f"edit the file by hand: write `{safe_line(line, 1000)}`")


def _changed_texts(before: str, name: str, line: str) -> Iterator[str]:
    """Yield the text with the entry in the places where it may stand, the best first."""
    newline = "\r\n" if "\r\n" in before else "\n"
    entries = yaml_reader.find_entries(before)
    if found := entries.get(name):
        above, indent = before[: found.start], before[before.rfind("\n", 0, found.start) + 1 : found.start]
        comments = "".join(f"{comment}{newline}{indent}" for comment in found.comments)
        yield f"{above}{comments}{found.key}{line.removeprefix(name)}{before[found.end :]}"
        return
    for end in (len(before), *(before.find("\n", span.end) + 1 for span in [*entries.values()][-1:])):
        above = before[:end]
        gap = "" if not above or above.endswith("\n") else newline
        yield f"{above}{gap}{line}{newline}{before[end:]}"


def _replace_file(path: Path, content: bytes) -> None:
    """Replace a file by one with the same mode, in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        with draft.open("xb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
