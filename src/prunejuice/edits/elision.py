"""Detection of placeholder lines that a model writes instead of code, such as "# ... rest unchanged"."""

import re

_MAX_COMPARED_CHARS = 300
_MARK = r"(?:#|//|--|;|%|\*|/\*+|<!--|\{/\*) ?[\[(<{]? ?"
_DOTS = r"(?:\.\.\.|…)"
_WORDS = r"(?:rest|existing|unchanged|remain\w*|same|previous|other|omitted|original|continues?|keep|here)"
_UNIT = (
    r"(?:code|file|class|function|method|template|script|module|body|lines|implementation|imports|tests)"
)
_THE = r"(?:the |all |your )?"
_LEFT = r"(?:unchanged|same|as before|here|omitted)"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_MARK}{_DOTS}[\W_]*(?:\w+[\W_]+){{0,6}}?{_WORDS}\b",
        rf"{_DOTS}[\W_]+(?:\w+[\W_]+){{0,6}}?{_WORDS}\b",
        rf"{_MARK}(?:the )?(?:rest|remainder|remaining)\b.*\b{_LEFT}\b",
        rf"{_MARK}(?:the )?(?:rest|remainder) of (?:the |your )?{_UNIT}\b[\W_]*$",
        rf"{_MARK}{_THE}(?:unchanged|existing|previous|omitted) {_UNIT}\b[\W_]*(?:{_LEFT}[\W_]*)?$",
        rf"{_MARK}{_THE}(?:other|remaining|existing) (?:\w+ ){{1,3}}?(?:remain|stay|are|is|as) ?{_LEFT}\b",
        rf"{_MARK}(?:the )?{_UNIT} (?:is |are |stays? |remains? )?(?:unchanged|omitted)\b[\W_]*$",
    )
)
_ELISION = re.compile(rf"(?:#|//|--|/\*|<!--)? ?{_DOTS} ?(?:\*/|-->)?$")


def is_omission_comment(line: str) -> bool:
    """Return whether a line is a comment that stands for omitted code."""
    text = " ".join(line[:_MAX_COMPARED_CHARS].split())
    return any(pattern.match(text) for pattern in _PATTERNS)


def is_elision(line: str) -> bool:
    """Return whether a line contains only an ellipsis, alone or in a comment."""
    return _ELISION.match(" ".join(line[:_MAX_COMPARED_CHARS].split())) is not None
