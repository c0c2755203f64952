"""Lines as a model was shown them, with `***` in place of secrets: the mask is never written back."""

import re
from collections.abc import Container, Sequence

from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.edits.edit import EditRejectedError

MASK = "***"
_VALUE = re.compile(r"""([\w.-]+)["']?\s*[:=]\s*["']?\*{3}["']?[,;]?\s*(?:[#/].*)?$""")
_LOGIN = re.compile(r"://[^\s/:@]*:\*{3}@")
_NAME_BEFORE = re.compile(r"""([\w-]+["']?\s*[:=>]\s*["']?)\*{3}(?!\*)""")


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
    if not suspects or not texts:  # a new file has no value that could be lost
        return
    shown = masked_lines(path, texts)
    holes = [mask.strip() for mask, text in zip(shown, texts, strict=True) if mask != text]
    for line in suspects:
        if _stands_for_value(line.strip(), holes) or _replaces_value(line, texts):
            message = f"{line.strip()[:80]!r} has *** in place of a value that was not shown"
            fix = "leave the line as it is: edit the lines around it with search-replace blocks"
            raise EditRejectedError("elided", message, fix)


def _stands_for_value(line: str, holes: Sequence[str]) -> bool:
    if any(
        hole in line or (hole.partition(MASK)[0] and line.startswith(hole.partition(MASK)[0]))
        for hole in holes
    ):
        return True
    return bool(holes and (_VALUE.search(line) or _LOGIN.search(line)))


def _replaces_value(line: str, texts: Sequence[str]) -> bool:
    """Return whether the file has another value behind the name that stands before the mask."""
    name = _NAME_BEFORE.search(line)
    if name is None:
        return False
    wanted = re.compile(re.escape(name[1].rstrip("\"'")) + r"[\"']?(?!\s*[\"']?\*{3})[^\s\"'<]")
    return any(wanted.search(text) for text in texts)
