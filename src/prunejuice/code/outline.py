"""The outline of a source file: its summary, definitions, imports and calls."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from prunejuice.code import grammar
from prunejuice.code.chunk import Definition, split_lines

VERSION = 1
"""The version of the extracted data; data stored with another version is extracted again."""
_MAX_SENTENCE_CHARS = 240
_MAX_CALLS = 40
Kind = Literal["class", "function", "interface"]


class Member(NamedTuple):
    """A definition in a file.

    `name` is qualified by the enclosing definitions, `doc` is the first sentence of its documentation, and
    `calls` and `bases` are unqualified names.
    """

    name: str
    kind: Kind
    line: int
    doc: str
    public: bool
    calls: tuple[str, ...]
    bases: tuple[str, ...]
    decorators: tuple[str, ...]


class Outline(NamedTuple):
    """The outline of a file.

    `size` is in lines, `entry` is the code of the entry point (or empty), and `links` are the imports as
    written.
    """

    language: str
    size: int
    doc: str
    entry: str
    members: tuple[Member, ...]
    links: tuple[str, ...]


def outline(language: str, data: bytes) -> Outline:
    """Return the outline of a source file."""
    text = data.decode("utf-8", "replace")
    rows = split_lines(text)
    qualified = list(_qualified_definitions(grammar.definitions(language, data), "", 0))
    calls = _called_names(language, data, [named.definition for named in qualified])
    members = tuple(
        _member(language, rows, named, calls.get(number, ()))
        for number, named in enumerate(qualified)
        if named.definition.kind in {"class", "function"}
    )
    entry = _entry_point(language, text, members)
    return Outline(
        language,
        len(rows),
        _file_summary(language, rows),
        entry,
        members,
        _import_targets(language, text),
    )


def _import_targets(language: str, text: str) -> tuple[str, ...]:
    """Return the imports of a file.

    Python imports include the names from each module, because they may be modules too.
    """
    if language != "python":
        return tuple(grammar.import_targets(language, text))
    targets: dict[str, None] = {}
    for module, names, modules in _IMPORT.findall(_TRIPLE_QUOTED.sub("", text)):
        if modules and not _PLAIN_IMPORT.fullmatch(modules.strip()):
            continue
        for name in re.split(r"[,\s()]+", re.sub(r"#.*|\bas\s+\w+|\\\n", "", names or modules)):
            if name:
                target = name if modules else f"{module}{'' if module.endswith('.') else '.'}{name}"
                targets[target.removesuffix(".*")] = None
    return tuple(targets)[:_MAX_LINKS]


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)|import[ \t]+([^\n]+))", re.M
)
_TRIPLE_QUOTED = re.compile(r"(\"{3}|'{3}).*?\1", re.S)
_PLAIN_IMPORT = re.compile(r"[\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*\s*(?:[#;].*)?\\?")
_MAX_LINKS = 300


class _QualifiedDefinition(NamedTuple):
    """A definition and its qualified name; `starts_line` if no other definition starts on its line."""

    name: str
    definition: Definition
    starts_line: bool


def _qualified_definitions(
    definitions: Sequence[Definition], outer: str, line: int
) -> Iterator[_QualifiedDefinition]:
    for definition in definitions:
        name = f"{outer}.{definition.name}" if outer else definition.name
        yield _QualifiedDefinition(name, definition, definition.first != line)
        line = definition.first
        yield from _qualified_definitions(definition.children, name, line)


def _member(
    language: str, rows: Sequence[str], named: _QualifiedDefinition, calls: tuple[str, ...]
) -> Member:
    definition = named.definition
    head = "".join(rows[definition.first - 1 : definition.head])
    bases = _bases(language, head) if definition.kind == "class" else ()
    kind: Kind = "class" if definition.kind == "class" else "function"
    if kind == "class" and (_INTERFACE.search(head) or {"Protocol", "ABC"} & set(bases)):
        kind = "interface"
    decorators = tuple(dict.fromkeys(match[1] for match in _DECORATOR.finditer(head)))
    doc = _docstring(rows, definition.head) if language == "python" else ""
    doc = doc or (_comment_above(rows, definition.first) if named.starts_line else "")
    public = _is_public(language, named.name, head)
    return Member(named.name, kind, definition.first, doc, public, calls, bases, decorators)


_INTERFACE = re.compile(
    r"^\s*(?:export |public |pub |abstract |unsafe )*(?:interface|trait)\b|\binterface\s*\{", re.M
)
_DECORATOR = re.compile(r"^[ \t]*@([\w.]+)", re.M)


# -- documentation ----------------------------------------------------------------------------------


_DETAILS = re.compile(
    r"\n\s*\n|\s@(?:param|return|throws|see)\b|\n\s*(?:@\w+|:\w+|\\\w+|Args:|Returns:|Parameters\b)"
)
"""The end of a description, where parameters and other details start."""


def first_sentence(text: str) -> str:
    """Return the first sentence of a text on one line, shortened to 240 characters."""
    paragraph = _DETAILS.split(text.strip(), maxsplit=1)[0]
    line = " ".join(re.sub(r"</?\w+[^>\n]{0,80}>", "", paragraph).split())
    end = re.search(r"(?<![A-Z\s.])(?<!e\.g)(?<!i\.e)[.!?](?=\s+[A-Z`])", line)
    line = line[: end.end()] if end else line
    if len(line) > _MAX_SENTENCE_CHARS:
        line = line[:_MAX_SENTENCE_CHARS].rpartition(" ")[0] + " …"
    return line


def _docstring(rows: Sequence[str], after: int) -> str:
    match = _STRING_LITERAL.match("".join(rows[after : after + 40]))
    return first_sentence(match[2]) if match else ""


_STRING_LITERAL = re.compile(r"""\s*(?:[rRuU]{0,2})(\"""|'''|"|')(.*?)(?:\1|\Z)""", re.DOTALL)
_COMMENT = re.compile(r"^\s*(?://[/!]?|/\*+!?|\*+/?|#+!?(?!\[|\w+\s*<)|--|;+)\s?")
_ATTRIBUTE_PREFIXES = ("#[", "@", "[")


def _comment_above(rows: Sequence[str], first: int) -> str:
    """Return the first sentence of the comment directly above a line."""
    comments: list[str] = []
    number = first - 1
    while number > 0:
        row = rows[number - 1]
        if row.lstrip().startswith(_ATTRIBUTE_PREFIXES) and not comments:
            number -= 1
            continue
        if not _COMMENT.match(row):
            break
        comments.insert(0, _strip_comment(row))
        number -= 1
    return first_sentence("\n".join(comments)) if comments else ""


def _strip_comment(row: str) -> str:
    return re.sub(r"\s*\*+/\s*$", "", _COMMENT.sub("", row, count=1)).strip()


def _file_summary(language: str, rows: Sequence[str]) -> str:
    """Return the first sentence of a file's docstring, first comment or prose."""
    if not language:
        return _first_paragraph(rows)
    if language == "python":
        start = next(
            (n for n, row in enumerate(rows) if row.strip() and not row.lstrip().startswith("#")), 0
        )
        return _docstring(rows, start)
    return _first_comment(rows[:80])


def _first_comment(rows: Sequence[str]) -> str:
    """Return the first sentence of the first comment that is not a licence or a linter directive."""
    block: list[str] = []
    for row in rows:
        if row.startswith("#!"):
            continue
        if _COMMENT.match(row):
            block.append(_strip_comment(row))
        elif row.strip() or (block and not _LICENCE.search("\n".join(block))):
            break
        else:
            block = []
    return "" if _LICENCE.search("\n".join(block)) else first_sentence("\n".join(block))


_LICENCE = re.compile(r"copyright|licen[sc]e|SPDX|all rights|eslint-|@ts-|prettier-", re.I)


def _first_paragraph(rows: Sequence[str]) -> str:
    """Return the first sentence of a prose file, without headings, badges and tables."""
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
            return first_sentence(re.sub(r"\*\*|__", "", bare))
    return ""


# -- properties of definitions ----------------------------------------------------------------------


def _bases(language: str, head: str) -> tuple[str, ...]:
    pattern = _BASES.get(language)
    match = pattern.search(head) if pattern else None
    if match is None:
        return ()
    text = next((group for group in match.groups() if group), "")
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


def _is_public(language: str, name: str, head: str) -> bool:
    last = name.rpartition(".")[2]
    if language == "python":
        return not any(piece.startswith("_") and not piece.endswith("__") for piece in name.split("."))
    if language == "go":
        return last[:1].isupper()
    if language == "rust":
        return bool(re.search(r"\bpub\b|\bimpl\b", head))
    if language in {"javascript", "typescript", "tsx"}:
        return "." in name or bool(re.search(r"\bexport\b|\bclass\b", head))
    return not re.search(r"\b(?:private|static inline)\b", head) and not last.startswith("_")


def _entry_point(language: str, text: str, members: Sequence[Member]) -> str:
    pattern = _ENTRIES.get(language)
    if pattern and (match := pattern.search(text)):
        return " ".join(match.group().split())
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


# -- calls ------------------------------------------------------------------------------------------


def _called_names(
    language: str, data: bytes, definitions: Sequence[Definition]
) -> Mapping[int, tuple[str, ...]]:
    """Return the names that each definition calls, without the calls of its inner definitions."""
    query, parser = _call_finder(language), grammar.parser_for(language)
    if query is None or parser is None or not definitions:
        return {}
    firsts = [definition.first for definition in definitions]
    calls: dict[int, dict[str, None]] = {}
    nodes = query(parser.parse(data).root_node)
    for node in sorted(nodes, key=lambda node: node.start_byte):
        line = node.start_point[0] + 1
        owner = bisect_right(firsts, line) - 1
        while owner >= 0 and definitions[owner].last < line:
            owner -= 1
        name = re.search(rb"([A-Za-z_$][\w$]*)[^\w$]*$", node.text[-200:])
        if owner >= 0 and name and len(names := calls.setdefault(owner, {})) < _MAX_CALLS:
            names[name[1].decode()] = None
    return {owner: tuple(names) for owner, names in calls.items()}


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
def _call_finder(language: str) -> Any:
    """Return a function from a syntax tree to the nodes of called names; None if unsupported."""
    parser = grammar.parser_for(language)
    if parser is None or language not in _QUERIES:
        return None
    import tree_sitter  # noqa: PLC0415 - needed only if a grammar is installed

    query = tree_sitter.Query(parser.language, _QUERIES[language])
    return lambda root: tree_sitter.QueryCursor(query).captures(root).get("called", [])
