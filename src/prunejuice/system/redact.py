"""Redaction of secrets: registered values are masked in the output of steps."""

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


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the variables whose names suggest a secret, such as `API_TOKEN`."""
    return tuple(value for name, value in environment.items() if _SECRET_NAME.search(name))


class SecretFilter:
    """A filter that masks values in a stream of bytes, even when a value spans two chunks.

    Each value is masked in plain, base64, URL-encoded and JSON-escaped form. Values shorter than eight
    characters are ignored, because they would mask ordinary words.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values if len(value) >= MIN_LENGTH for form in _encoded_forms(value)}
        # Longest first: otherwise a value that contains another would be masked only in part.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None
        self._max_held = max(map(len, ordered), default=1) - 1
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return the masked output that is ready, holding back bytes that may begin a secret."""
        if self._pattern is None:
            return chunk
        text = self._pattern.sub(MASK, self._held + chunk)
        cut = max(0, len(text) - self._max_held)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> bytes:
        """Return the bytes that were held back."""
        rest, self._held = self._held, b""
        return rest


def _encoded_forms(value: str) -> set[bytes]:
    raw = value.encode()
    return {
        raw,
        # Without padding, the form also matches at the start of a longer base64 text.
        base64.b64encode(raw).rstrip(b"="),
        quote(value, safe="").encode(),
        json.dumps(value)[1:-1].encode(),
    }
