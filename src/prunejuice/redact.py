"""Secrets kept out of logs: registered values are masked wherever text of a step is written."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

MASK = b"***"
MIN_LENGTH = 8
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|(?:^|_)KEY(?:$|_)|APIKEY|AUTH|CREDENTIAL|PRIVATE|CERT", re.IGNORECASE
)


def secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables whose names say that they are secret."""
    return tuple(value for name, value in environment.items() if _SECRET_NAME.search(name))


class Mask:
    """Replaces values in a stream of bytes, also where a chunk ends inside one.

    Each value is found as it is, in base64, URL-encoded and JSON-escaped; values shorter than eight
    characters are left alone, because they would mask ordinary words.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values if len(value) >= MIN_LENGTH for form in _forms(value)}
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None
        self._hold = max(map(len, ordered), default=1) - 1
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """What can be written now; up to the length of a secret is held back."""
        if self._pattern is None:
            return chunk
        text = self._pattern.sub(MASK, self._rest + chunk)
        cut = max(0, len(text) - self._hold)
        self._rest = text[cut:]
        return text[:cut]

    def flush(self) -> bytes:
        """What was held back."""
        rest, self._rest = self._rest, b""
        return rest


def _forms(value: str) -> set[bytes]:
    raw = value.encode()
    return {
        raw,
        base64.b64encode(raw).rstrip(b"="),
        quote(value, safe="").encode(),
        json.dumps(value)[1:-1].encode(),
    }
