"""Lines that stand for code which a model did not write: "rest unchanged" in its many spellings."""

import re

_LONGEST = 300
_MARK = r"(?:#|//|--|;|%|\*|/\*+|<!--|\{/\*) ?[\[(<{]? ?"
_DOTS = r"(?:\.\.\.|…)"
_WORDS = r"(?:rest|existing|unchanged|remain\w*|same|previous|other|omitted|original|continues?|keep|here)"
_WHAT = (
    r"(?:code|file|class|function|method|template|script|module|body|lines|implementation|imports|tests)"
)
_ALL = r"(?:the |all |your )?"
_LEFT = r"(?:unchanged|same|as before|here|omitted)"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_MARK}{_DOTS}[\W_]*(?:\w+[\W_]+){{0,6}}?{_WORDS}\b",
        rf"{_DOTS}[\W_]+(?:\w+[\W_]+){{0,6}}?{_WORDS}\b",
        rf"{_MARK}(?:the )?(?:rest|remainder|remaining)\b.*\b{_LEFT}\b",
        rf"{_MARK}(?:the )?(?:rest|remainder) of (?:the |your )?{_WHAT}\b[\W_]*$",
        rf"{_MARK}{_ALL}(?:unchanged|existing|previous|omitted) {_WHAT}\b[\W_]*(?:{_LEFT}[\W_]*)?$",
        rf"{_MARK}{_ALL}(?:other|remaining|existing) (?:\w+ ){{1,3}}?(?:remain|stay|are|is|as) ?{_LEFT}\b",
        rf"{_MARK}(?:the )?{_WHAT} (?:is |are |stays? |remains? )?(?:unchanged|omitted)\b[\W_]*$",
    )
)
_ELISION = re.compile(rf"(?:#|//|--|/\*|<!--)? ?{_DOTS} ?(?:\*/|-->)?$")


def stands_for_others(line: str) -> bool:
    """Whether a line says that other lines were left out."""
    text = " ".join(line[:_LONGEST].split())
    return any(each.match(text) for each in _PATTERNS)


def is_elision(line: str) -> bool:
    """Whether a line is three dots and nothing else."""
    return _ELISION.match(" ".join(line[:_LONGEST].split())) is not None
