"""Git directories of ours, in which git finds no setting of a repository that could start a program."""

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from prunejuice.errors import StoreError
from prunejuice.system.private import make_private_folder

SPARSE_PATTERNS = "info/sparse-checkout"
"""The file in the git directory of a worktree that says which files a sparse checkout has."""
_EXACT_ATTRIBUTES = "* -text -ident -working-tree-encoding\n"


def ensure_clean_git_dir(
    common: Path, home: Path, algorithm: str, patterns: bytes = b"", *, exact: bool
) -> str:
    """Return a git directory without any settings, with sparse `patterns`; create it on first use.

    Its name is a hash of its files, so that repositories with equal rules share one.
    """
    version = "0" if algorithm == "sha1" else "1"
    extension = f"[extensions]\n\tobjectFormat = {algorithm}\n" if version == "1" else ""
    files = {
        "HEAD": b"ref: refs/heads/none\n",
        "config": f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n{extension}".encode(),
        "info/attributes": read_optional(common / "info/attributes")
        + (f"\n{_EXACT_ATTRIBUTES}".encode() if exact else b""),
        "info/exclude": read_optional(common / "info/exclude"),
        "shallow": read_optional(common / "shallow"),
        **({SPARSE_PATTERNS: patterns} if patterns else {}),
    }
    name = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:24]
    git_dir = home / "doors" / name
    if not git_dir.is_dir():
        _create_git_dir(git_dir, files)
    return str(git_dir)


def _create_git_dir(git_dir: Path, files: dict[str, bytes]) -> None:
    try:
        make_private_folder(git_dir.parent)
        temporary = Path(tempfile.mkdtemp(dir=git_dir.parent))
    except OSError as error:
        fix = "set PRUNEJUICE_HOME to a writable folder"
        raise StoreError(f"could not write {git_dir.parent}: {error.strerror}", fix) from error
    for folder in ("refs", "info", "objects"):
        (temporary / folder).mkdir()
    for name, content in files.items():
        if content or name == "info/attributes":
            (temporary / name).write_bytes(content)
    with suppress(OSError):  # another process was faster
        temporary.rename(git_dir)
    shutil.rmtree(temporary, ignore_errors=True)


def read_optional(path: Path) -> bytes:
    """Return the bytes of a file, or none if it cannot be read."""
    with suppress(OSError):
        return path.read_bytes()
    return b""
