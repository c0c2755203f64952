"""Lines as a model was shown them, with `***` in place of secrets: the mask is never written back."""

import re
from collections.abc import Container, Sequence

from prunejuice.code.secret_patterns import mask_secrets
from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.edit import EditRejectedError
from prunejuice.system.secret_forms import is_secret_name

MASK = "***"
_VALUE = re.compile(r"""([\w.-]+)["']?\s*[:=]\s*["']?\*{3}["']?[,;]?\s*(?:[#/].*)?$""")
_LOGIN = re.compile(r"://[^\s/:@]*:\*{3}@")
_PROSE = (".md", ".mdx", ".markdown", ".rst", ".txt", ".adoc")


def masked_lines(path: str, texts: Sequence[str]) -> list[str]:
    """Return the lines of a file as a context shows them."""
    return mask_secrets(path, "\n".join(texts)).split("\n") if texts else []


def has_mask(lines: Sequence[str]) -> bool:
    """Return whether a line may show a masked value."""
    return any(MASK in line for line in lines)


def refuse_masks(path: str, texts: Sequence[str], lines: Sequence[str], known: Container[str]) -> None:
    """Refuse new lines in which `***` stands for a value of the file.

    `texts` are the lines of the file now; `known` are lines that may stay as they are.

    Raises:
        EditRejectedError: The value that `***` stands for would be lost.
    """
    suspects = [line for line in lines if MASK in line and line.strip() not in known]
    if not suspects:
        return
    shown = masked_lines(path, texts)
    holes = [mask.strip() for mask, text in zip(shown, texts, strict=True) if mask != text]
    for line in suspects:
        if _stands_for_value(path, line.strip(), holes):
            message = f"{line.strip()[:80]!r} has *** in place of a value that was not shown"
            fix = "leave the line as it is: edit the lines around it with search-replace blocks"
            raise EditRejectedError("elided", message, fix)


def _stands_for_value(path: str, line: str, holes: Sequence[str]) -> bool:
    if any(
        hole in line or (hole.partition(MASK)[0] and line.startswith(hole.partition(MASK)[0]))
        for hole in holes
    ):
        return True
    value = _VALUE.search(line)
    if holes:
        return bool(value or _LOGIN.search(line))
    may_quote = path.endswith(_PROSE) or is_test_path(path)
    return bool(value and is_secret_name(value[1])) and not may_quote
