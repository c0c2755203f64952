"""What was done to a repository that can be taken back, one small file each, in the git directory.

An operation is written down before it begins and marked when it is done, so that the next command can
finish what a killed one began.
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

from prunejuice import settings
from prunejuice.errors import NotFoundError, StoreError
from prunejuice.git import Git
from prunejuice.text import safe_line

Kept = TypeVar("Kept", bound=Struct)
Kind = Literal["remove", "restore", "land"]
State = Literal["begun", "done", "undoing", "undone"]
_CUT_OFF = {"begun", "undoing"}
BACKUP = "refs/prunejuice/backup"


class Operation(Struct, frozen=True, omit_defaults=True):
    """One act on the worktree at `path`, whose git directory was `git_dir`; `at` is seconds since 1970.

    remove: the tree and its git directory lie in `trash`; `branch` was at `new`, and is gone if `dropped`;
    `old` keeps what was staged.
    restore: files went from the tree of `old` to that of `new`.  land: `branch` went from `old` to `new`.
    """

    id: str
    kind: Kind
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
    state: State = "begun"

    @property
    def backup(self) -> str:
        """The ref that keeps what the operation left behind."""
        return f"{BACKUP}/{self.id}"


def new(kind: Kind, what: str, path: str | Path) -> Operation:
    """An operation that is about to begin."""
    return Operation(f"op-{secrets.token_hex(4)}", kind, time.time(), what, str(path))


class Journal(NamedTuple):
    """The operations of the repository with this common git directory, sealed with a key of the user's."""

    common: Path
    key: bytes

    @property
    def folder(self) -> Path:
        """One file for each operation."""
        return self.common / "prunejuice" / "operations"

    def write(self, operation: Operation) -> Operation:
        """Keep an operation as it now stands, durably."""
        begun, settled = self._places(operation)
        put(begun if operation.state in _CUT_OFF else settled, sealed(operation, self.key))
        (settled if operation.state in _CUT_OFF else begun).unlink(missing_ok=True)
        return operation

    def mark(self, operation: Operation, state: State) -> Operation:
        """Keep that an operation is done, or undone."""
        return self.write(replace(operation, state=state))

    def all(self) -> list[Operation]:
        """Every operation, newest first; a damaged file is passed over."""
        return sorted(self._read("op-*.json"), key=lambda each: each.at, reverse=True)

    def begun(self) -> list[Operation]:
        """The operations that were cut off."""
        return list(self._read("op-*.begun.json"))

    def find(self, prefix: str) -> Operation:
        """The one operation whose id begins so.

        Raises:
            NotFoundError: there is none, or there are several.
        """
        found = [each for each in self.all() if each.id.startswith(prefix)]
        if len(found) != 1:
            word = "there are several operations" if found else "there is no operation"
            raise NotFoundError(f"{word} {safe_line(prefix, 40)!r}", "prj undo --list shows them")
        return found[0]

    def forget(self, operation: Operation) -> None:
        """Remove an operation; it cannot be taken back any more."""
        for path in self._places(operation):
            path.unlink(missing_ok=True)

    def _places(self, operation: Operation) -> tuple[Path, Path]:
        return self.folder / f"{operation.id}.begun.json", self.folder / f"{operation.id}.json"

    def _read(self, pattern: str) -> Iterator[Operation]:
        found = (opened(path, self.key, Operation) for path in self.folder.glob(pattern))
        return (each for each in found if each is not None)


def journal(git: Git) -> Journal:
    """The operations of a repository."""
    return Journal(Path(git.common), key(git.environ))


# What lies in a git directory can be written by whatever may write to the repository. What we act on
# without being asked must be our own: it carries a seal, made with a key from the state directory.


def key(environ: Mapping[str, str]) -> bytes:
    """The key of the user's seals, made when it is not there yet."""
    path = settings.home(environ) / "key"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f"key.{secrets.token_hex(4)}")
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(32))
        with suppress(FileExistsError):  # another process was faster
            os.link(aside, path)
        aside.unlink()
    return path.read_bytes()


def sealed(value: Struct, secret: bytes) -> bytes:
    """A value as a file has it: the seal on the first line, then the value."""
    body = json.dumps(msgspec.to_builtins(value)).encode()  # which can hold names that are not UTF-8
    return hmac.new(secret, body, "sha256").hexdigest().encode() + b"\n" + body


def opened(path: Path, secret: bytes, kind: type[Kept]) -> Kept | None:
    """The value of a file; nothing when it cannot be read or its seal is not ours."""
    try:
        seal, _, body = _plain(path).partition(b"\n")
        own = hmac.new(secret, body, "sha256").hexdigest().encode()
        if hmac.compare_digest(seal, own):
            return msgspec.convert(json.loads(body), kind)
    except (OSError, ValueError):
        pass
    return None


def _plain(path: Path) -> bytes:
    """The bytes of a file of ours; nothing that could block is opened, no link followed."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(fd).st_mode) else b""


def put(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all; `durable` when it returns, which waits for the disk.

    Raises:
        StoreError: it cannot be written.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
