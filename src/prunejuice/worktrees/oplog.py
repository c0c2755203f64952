"""The operation log: changes to a repository that can be undone, one file each in the git directory.

An operation is written before it starts and marked when it is done, so that the next command can finish an
operation that was interrupted.
"""

import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from prunejuice.errors import NotFoundError, StoreError
from prunejuice.system import settings
from prunejuice.system.private import make_private_folder
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git

StructT = TypeVar("StructT", bound=Struct)
OperationKind = Literal["remove", "restore", "land"]
OperationState = Literal["begun", "done", "undoing", "undone"]
_INTERRUPTED = {"begun", "undoing"}
BACKUP_REFS = "refs/prunejuice/backup"


class Operation(Struct, frozen=True, omit_defaults=True):
    """A change to the worktree at `path`, whose git directory was `git_dir`; `at` is in seconds since 1970.

    `remove`: the files and the git directory are in `trash`; `branch` was at `new`, and is deleted if
    `dropped`; `old` is a commit of the index.
    `restore`: the files changed from the tree of `old` to the tree of `new`.
    `land`: a merge moved `branch` from `old` to `new`.
    """

    id: str
    kind: OperationKind
    at: float
    what: str
    path: str
    git_dir: str = ""
    trash: str = ""
    branch: str = ""
    old: str = ""
    new: str = ""
    dropped: bool = False
    run: str = ""
    state: OperationState = "begun"

    @property
    def backup_ref(self) -> str:
        """The ref of the backup commit."""
        return f"{BACKUP_REFS}/{self.id}"


def new_operation(kind: OperationKind, what: str, path: str | Path) -> Operation:
    """Return a new operation that starts now."""
    return Operation(f"op-{secrets.token_hex(4)}", kind, time.time(), what, str(path))


class OperationLog(NamedTuple):
    """The operations of the repository with this common git directory; `key` signs the files."""

    common: Path
    key: bytes

    @property
    def folder(self) -> Path:
        """The folder with one file per operation."""
        return self.common / "prunejuice" / "operations"

    def write(self, operation: Operation) -> Operation:
        """Write an operation durably, and return it."""
        interrupted_path, finished_path = self._state_paths(operation)
        is_interrupted = operation.state in _INTERRUPTED
        write_atomically(
            interrupted_path if is_interrupted else finished_path,
            encode_with_signature(operation, self.key),
        )
        # The new file first: a crash in between leaves two files rather than none.
        (finished_path if is_interrupted else interrupted_path).unlink(missing_ok=True)
        return operation

    def mark_state(self, operation: Operation, state: OperationState) -> Operation:
        """Write an operation with a new state, and return it."""
        return self.write(replace(operation, state=state))

    def list_operations(self) -> list[Operation]:
        """Return every operation, newest first; skip damaged files."""
        return sorted(self._read_operations("op-*.json"), key=lambda operation: operation.at, reverse=True)

    def interrupted_operations(self) -> list[Operation]:
        """Return the operations that were interrupted."""
        return list(self._read_operations("op-*.begun.json"))

    def find(self, prefix: str) -> Operation:
        """Return the operation whose id starts with a prefix.

        Raises:
            NotFoundError: no operation matches, or several do.
        """
        matches = [operation for operation in self.list_operations() if operation.id.startswith(prefix)]
        if len(matches) != 1:
            problem = "several operations match" if matches else "unknown operation"
            fix = "run `prj undo --list` to see the operations"
            raise NotFoundError(f"{problem} {safe_line(prefix, 40)!r}", fix)
        return matches[0]

    def forget(self, operation: Operation) -> None:
        """Delete an operation; it can no longer be undone."""
        for path in self._state_paths(operation):
            path.unlink(missing_ok=True)

    def _state_paths(self, operation: Operation) -> tuple[Path, Path]:
        return self.folder / f"{operation.id}.begun.json", self.folder / f"{operation.id}.json"

    def _read_operations(self, pattern: str) -> Iterator[Operation]:
        operations = (read_with_signature(path, self.key, Operation) for path in self.folder.glob(pattern))
        return (operation for operation in operations if operation is not None)


def open_log(git: Git) -> OperationLog:
    """Return the operation log of a repository."""
    return OperationLog(Path(git.common), load_key(git.environ))


# Any program that can write to the repository can write to its git directory. Files that trigger actions
# without the user asking are therefore signed with a key from the user's state directory.


def load_key(environ: Mapping[str, str]) -> bytes:
    """Return the user's signing key; create it on first use."""
    path = settings.state_directory(environ) / "key"
    if not path.is_file():
        make_private_folder(path.parent)
        temporary = path.with_name(f"key.{secrets.token_hex(4)}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(32))
        with suppress(FileExistsError):  # another process was faster
            os.link(temporary, path)
        temporary.unlink()
    return path.read_bytes()


def encode_with_signature(value: Struct, key: bytes) -> bytes:
    """Return the content of a signed file: the signature on the first line, then the value as JSON."""
    body = json.dumps(msgspec.to_builtins(value)).encode()  # unlike msgspec's, for names that are not UTF-8
    return hmac.new(key, body, "sha256").hexdigest().encode() + b"\n" + body


def read_with_signature(path: Path, key: bytes, kind: type[StructT]) -> StructT | None:
    """Return the value of a signed file, or None if it is unreadable or the signature is wrong."""
    try:
        signature, _, body = _read_regular_file(path).partition(b"\n")
        expected = hmac.new(key, body, "sha256").hexdigest().encode()
        if hmac.compare_digest(signature, expected):
            return msgspec.convert(json.loads(body), kind)
    except (OSError, ValueError):
        pass
    return None


def _read_regular_file(path: Path) -> bytes:
    """Return the bytes of a regular file; never block on a pipe or follow a link."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(fd).st_mode) else b""


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file completely or not at all.

    With `durable`, wait until the content is on the disk.

    Raises:
        StoreError: the file could not be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        make_private_folder(path.parent)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"could not write {path}: {error.strerror}") from error
