"""A source file as what it says of itself: its purpose, its definitions, what it imports and calls."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from prunejuice import grammar
from prunejuice.part import Definition, lines

VERSION = 1
"""Of what is read out of a file; another version is read again."""
_SENTENCE = 240
_MOST_CALLS = 40
Kind = Literal["class", "function", "interface"]


class Member(NamedTuple):
    """A definition: `name` with those around it, `doc` its first sentence, `calls` by their last names.

    `bases` are what it derives from, `marks` what decorates it.
    """

    name: str
    kind: Kind
    line: int
    doc: str
    public: bool
    calls: tuple[str, ...]
    bases: tuple[str, ...]
    marks: tuple[str, ...]


class Outline(NamedTuple):
    """A content. `entry` is how it is started, empty where it is not; `links` as they are written."""

    language: str
    size: int
    doc: str
    entry: str
    members: tuple[Member, ...]
    links: tuple[str, ...]


def outline(language: str, data: bytes) -> Outline:
    """What a content says of itself."""
    text = data.decode("utf-8", "replace")
    rows = lines(text)
    flat = list(_flat(grammar.definitions(language, data), "", 0))
    calls = _calls(language, data, [named.definition for named in flat])
    members = tuple(
        _member(language, rows, named, calls.get(number, ()))
        for number, named in enumerate(flat)
        if named.definition.kind in {"class", "function"}
    )
    entry = _entry(language, text, members)
    return Outline(
        language,
        len(rows),
        _purpose(language, rows),
        entry,
        members,
        _links(language, text),
    )


def _links(language: str, text: str) -> tuple[str, ...]:
    """What is imported: of Python, with the names out of each module, which may be modules too."""
    if language != "python":
        return tuple(grammar.links(language, text))
    found: dict[str, None] = {}
    for module, names, plain in _IMPORT.findall(_STRINGS.sub("", text)):
        if plain and not _PLAIN.fullmatch(plain.strip()):
            continue
        for name in re.split(r"[,\s()]+", re.sub(r"#.*|\bas\s+\w+|\\\n", "", names or plain)):
            if name:
                joined = name if plain else f"{module}{'' if module.endswith('.') else '.'}{name}"
                found[joined.removesuffix(".*")] = None
    return tuple(found)[:_MOST_LINKS]


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)|import[ \t]+([^\n]+))", re.M
)
_STRINGS = re.compile(r"(\"{3}|'{3}).*?\1", re.S)
_PLAIN = re.compile(r"[\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*\s*(?:[#;].*)?\\?")
_MOST_LINKS = 300


class _Named(NamedTuple):
    """A definition with its whole name; `alone` when no other begins on its line before it."""

    name: str
    definition: Definition
    alone: bool


def _flat(definitions: Sequence[Definition], outer: str, line: int) -> Iterator[_Named]:
    for definition in definitions:
        name = f"{outer}.{definition.name}" if outer else definition.name
        yield _Named(name, definition, definition.first != line)
        line = definition.first
        yield from _flat(definition.within, name, line)


def _member(language: str, rows: Sequence[str], named: _Named, calls: tuple[str, ...]) -> Member:
    definition = named.definition
    head = "".join(rows[definition.first - 1 : definition.head])
    bases = _bases(language, head) if definition.kind == "class" else ()
    kind: Kind = "class" if definition.kind == "class" else "function"
    if kind == "class" and (_INTERFACE.search(head) or {"Protocol", "ABC"} & set(bases)):
        kind = "interface"
    marks = tuple(dict.fromkeys(match[1] for match in _MARK.finditer(head)))
    doc = _docstring(rows, definition.head) if language == "python" else ""
    doc = doc or (_above(rows, definition.first) if named.alone else "")
    public = _public(language, named.name, head)
    return Member(named.name, kind, definition.first, doc, public, calls, bases, marks)


_INTERFACE = re.compile(
    r"^\s*(?:export |public |pub |abstract |unsafe )*(?:interface|trait)\b|\binterface\s*\{", re.M
)
_MARK = re.compile(r"^[ \t]*@([\w.]+)", re.M)


# -- what is written about a definition -------------------------------------------------------------


_REST = re.compile(
    r"\n\s*\n|\s@(?:param|return|throws|see)\b|\n\s*(?:@\w+|:\w+|\\\w+|Args:|Returns:|Parameters\b)"
)
"""Where a description ends and the particulars begin."""


def sentence(text: str) -> str:
    """The first sentence of a text, on one line."""
    paragraph = _REST.split(text.strip(), maxsplit=1)[0]
    line = " ".join(re.sub(r"</?\w+[^>\n]{0,80}>", "", paragraph).split())
    end = re.search(r"(?<![A-Z\s.])(?<!e\.g)(?<!i\.e)[.!?](?=\s+[A-Z`])", line)
    line = line[: end.end()] if end else line
    if len(line) > _SENTENCE:
        line = line[:_SENTENCE].rpartition(" ")[0] + " …"
    return line


def _docstring(rows: Sequence[str], after: int) -> str:
    found = _STRING.match("".join(rows[after : after + 40]))
    return sentence(found[2]) if found else ""


_STRING = re.compile(r"""\s*(?:[rRuU]{0,2})(\"""|'''|"|')(.*?)(?:\1|\Z)""", re.DOTALL)
_COMMENT = re.compile(r"^\s*(?://[/!]?|/\*+!?|\*+/?|#+!?(?!\[|\w+\s*<)|--|;+)\s?")
_BETWEEN = ("#[", "@", "[")


def _above(rows: Sequence[str], first: int) -> str:
    """The comment right above a line."""
    found: list[str] = []
    number = first - 1
    while number > 0:
        row = rows[number - 1]
        if row.lstrip().startswith(_BETWEEN) and not found:
            number -= 1
            continue
        if not _COMMENT.match(row):
            break
        found.insert(0, _bare(row))
        number -= 1
    return sentence("\n".join(found)) if found else ""


def _bare(row: str) -> str:
    return re.sub(r"\s*\*+/\s*$", "", _COMMENT.sub("", row, count=1)).strip()


def _purpose(language: str, rows: Sequence[str]) -> str:
    """What a content says that it is for, before anything else."""
    if not language:
        return _first_paragraph(rows)
    if language == "python":
        start = next(
            (n for n, row in enumerate(rows) if row.strip() and not row.lstrip().startswith("#")), 0
        )
        return _docstring(rows, start)
    return _first_comment(rows[:80])


def _first_comment(rows: Sequence[str]) -> str:
    """The first comment that is about the code and not about who may copy it."""
    block: list[str] = []
    for row in rows:
        if row.startswith("#!"):
            continue
        if _COMMENT.match(row):
            block.append(_bare(row))
        elif row.strip() or (block and not _LICENCE.search("\n".join(block))):
            break
        else:
            block = []
    return "" if _LICENCE.search("\n".join(block)) else sentence("\n".join(block))


_LICENCE = re.compile(r"copyright|licen[sc]e|SPDX|all rights|eslint-|@ts-|prettier-", re.I)


def _first_paragraph(rows: Sequence[str]) -> str:
    """The first sentence of a text for people: no heading, badge, list or table."""
    text = re.sub(
        r"<!--.*?-->|<(?:h\d|table|details)\b.*?</(?:h\d|table|details)>",
        "",
        "".join(rows[:150]),
        flags=re.S,
    )
    text = re.sub(r"</p>|<br ?/?>", "\n\n", text)
    for paragraph in re.split(r"\n\s*\n", text):
        bare = re.sub(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])|<[^>]+>", "", paragraph)
        bare = re.sub(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", bare).strip().strip("*_> ")
        if bare[:1].isalnum() and len(bare.split()) > 4 and not re.search(r"^[=\-~^]{3,}$", bare, re.M):
            return sentence(re.sub(r"\*\*|__", "", bare))
    return ""


# -- what a definition is ---------------------------------------------------------------------------


def _bases(language: str, head: str) -> tuple[str, ...]:
    pattern = _BASES.get(language)
    found = pattern.search(head) if pattern else None
    if found is None:
        return ()
    text = next((group for group in found.groups() if group), "")
    names = re.split(
        r",|\bimplements\b|\bwith\b", re.sub(r"\[[^\]]*\]|<[^>]*>|\b\w+\s*=\s*[\w.]+", "", text)
    )
    return tuple(last for name in names if (last := name.strip().rpartition(".")[2]).isidentifier())


_EXTENDS = re.compile(r"\b(?:extends|implements)\s+([^{]+)")
_BASES = {
    "python": re.compile(r"^\s*class\s+\w+(?:\[[^\]]*\])?\s*\(([^)]*)\)", re.M),
    "javascript": _EXTENDS,
    "typescript": _EXTENDS,
    "tsx": _EXTENDS,
    "java": _EXTENDS,
    "php": _EXTENDS,
    "ruby": re.compile(r"^\s*class\s+\w+\s*<\s*([\w:]+)", re.M),
    "c_sharp": re.compile(r"\b(?:class|interface|struct|record)\s+\w+(?:<[^>]*>)?\s*:\s*([^{]+)"),
    "cpp": re.compile(r"\b(?:class|struct)\s+\w+\s*:\s*(?:public|private|protected)?\s*([^{]+)"),
    "rust": re.compile(r"^\s*(?:unsafe )?impl(?:<[^>]*>)?\s+([\w:]+)(?:<[^>]*>)?\s+for\b", re.M),
}


def _public(language: str, name: str, head: str) -> bool:
    own = name.rpartition(".")[2]
    if language == "python":
        return not any(piece.startswith("_") and not piece.endswith("__") for piece in name.split("."))
    if language == "go":
        return own[:1].isupper()
    if language == "rust":
        return bool(re.search(r"\bpub\b|\bimpl\b", head))
    if language in {"javascript", "typescript", "tsx"}:
        return "." in name or bool(re.search(r"\bexport\b|\bclass\b", head))
    return not re.search(r"\b(?:private|static inline)\b", head) and not own.startswith("_")


def _entry(language: str, text: str, members: Sequence[Member]) -> str:
    pattern = _ENTRIES.get(language)
    if pattern and (found := pattern.search(text)):
        return " ".join(found.group().split())
    if language == "go" and re.search(r"^package main\b", text, re.M):
        return "func main()" if any(member.name == "main" for member in members) else ""
    return text.split("\n", 1)[0] if text.startswith("#!") else ""


_ENTRIES = {
    "python": re.compile(r"^if __name__ == [\"']__main__[\"']", re.M),
    "rust": re.compile(r"^(?:pub )?(?:async )?fn main\(\)", re.M),
    "java": re.compile(r"public static void main\("),
    "c_sharp": re.compile(r"static (?:async )?(?:void|int|Task(?:<int>)?) Main\("),
    "c": re.compile(r"^(?:int|void)\s+main\s*\([^)]*\)", re.M),
    "cpp": re.compile(r"^(?:int|void)\s+main\s*\([^)]*\)", re.M),
}


# -- what a definition calls ------------------------------------------------------------------------


def _calls(language: str, data: bytes, within: Sequence[Definition]) -> Mapping[int, tuple[str, ...]]:
    """The names that each definition calls, those of the definitions inside it not among them."""
    query, parser = _query(language), grammar.parser(language)
    if query is None or parser is None or not within:
        return {}
    firsts = [definition.first for definition in within]
    found: dict[int, dict[str, None]] = {}
    nodes = query(parser.parse(data).root_node)
    for node in sorted(nodes, key=lambda node: node.start_byte):
        line = node.start_point[0] + 1
        owner = bisect_right(firsts, line) - 1
        while owner >= 0 and within[owner].last < line:
            owner -= 1
        name = re.search(rb"([A-Za-z_$][\w$]*)[^\w$]*$", node.text[-200:])
        if owner >= 0 and name and len(names := found.setdefault(owner, {})) < _MOST_CALLS:
            names[name[1].decode()] = None
    return {owner: tuple(names) for owner, names in found.items()}


_CALL = "(call_expression function: (_) @called)"
_QUERIES = {
    "python": "(call function: (_) @called)",
    "javascript": f"{_CALL} (new_expression constructor: (_) @called)",
    "typescript": f"{_CALL} (new_expression constructor: (_) @called)",
    "tsx": f"{_CALL} (new_expression constructor: (_) @called)",
    "go": _CALL,
    "rust": _CALL,
    "c": _CALL,
    "cpp": _CALL,
    "java": "(method_invocation name: (_) @called) (object_creation_expression type: (_) @called)",
    "ruby": "(call method: (_) @called)",
    "c_sharp": (
        "(invocation_expression function: (_) @called) (object_creation_expression type: (_) @called)"
    ),
    "php": (
        "(function_call_expression function: (_) @called) (member_call_expression name: (_) @called) "
        "(scoped_call_expression name: (_) @called)"
    ),
    "bash": "(command name: (_) @called)",
}


@cache
def _query(language: str) -> Any:
    """A function from a tree to the nodes that name what is called; None where nobody knows."""
    parser = grammar.parser(language)
    if parser is None or language not in _QUERIES:
        return None
    import tree_sitter  # noqa: PLC0415 - only with a grammar

    query = tree_sitter.Query(parser.language, _QUERIES[language])
    return lambda root: tree_sitter.QueryCursor(query).captures(root).get("called", [])
