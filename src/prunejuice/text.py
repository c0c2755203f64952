"""Make untrusted text safe to display, and format short texts for messages."""

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# C0 without tab and newline, DEL, C1, lone surrogates, and the characters that reorder or hide
# others: bidi controls, zero-width, variation selectors, language tags.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e01ef]"
)


_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


def is_device_name(name: str) -> bool:
    """Return whether Windows reserves a file name for a device, such as `nul` or `com1.txt`."""
    return bool(_DEVICE.fullmatch(name))


def safe_text(text: str | bytes) -> str:
    """Return the text with terminal control characters and invisible characters escaped (`\\x1b`)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return _UNSAFE.sub(_escape_match, text)


def safe_line(text: str | bytes, width: int = 200) -> str:
    """Return the text as one safe line of at most `width` characters."""
    # Escape only a prefix: the text may be very large.
    line = safe_text(text[: 4 * width]).replace("\n", " ").replace("\t", " ")
    return line if len(line) <= width else line[: width - 1] + "…"


def safe_json(text: str) -> str:
    """Return equivalent JSON with unsafe characters escaped."""
    return _UNSAFE.sub(lambda match: json.dumps(match.group())[1:-1], text)


def to_unicode(text: str) -> str:
    """Return a file name as valid Unicode, with bytes that are not UTF-8 escaped (`\\xff`)."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def to_utf8(text: str) -> str:
    """Return text that can be encoded as UTF-8, with invalid bytes replaced by U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def spelling_hint(word: str, known: "Iterable[str]") -> str:
    """Return a hint such as `did you mean 'test'?`, or an empty text if no known word is similar."""
    similar = most_similar_word(word, known)
    return f"did you mean {similar!r}?" if similar else ""


def most_similar_word(word: str, known: "Iterable[str]") -> str:
    """Return the known word that may have been meant, or an empty text if none is similar."""
    # The comparison is quadratic in the length of the word, which may come from an untrusted file.
    matches = get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def _escape_match(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def format_count(number: int, word: str) -> str:
    """Return a number with its noun: `1 file`, `2,000 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def format_dollars(amount: float) -> str:
    """Return an amount in US dollars: in cents from one dollar on, with more digits for small amounts."""
    if amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= 0.001 or not amount else f"${max(amount, 1e-8):.8f}".rstrip("0")
