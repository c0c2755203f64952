"""Store files as artifacts of a run."""

import hashlib
import os
import time
from pathlib import Path

from prunejuice.engine.artifact import Artifact, guess_media_type
from prunejuice.engine.event import ArtifactStored
from prunejuice.engine.ports import StepContext
from prunejuice.system.private import make_private_folder


def write_artifact(handle: StepContext, path: Path, text: str) -> None:
    """Write text to a file in the run's directory, and store the file as an artifact."""
    make_private_folder(path.parent)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    store_artifact(handle, path)


def store_artifact(handle: StepContext, path: Path) -> None:
    """Record a file in the run's directory as an artifact, with its size and SHA-256 digest."""
    name = os.fsencode(path.relative_to(handle.directory)).decode("utf-8", "backslashreplace")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    size, media_type = path.stat().st_size, guess_media_type(name)
    artifact = Artifact(name, name, size, digest.hexdigest(), media_type, handle.step.id)
    handle.emit(ArtifactStored(at=time.time(), artifact=artifact))
