"""Text from outside, made safe to show, and small helps for reading it."""

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


def safe_text(text: str | bytes) -> str:
    """Text in which nothing can steer a terminal: every such character becomes visible (`\\x1b`)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return _UNSAFE.sub(_escaped, text)


def safe_line(text: str | bytes, width: int = 200) -> str:
    """One safe line of at most `width` characters."""
    line = safe_text(text[: 4 * width]).replace("\n", " ").replace("\t", " ")
    return line if len(line) <= width else line[: width - 1] + "…"


def safe_json(text: str) -> str:
    """JSON in which nothing can steer a terminal; it means the same."""
    return _UNSAFE.sub(lambda match: json.dumps(match.group())[1:-1], text)


def unicode(text: str) -> str:
    """A file name as text that can be kept: bytes that are not UTF-8 become visible (`\\xff`)."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def utf8(text: str) -> str:
    """Text that can be sent to others: bytes that are not UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def nearest(word: str, known: "Iterable[str]") -> str:
    """A hint such as `did you mean 'test'?`, or nothing when no known word is close."""
    close = get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def counted(number: int, word: str) -> str:
    """A number of things: `1 file`, `2,000 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def dollars(amount: float) -> str:
    """An amount of money, with so many digits that it is not nothing."""
    return f"${amount:.4f}" if amount >= 0.001 or not amount else f"${max(amount, 1e-8):.8f}".rstrip("0")
