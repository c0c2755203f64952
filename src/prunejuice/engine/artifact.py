"""Artifacts: files that a run stores."""

import mimetypes

from msgspec import Struct


class Artifact(Struct, frozen=True, omit_defaults=True):
    """A stored file. `path` is relative to the run's directory; `size` is in bytes."""

    name: str
    path: str
    size: int
    sha256: str
    media_type: str = "application/octet-stream"
    step: str = ""


def guess_media_type(name: str) -> str:
    """Return the media type for a file name."""
    if name.endswith((".log", ".patch", ".diff")):
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
