"""Places where a few context lines differ from the file: typing errors, and lines that changed meanwhile.

A line that names or decides may not differ. With another name, the edit was made for a sibling.
"""

import re
from collections import Counter
from difflib import SequenceMatcher

from prunejuice.edits.edit import Edit
from prunejuice.edits.line_keys import edit_opcodes, is_significant, keys_of_lines, spaceless_key
from prunejuice.edits.line_search import _MAX_COMPARED_CHARS, Texts

_MIN_RATIO = 0.6  # similarity of a context line that differs from the file
_MIN_RATIO_BESIDE_INSERT = 0.85  # the same for a line next to inserted lines
_MAX_DIFFERING_LINES = 2

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\dA-Za-z]+")
_FEWEST_LETTERS = 4  # of a part of a word that may be mistyped
_DEFINES = frozenset({
    "class",
    "def",
    "fn",
    "func",
    "function",
    "fun",
    "sub",
    "proc",
    "procedure",
    "method",
    "interface",
    "struct",
    "enum",
    "trait",
    "impl",
    "union",
    "record",
    "protocol",
    "extension",
    "object",
    "module",
    "mod",
    "namespace",
    "package",
    "typedef",
    "macro",
    "define",
    "defmodule",
    "defp",
    "defmacro",
    "constructor",
    "signature",
    "theorem",
    "lemma",
    "instance",
    "newtype",
    "data",
    "resource",
    "provider",
    "variable",
    "output",
    "rule",
    "target",
    "table",
    "view",
    "index",
    "trigger",
    "sequence",
    "schema",
    "database",
    "constraint",
    "column",
})  # fmt: skip
_DECIDES = frozenset({
    "if",
    "elif",
    "elsif",
    "elseif",
    "else",
    "unless",
    "while",
    "until",
    "for",
    "foreach",
    "loop",
    "switch",
    "case",
    "when",
    "match",
    "guard",
    "assert",
    "catch",
    "except",
    "rescue",
    "ensure",
    "where",
    "having",
    "and",
    "or",
    "on",
    "using",
    "from",
    "into",
    "update",
    "insert",
    "delete",
    "join",
    "set",
    "limit",
    "order",
    "group",
    "alter",
    "drop",
    "create",
    "truncate",
    "merge",
    "import",
    "include",
    "require",
    "use",
})  # fmt: skip
_TITLES = re.compile(
    r"(?:it|test|describe|context|suite|scenario|feature|bench|t\.run|b\.run)\b", re.IGNORECASE
)
_MARKUP = re.compile(
    r"(?:#{1,6} |\[\[?[^\]]+\]\]?\s*$|<[A-Za-z/!]|@[\w.]+|=+ |\.[\w-]+\s*[{,]|#[\w-]+\s*[{,])"
)
_KEY = re.compile(
    r"""(?:-\s+)?(?:(?:export|const|let|var|val|final|static|local|readonly|auto|mut|type)\s+)*
    (?:["']([^"']+)["']|([\w.$/@-]+))(?:\s*:\s*[\w\[\]., |]+)?\s*(?:[:+*/|&-]?=(?![=>])|:(?!=)|=>)""",
    re.VERBOSE,
)
_IDENTITIES = frozenset({
    "name",
    "id",
    "key",
    "title",
    "label",
    "slug",
    "path",
    "file",
    "filename",
    "url",
    "uri",
    "host",
    "hostname",
    "image",
    "tag",
    "ref",
})  # fmt: skip
_NEGATIONS = re.compile(
    r"\bnot\b|\bno\b|\bnever\b|\bis\b|\bin\b|n't\b|!=?=?|==+|[<>]=?|&&|\|\||\btrue\b|\bfalse\b"
    r"|\bnull\b|\bnone\b|\bnil\b|\breturn\b|\bthrow\b|\braise\b|\bbreak\b|\bcontinue\b",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_QUOTED = re.compile(r"""(["'`])(.*?)\1""")
_SIGNATURE = re.compile(r"#\[|(?:[\w:<>,*&~]+\s+)+[*&]?\w[\w:~]*\s*\([^;]*\)?[\w\s]*$")
"""An attribute, or the head of a function whose body begins on the next line."""
_OPENERS = ("{", ":", "(", "[", "=>", "->", " do", " then", "=", "begin")


def drifted_starts(texts: Texts, edit: Edit) -> list[int]:
    """Return the first lines (from 0) of places where at most two context lines differ.

    The changed lines are equal, and no line that names or decides differs.
    """
    search_keys = [spaceless_key(text) for text in edit.search]
    if len(search_keys) < 3 or not is_significant(edit.search):
        return []
    keys = keys_of_lines(tuple(texts), spaceless_key)
    changed, adjacent = _changed_and_adjacent_lines(edit)
    return [
        start
        for start in _drift_candidates(keys, search_keys)
        if _is_close_match(keys, search_keys, start, changed, adjacent)
        and not _differs_where_it_matters(texts, edit.search, start)
    ]


def _differs_where_it_matters(texts: Texts, search: Texts, start: int) -> bool:
    differing = [
        (searched, found)
        for searched, found in zip(search, texts[start : start + len(search)], strict=True)
        if spaceless_key(searched) != spaceless_key(found)
    ]
    known = {word for text in texts for word in _WORD.findall(text)} if differing else set()
    wanted = {word for text in search for word in _WORD.findall(text)}
    return any(
        _may_not_differ(searched, found) and not _is_typing_error(searched, found, known, wanted)
        for searched, found in differing
    )


def _may_not_differ(searched: str, found: str) -> bool:
    """Return whether one of two differing lines names something, decides something, or opens a block."""
    left, right = searched.strip(), found.strip()
    if _signs(left) != _signs(right) or _rest(left) != _rest(right):
        return True
    if _DIGITS.findall(left) != _DIGITS.findall(right) or _QUOTED.findall(left) != _QUOTED.findall(right):
        return True
    return any(_names_or_decides(line) for line in (left, right)) or _key(left) != _key(right)


def _is_typing_error(searched: str, found: str, known: set[str], wanted: set[str]) -> bool:
    """Return whether one word is the other with a letter dropped, doubled or swapped inside it.

    `known` are the words of the file, and `wanted` those of the edit: a word that either uses besides is no
    error but another name. So is a word with another end or digit, such as a plural.
    """
    left, right = _WORD.findall(searched), _WORD.findall(found)
    pairs = [(one, other) for one, other in zip(left, right, strict=False) if one != other]
    if len(left) != len(right) or len(pairs) != 1 or _rest(searched) != _rest(found):
        return False
    one, other = pairs[0]
    return (one not in known or other not in wanted) and _is_mistyped(one, other)


def _is_mistyped(one: str, other: str) -> bool:
    parts = [(a, b) for a, b in zip(_PART.findall(one), _PART.findall(other), strict=False) if a != b]
    if len(_PART.findall(one)) != len(_PART.findall(other)) or len(parts) != 1:
        return False
    shorter, longer = sorted(parts[0], key=len)
    if not (shorter.isalpha() and longer.isalpha() and len(longer) >= _FEWEST_LETTERS):
        return False
    if len(shorter) == len(longer):
        at = next(n for n, letter in enumerate(shorter) if longer[n] != letter)
        return bool(shorter[:at] + shorter[at : at + 2][::-1] + shorter[at + 2 :] == longer)
    return any(longer[:n] + longer[n + 1 :] == shorter for n in range(1, len(longer) - 1))


def _rest(line: str) -> str:
    return "".join(_WORD.sub("", line).split())


def _names_or_decides(line: str) -> bool:
    words = [word.lower() for word in _WORD.findall(line)[:4]]
    first = words[0] if words else ""
    return bool(
        first in _DECIDES
        or _DEFINES & {*words}
        or _TITLES.match(line)
        or _MARKUP.match(line)
        or _SIGNATURE.match(line)
        or line.endswith(_OPENERS)
        or _key(line).lower() in _IDENTITIES
    )


def _key(line: str) -> str:
    """Return the name that a line assigns to; empty without one."""
    match = _KEY.match(line)
    return (match[1] or match[2]) if match else ""


def _signs(line: str) -> Counter[str]:
    """Return the words and signs of a line that turn its meaning round."""
    return Counter(sign.lower() for sign in _NEGATIONS.findall(line))


def _drift_candidates(keys: Texts, search_keys: Texts) -> list[int]:
    """Return the start lines at which enough lines of `search_keys` equal those of the file."""
    positions: dict[str, list[int]] = {}
    for line, key in enumerate(keys):
        positions.setdefault(key, []).append(line)
    counts: dict[int, int] = {}
    for offset, key in enumerate(search_keys):
        for line in positions.get(key, ()):
            counts[line - offset] = counts.get(line - offset, 0) + 1
    min_equal = max(2, len(search_keys) - _MAX_DIFFERING_LINES)
    return [
        start
        for start, count in counts.items()
        if count >= min_equal and 0 <= start <= len(keys) - len(search_keys)
    ]


def _changed_and_adjacent_lines(edit: Edit) -> tuple[set[int], set[int]]:
    """Return the indices in `search` of removed lines, and of the lines next to an insertion."""
    changed: set[int] = set()
    adjacent: set[int] = set()
    for tag, start, end, _, _ in edit_opcodes(edit, str.rstrip):
        if tag in {"replace", "delete"}:
            changed.update(range(start, end))
        if tag == "insert":
            adjacent.update({start - 1, start} & set(range(len(edit.search))))
    return changed, adjacent - changed


def _is_unique_elsewhere(keys: Texts, key: str) -> bool:
    """Return whether a differing line occurs once elsewhere, so that place may be the intended one."""
    return is_significant([key]) and keys.count(key) == 1


def _is_close_match(
    keys: Texts, search_keys: Texts, start: int, changed: set[int], adjacent: set[int]
) -> bool:
    differing = [n for n, key in enumerate(search_keys) if keys[start + n] != key]
    if (
        len(differing) > _MAX_DIFFERING_LINES
        or changed & set(differing)
        or len(differing) * 2 >= len([key for key in search_keys if key])
    ):
        return False
    if adjacent & set(differing) and (len(differing) > 1 or not adjacent - set(differing)):
        return False
    if any(
        len(keys[start + n]) > _MAX_COMPARED_CHARS or _is_unique_elsewhere(keys, search_keys[n])
        for n in differing
    ):
        return False
    ratios = {
        n: SequenceMatcher(None, keys[start + n], search_keys[n], autojunk=False).ratio() for n in differing
    }
    return all(
        ratio >= (_MIN_RATIO_BESIDE_INSERT if n in adjacent else _MIN_RATIO) for n, ratio in ratios.items()
    )
