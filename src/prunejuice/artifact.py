"""A kept file of a run."""

import mimetypes

from msgspec import Struct


class Artifact(Struct, frozen=True, omit_defaults=True):
    """`path` is relative to the run's directory; `size` is bytes."""

    name: str
    path: str
    size: int
    sha256: str
    media_type: str = "application/octet-stream"
    step: str = ""


def media_type(name: str) -> str:
    """The media type that a file's name tells."""
    if name.endswith((".log", ".patch", ".diff")):
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
