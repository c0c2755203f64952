"""Files that a step keeps as artifacts of its run."""

import hashlib
import os
import time
from pathlib import Path

from prunejuice.artifact import Artifact, media_type
from prunejuice.event import ArtifactStored
from prunejuice.protocols import Handle


def keep(handle: Handle, path: Path, text: str) -> None:
    """Write a text into the run's folder, and keep it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    store(handle, path)


def store(handle: Handle, path: Path) -> None:
    """Keep a file that lies in the run's folder."""
    name = os.fsencode(path.relative_to(handle.directory)).decode("utf-8", "backslashreplace")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    size, kind = path.stat().st_size, media_type(name)
    artifact = Artifact(name, name, size, digest.hexdigest(), kind, handle.step.id)
    handle.emit(ArtifactStored(at=time.time(), artifact=artifact))
