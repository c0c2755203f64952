"""The text of a file as lines, with its line endings, byte order mark and encoding.

Bytes that are invalid in UTF-8 pass through unchanged.
"""

import codecs
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BINARY_PROBE_BYTES = 8000
_ERRORS = {"utf-8": "surrogateescape"}  # it cannot round-trip invalid UTF-16


class Line(NamedTuple):
    """One line; `end` is `\\n`, `\\r\\n`, or empty for a last line without one."""

    text: str
    end: str


class FileText(NamedTuple):
    """The lines of a text file, with what is needed to write it back byte for byte."""

    lines: tuple[Line, ...]
    bom: bytes = b""
    encoding: str = "utf-8"

    @property
    def texts(self) -> list[str]:
        """The lines without their line endings."""
        return [line.text for line in self.lines]

    @property
    def text(self) -> str:
        """The whole text, with every line ending as `\\n`."""
        return "".join(line.text + ("\n" if line.end else "") for line in self.lines)

    @property
    def line_ending(self) -> str:
        """The most common line ending, or `\\n` if the file has none."""
        counts = Counter(line.end for line in self.lines if line.end)
        return counts.most_common(1)[0][0] if counts else "\n"

    def to_bytes(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            UnicodeEncodeError: A line has a character that the encoding cannot represent.
        """
        text = "".join(line.text + line.end for line in self.lines)
        return self.bom + text.encode(self.encoding, _ERRORS.get(self.encoding, "strict"))

    def with_lines(self, lines: Sequence[Line | str]) -> "FileText":
        """Return a copy with other lines.

        New lines get the file's line ending; the last line ends as the last line of the file did.
        """
        if not lines:
            return self._replace(lines=())
        end = self.line_ending
        last_end = self.lines[-1].end if self.lines else end
        updated = [line if isinstance(line, Line) else Line(line, end) for line in lines]
        updated = [line if line.end else Line(line.text, end) for line in updated[:-1]] + [updated[-1]]
        updated[-1] = Line(updated[-1].text, last_end and (updated[-1].end or end))
        return self._replace(lines=tuple(updated))

    def with_final_newline(self, newline: bool) -> "FileText":
        """Return a copy whose last line ends with a newline, or does not."""
        if not self.lines:
            return self
        last = self.lines[-1]
        return self._replace(
            lines=(*self.lines[:-1], Line(last.text, (last.end or self.line_ending) if newline else ""))
        )


@lru_cache(maxsize=8)
def decode_text(data: bytes) -> FileText | None:
    """Decode the bytes of a file; return None if they are not text."""
    bom, encoding = next(((bom, name) for bom, name in _BOMS if data.startswith(bom)), (b"", "utf-8"))
    if encoding == "utf-8" and b"\0" in data[:_BINARY_PROBE_BYTES]:
        return None
    try:
        text = data[len(bom) :].decode(encoding, _ERRORS.get(encoding, "strict"))
    except UnicodeDecodeError:
        return None
    return FileText(split_lines(text), bom, encoding)


def split_lines(text: str) -> tuple[Line, ...]:
    """Split a text into lines at `\\n` and `\\r\\n`."""
    parts = text.split("\n")
    last = parts.pop()
    if "\r" not in text:
        lines = [Line(part, "\n") for part in parts]
    else:
        lines = [Line(part[:-1], "\r\n") if part.endswith("\r") else Line(part, "\n") for part in parts]
    return tuple([*lines, Line(last, "")] if last else lines)
