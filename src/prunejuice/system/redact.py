"""Redaction of secrets: registered values are masked in the output of steps."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote, quote_plus

from prunejuice.system.secret_forms import find_secret_forms, is_secret_name

MASK = b"***"
MIN_LENGTH = 8
_MIN_LINE_LENGTH = 12
_MIN_WRAPPED_LENGTH = 40
_MAX_BREAKS_FACTOR = 3  # held back, so that a wrapped form is seen whole
_URL_PASSWORD = re.compile(r"(\w://[^\s/@:]*:)([^\s/@]+)@")
_WORD = re.compile(rb"[A-Za-z0-9+/_-]+")


def secret_values(environment: Mapping[str, str], names: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the values that suggest a secret by their name, such as `API_TOKEN`, or by their form.

    Of a URL it is the password. `names` are further names, which may have `*`.
    """
    patterns = tuple(names)
    secrets = [value for name, value in environment.items() if _is_secret(name, value, patterns)]
    passwords = (found[2] for value in environment.values() if (found := _URL_PASSWORD.search(value)))
    return tuple(dict.fromkeys((*secrets, *passwords)))


def _is_secret(name: str, value: str, patterns: Iterable[str]) -> bool:
    is_named = any(fnmatchcase(name.upper(), pattern.upper()) for pattern in patterns)
    return is_secret_name(name) or is_named or bool(find_secret_forms(value))


def mask_argument(name: str, value: Any, names: Iterable[str] = ()) -> Any:
    """Return the value of an argument with secrets masked: in nested values too, and passwords in URLs.

    Texts are cut to 400 characters, since a value may be a whole file. `names` are as in `secret_values`.
    """
    if isinstance(value, Mapping):
        return {key: mask_argument(str(key), inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_argument(name, inner, names) for inner in value]
    start = str(value)[:400]
    if _is_secret(name, start, names):
        return MASK.decode()
    return _URL_PASSWORD.sub(rf"\1{MASK.decode()}@", start) if isinstance(value, str) else value


def mask_text(text: str, values: Iterable[str]) -> str:
    """Return a text with the values masked."""
    return mask_bytes(text.encode("utf-8", "surrogateescape"), values).decode("utf-8", "surrogateescape")


def mask_bytes(content: bytes, values: Iterable[str]) -> bytes:
    """Return the whole of a content with the values masked."""
    secrets = SecretFilter(values)
    return secrets.feed(content) + secrets.flush()


class SecretFilter:
    """A filter that masks values in a stream of bytes, even when a value spans two chunks.

    Each value is masked as it is, line by line if it has several, and in the encodings that programs print:
    base64 (at any offset, wrapped, for URLs), URL, JSON, JSON in JSON, HTML, shell and hexadecimal. Values
    shorter than eight characters are ignored, because they would mask ordinary words.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values for form in _encoded_forms(value) if len(form) >= MIN_LENGTH}
        # Longest first: otherwise a value that contains another would be masked only in part.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(_form_pattern, ordered))) if ordered else None
        self._max_held = max((len(form) * _MAX_BREAKS_FACTOR for form in ordered), default=1) - 1
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
    """Return what a secret looks like in the output of programs."""
    whole = value.strip()
    if len(whole) < MIN_LENGTH:
        return set()
    lines = [line.strip() for line in whole.splitlines()]
    texts = [whole, *(line for line in lines if len(lines) > 1 and _is_secret_line(line))]
    return {form for text in texts for form in _text_forms(text)}


def _is_secret_line(line: str) -> bool:
    """Return whether one line of a longer secret, such as a key, is long enough to be one itself."""
    return len(line) >= _MIN_LINE_LENGTH and not line.startswith("-----")


def _text_forms(text: str) -> Iterator[bytes]:
    raw = text.encode("utf-8", "surrogateescape")
    as_json = json.dumps(text)[1:-1]
    yield raw
    yield from _base64_forms(raw)
    for safe in ("", "/"):
        quoted = quote(raw, safe=safe)
        yield from (quoted.encode(), re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted).encode())
    yield quote_plus(raw).encode()
    yield from (
        form.encode("utf-8", "surrogateescape")
        for form in (
            as_json,
            json.dumps(text, ensure_ascii=False)[1:-1],
            json.dumps(as_json)[1:-1],
            repr(text)[1:-1],
            html.escape(text),
            text.replace("'", "'\\''"),
            text.replace("'", "'\"'\"'"),
            text.replace("\n", "\\n"),
        )
    )
    yield from (raw.hex().encode(), raw.hex().upper().encode())


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of the bytes, wherever they stand in a longer text."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        # The first and the last characters hold bits of the bytes around.
        core = encoded[(0, 2, 3)[offset] : len(encoded) - ((offset + len(raw)) % 3 != 0)]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def _form_pattern(form: bytes) -> bytes:
    """Return a pattern for a form; a long word without spaces may be wrapped, as base64 is."""
    if len(form) < _MIN_WRAPPED_LENGTH or not _WORD.fullmatch(form):
        return re.escape(form)
    return rb"(?:\r?\n[ \t]*)?".join(re.escape(form[n : n + 1]) for n in range(len(form)))
