"""The text of a file as lines, and what of it is no text: ends of lines, byte order mark, encoding.

Bytes that are not in the encoding pass through unchanged.
"""

import codecs
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LOOKED_AT = 8000
_ERRORS = {"utf-8": "surrogateescape"}


class Line(NamedTuple):
    """One line; `end` is `\\n`, `\\r\\n`, or empty for a last line without one."""

    text: str
    end: str


class Content(NamedTuple):
    """The lines of a text file."""

    lines: tuple[Line, ...]
    bom: bytes = b""
    encoding: str = "utf-8"

    @property
    def texts(self) -> list[str]:
        """The lines without their ends."""
        return [line.text for line in self.lines]

    @property
    def text(self) -> str:
        """The whole with every end of a line written as `\\n`."""
        return "".join(line.text + ("\n" if line.end else "") for line in self.lines)

    @property
    def end(self) -> str:
        """How lines end here, for the most part."""
        counted = Counter(line.end for line in self.lines if line.end)
        return counted.most_common(1)[0][0] if counted else "\n"

    def data(self) -> bytes:
        """The bytes of the file.

        Raises:
            UnicodeEncodeError: a line has what the encoding cannot say.
        """
        whole = "".join(line.text + line.end for line in self.lines)
        return self.bom + whole.encode(self.encoding, _ERRORS.get(self.encoding, "strict"))

    def joined(self, lines: Sequence[Line | str]) -> "Content":
        """Content of the same kind with other lines: new ones end as the others, a last one as the last."""
        if not lines:
            return self._replace(lines=())
        end = self.end
        last_end = self.lines[-1].end if self.lines else end
        made = [line if isinstance(line, Line) else Line(line, end) for line in lines]
        made = [line if line.end else Line(line.text, end) for line in made[:-1]] + [made[-1]]
        made[-1] = Line(made[-1].text, last_end and (made[-1].end or end))
        return self._replace(lines=tuple(made))

    def ended(self, newline: bool) -> "Content":
        """The same with a last line that ends, or does not."""
        if not self.lines:
            return self
        last = self.lines[-1]
        return self._replace(
            lines=(*self.lines[:-1], Line(last.text, (last.end or self.end) if newline else ""))
        )


def read(data: bytes) -> Content | None:
    """The content of a file; nothing when it is not text."""
    bom, encoding = next(((bom, name) for bom, name in _BOMS if data.startswith(bom)), (b"", "utf-8"))
    if encoding == "utf-8" and b"\0" in data[:_LOOKED_AT]:
        return None
    try:
        whole = data[len(bom) :].decode(encoding, _ERRORS.get(encoding, "strict"))
    except UnicodeDecodeError:
        return None
    return Content(split(whole), bom, encoding)


def split(text: str) -> tuple[Line, ...]:
    """A text as lines."""
    parts = text.split("\n")
    last = parts.pop()
    lines = [Line(part[:-1], "\r\n") if part.endswith("\r") else Line(part, "\n") for part in parts]
    return tuple([*lines, Line(last, "")] if last else lines)
