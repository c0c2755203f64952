"""Detection of placeholder lines that a model writes instead of code, such as "# ... rest unchanged"."""

import re
from collections.abc import Container, Sequence

from prunejuice.code.notebook import CUT_VALUE

_MAX_COMPARED_CHARS = 300
_COMMENT = (
    r"(?:#+|/{2,}|--|;+|%+|\*|/\*+|<!--|\{/\*|\{#|\{\{!(?:--)?|<%[#-]*|\(\*|REM\b|@\*"
    r"|'(?!.*'$)|\"(?!.*\"$))"
)
"""The beginning of a comment; `'` and `"` only where no string ends."""
_MARK = rf"{_COMMENT} ?(?:TODO:? ?)?[\[(<{{]? ?"
_DOTS = r"(?:\.\.\.|…)"
_WORDS = r"(?:rest|existing|unchanged|remain\w*|same|previous|other|omitted|original|continues?|keep|here)"
_UNIT = (
    r"(?:code|file|class|function|method|template|script|module|body|lines|implementation|imports|tests)"
)
_THE = r"(?:the |all |your )?"
_LEFT = r"(?:unchanged|same|as before|here|omitted|goes here|follows|below)"
_AS_IS = r"(?:below|above|as is|as it is|unchanged|the same)"
_CUT = r"(?:omitted|truncated|elided|skipped|shortened|abbreviated|removed|left out|hidden)"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_MARK}{_DOTS}[\W_]*(?:\w+[\W_]+){{0,6}}?{_WORDS}\b",
        rf"{_DOTS}[\W_]+(?:\w+[\W_]+){{0,6}}?{_WORDS}\b",
        rf"{_MARK}(?:the )?(?:rest|remainder|remaining)\b.*\b(?:unchanged|same|as before|omitted)\b[\W_]*$",
        rf"{_MARK}[\[(<{{] ?(?:\w+[ _]+){{0,4}}?(?:{_WORDS}|more|snip\w*)\b[^\])>}}]*[\])>}}][\W_]*$",
        rf"{_MARK}(?:snip(?:ped)?|etc|and so on|{_WORDS} (?:of |the )*{_UNIT}s?)[\W_]*(?:{_LEFT})?[\W_]*$",
        rf"{_MARK}{_THE}(?:other|rest|remaining|existing|previous) (?:\w+ ){{0,2}}?{_UNIT}s?"
        rf"[\W_]*(?:{_LEFT})?[\W_]*$",
        rf"{_MARK}(?:same as before|as before|unchanged)[\W_]*$",
        rf"{_MARK}(?:the )?(?:rest|remainder) of (?:the |your )?{_UNIT}\b[\W_]*(?:{_LEFT})?[\W_]*$",
        rf"{_MARK}(?:\w+ ){{0,4}}?{_CUT}(?: \w+){{0,2}} for (?:brevity|clarity|space|readability|length)\b",
        rf"{_MARK}(?:no|without) (?:\w+ )?changes?(?: (?:below|above|here|after|beyond|needed))?[\W_]*$",
        rf"{_MARK}(?:keep|leave|retain) (?:everything|all|the rest)(?: else)?(?: {_AS_IS})?[\W_]*$",
        r"[\[(<](?:the )?(?:rest|remainder) of (?:the |this |your )?\w+(?: \w+){0,3}[\])>][\W_]*$",
        rf"{_MARK}{_THE}(?:unchanged|existing|previous|omitted) {_UNIT}\b[\W_]*(?:{_LEFT}[\W_]*)?$",
        rf"{_MARK}{_THE}(?:other|remaining|existing) (?:\w+ ){{1,3}}?(?:remain|stay|are|is|as) ?{_LEFT}\b",
        rf"{_MARK}(?:the )?{_UNIT} (?:is |are |stays? |remains? )?(?:unchanged|omitted)\b[\W_]*$",
    )
)
_BARE = rf"[\[(<{{]? ?(?:{_DOTS}|\. \. \.|-+ ?(?:8<|snip) ?-+) ?[\])>}}]?"
_ELISION = re.compile(rf"(?:{_MARK})?{_BARE} ?(?:\*/|-->|\*/\}}|#\}}|%>|\*\)|(?:--)?\}}\}})?$")


def is_omission_comment(line: str) -> bool:
    """Return whether a line is a comment that stands for omitted code."""
    text = " ".join(line[:_MAX_COMPARED_CHARS].split())
    return bool(CUT_VALUE.search(text)) or any(pattern.match(text) for pattern in _PATTERNS)


def find_placeholder(lines: Sequence[str], known: Container[str]) -> str:
    """Return the first line that stands for omitted lines, and is none of the `known` ones; or ""."""
    for number, line in enumerate(lines):
        if line.strip() in known or not (is_omission_comment(line) or is_elision(line)):
            continue
        if line.strip() != "..." or not _is_empty_body(lines, number, known):
            return line.strip()
    return ""


def _is_empty_body(lines: Sequence[str], number: int, known: Container[str]) -> bool:
    """Return whether `...` is the body of a new Python definition, or the end of a YAML document."""
    lead = len(lines[number]) - len(lines[number].lstrip())
    if not lead:
        return number > 0 and lines[0].strip() == "---"
    head = next(
        (
            line
            for line in reversed(lines[:number])
            if line.strip() and len(line) - len(line.lstrip()) < lead
        ),
        "",
    )
    between = [line for line in lines[lines.index(head) + 1 : number] if line.strip()] if head else []
    is_alone = all(line.strip().startswith(('"""', "'''", "@")) for line in between[-1:])
    return head.rstrip().endswith((":", ")")) and head.strip() not in known and is_alone


def is_elision(line: str) -> bool:
    """Return whether a line contains only an ellipsis, alone or in a comment."""
    return _ELISION.match(" ".join(line[:_MAX_COMPARED_CHARS].split())) is not None
