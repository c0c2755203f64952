"""The language of conditions: closed, total, over JSON data.

    args.issue > 0 and steps.verify.status == "failed"

`and or not == != < <= > >= in`, literals, lists, dotted access, and the functions of `FUNCTIONS`.
There is no way to call anything else, to reach a Python object or to loop, so an expression from an
unknown repository can do nothing but answer. Missing values are null; a text is never a number.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from prunejuice.errors import ConditionError
from prunejuice.text import nearest, safe_line

MAX_LENGTH = 1000
MAX_NODES = 200
MAX_DEPTH = 25

Json = Any
"""None, bool, int, float, str, and lists and dicts of these."""


class Literal(NamedTuple):
    """A value that stands for itself."""

    value: Json


class Items(NamedTuple):
    """A list in brackets."""

    items: "tuple[Node, ...]"


class Path(NamedTuple):
    """Access into the data: `steps.verify.status`, `args['a b']`, `args.files[0]`."""

    keys: tuple[str | int, ...]


class Call(NamedTuple):
    """One of the functions."""

    name: str
    arguments: "tuple[Node, ...]"


class Not(NamedTuple):
    """The opposite."""

    operand: "Node"


class Both(NamedTuple):
    """Two operands and what joins them: `and`, `or`, a comparison, `in`."""

    operator: str
    left: "Node"
    right: "Node"


Node = Literal | Items | Path | Call | Not | Both

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
    | (?P<text>"[^"\\\n]*(?:\\.[^"\\\n]*)*" | '[^'\\\n]*(?:\\.[^'\\\n]*)*')
    | (?P<name>[A-Za-z_](?:[\w-]*\w)?)
    | (?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,|\.)
    | (?P<end>$)
    )""",
    re.VERBOSE,
)
_CONSTANTS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_HABITS = {"&&": "and", "||": "or", "!": "not", "=": "=="}
_ROOTS = ("args", "steps", "run")


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _scan(text: str) -> Iterator[_Token]:
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConditionError(_unreadable(text, at))
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind), match.start(kind))
        if kind == "end":
            return
        at = match.end()


def _unreadable(text: str, at: int) -> str:
    rest = text[at:].lstrip()
    for habit, word in _HABITS.items():
        if rest.startswith(habit):
            return f"{habit!r} is not known here: write {word!r}"
    return f"cannot read {safe_line(rest, 20)!r} at character {len(text) - len(rest) + 1}"


class _Parser:
    """Recursive descent; counts nodes and depth so that no input can be expensive."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_scan(text))
        self.at = 0
        self.nodes = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> str:
        """The next sign or word when it is one of `texts`, else nothing."""
        token = self.token
        if token.kind in {"sign", "name"} and token.text in texts:
            self.at += 1
            return token.text
        return ""

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise self.error(f"{sign!r} is missing")

    def error(self, message: str) -> ConditionError:
        found = "the end" if self.token.kind == "end" else repr(safe_line(self.token.text, 20))
        return ConditionError(f"{message} before {found} at character {self.token.at + 1}")

    def counted(self, node: Node) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ConditionError(f"more than {MAX_NODES} parts: split it over several steps")
        return node

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(f"nested more than {MAX_DEPTH} deep")
        node = self.chain("or", lambda: self.chain("and", self.negation))
        self.depth -= 1
        return node

    def chain(self, word: str, operand: Callable[[], Node]) -> Node:
        node = operand()
        while self.take(word):
            node = self.counted(Both(word, node, operand()))
        return node

    def negation(self) -> Node:
        if not self.take("not"):
            return self.comparison()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(f"nested more than {MAX_DEPTH} deep")
        node = self.counted(Not(self.negation()))
        self.depth -= 1
        return node

    def comparison(self) -> Node:
        left = self.operand()
        operator = self.operator()
        if not operator:
            return left
        node = self.counted(Both(operator.removeprefix("not "), left, self.operand()))
        if self.operator():
            raise self.error("compare two values at a time, and join with 'and'")
        return self.counted(Not(node)) if operator == "not in" else node

    def operator(self) -> str:
        if self.take("not"):
            self.need("in")
            return "not in"
        return self.take("==", "!=", "<=", ">=", "<", ">", "in")

    def operand(self) -> Node:
        token = self.token
        if self.take("("):
            node = self.expression()
            self.need(")")
            return node
        if self.take("["):
            return self.counted(Items(self.sequence("]")))
        self.at += 1
        if token.kind == "number":
            return self.counted(Literal(float(token.text) if "." in token.text else int(token.text)))
        if token.kind == "text":
            return self.counted(Literal(_unquoted(token.text)))
        if token.kind == "name" and token.text not in {"and", "or", "not", "in"}:
            return self.counted(self.named(token.text))
        self.at -= 1
        raise self.error("a value is missing")

    def sequence(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self.take(end):
            if items:
                self.need(",")
            items.append(self.expression())
        return tuple(items)

    def named(self, name: str) -> Node:
        if self.take("("):
            return self.call(name)
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name])
        if name not in _ROOTS:
            raise ConditionError(f"{safe_line(name, 40)!r} is not known", _known(name, _ROOTS))
        return Path((name, *self.keys()))

    def call(self, name: str) -> Call:
        if name not in FUNCTIONS:
            raise ConditionError(f"there is no function {safe_line(name, 40)!r}", _known(name, FUNCTIONS))
        arguments = self.sequence(")")
        count = _ARITY[name]
        if len(arguments) != count:
            raise ConditionError(f"{name}() takes {count} values, not {len(arguments)}")
        return Call(name, arguments)

    def keys(self) -> Iterator[str | int]:
        while True:
            if self.take("."):
                yield self.key("name")
            elif self.take("["):
                yield self.key("text", "number")
                self.need("]")
            else:
                return

    def key(self, *kinds: str) -> str | int:
        token = self.token
        if token.kind not in kinds or ("." in token.text.strip("\"'") and token.kind == "number"):
            raise self.error("a key is missing")
        self.at += 1
        if token.kind == "number":
            return int(token.text)
        return _unquoted(token.text) if token.kind == "text" else token.text


def _known(name: str, words: "Mapping[str, Any] | Sequence[str]") -> str:
    return nearest(name, words) or "known: " + ", ".join(words)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """The tree of an expression.

    Raises:
        ConditionError: it is longer, larger or deeper than the limits, or not of this language.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"longer than {MAX_LENGTH} characters")
    parser = _Parser(text)
    node = parser.expression()
    if parser.token.kind != "end":
        raise parser.error("'and' or 'or' is missing")
    return node


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    yield node
    match node:
        case Both(_, left, right):
            yield from walk(left)
            yield from walk(right)
        case Not(operand):
            yield from walk(operand)
        case Items(items) | Call(_, items):
            for item in items:
                yield from walk(item)
        case _:
            return


def steps_named(node: Node) -> set[str]:
    """The steps that an expression refers to."""
    paths = (part.keys for part in walk(node) if isinstance(part, Path))
    return {str(keys[1]) for keys in paths if keys[0] == "steps" and len(keys) > 1}


def minds_failure(node: Node) -> bool:
    """Whether the expression says for itself what happens after a failure."""
    return any(isinstance(part, Call) and part.name in {"failure", "always"} for part in walk(node))


def evaluate(node: Node, data: Mapping[str, Json], *, failing: bool = False) -> Json:
    """The value of an expression over `data`; `failing` is what `failure()` answers.

    Raises:
        ConditionError: two values cannot be compared or searched.
    """

    def value(part: Node) -> Json:
        return evaluate(part, data, failing=failing)

    match node:
        case Literal(constant):
            return constant
        case Path(keys):
            return _reach(data, keys)
        case Items(items):
            return [value(item) for item in items]
        case Not(operand):
            return not value(operand)
        case Call(name, arguments):
            return FUNCTIONS[name](failing, *map(value, arguments))
        case _:
            return _joined(node.operator, value(node.left), lambda: value(node.right))


def _joined(operator: str, left: Json, right: Callable[[], Json]) -> Json:
    """Two operands; the right one is only looked at when it matters."""
    if operator == "and":
        return left and right()
    if operator == "or":
        return left or right()
    return _COMPARE[operator](left, right())


def _reach(data: Json, keys: tuple[str | int, ...]) -> Json:
    for key in keys:
        if isinstance(data, Mapping):
            data = data.get(str(key))
        elif isinstance(data, list) and isinstance(key, int) and -len(data) <= key < len(data):
            data = data[key]
        else:
            return None
    return data


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list() | tuple():
            return "list"
        case _:
            return "object"


def _same(left: Json, right: Json) -> bool:
    return _kind(left) == _kind(right) and bool(left == right)


def _less(left: Json, right: Json) -> bool:
    kinds = {_kind(left), _kind(right)}
    if "null" in kinds:
        return False
    if kinds not in ({"number"}, {"text"}):
        raise ConditionError(f"cannot compare {_kind(left)} with {_kind(right)}")
    return bool(left < right)


def _ordered(left: Json, right: Json) -> bool:
    return _less(left, right) or (left is not None and _same(left, right))


def _inside(item: Json, whole: Json) -> bool:
    match _kind(whole):
        case "null":
            return False
        case "list":
            return any(_same(item, each) for each in whole)
        case "object":
            return _kind(item) == "text" and item in whole
        case "text" if _kind(item) == "text":
            return item in whole
    raise ConditionError(f"cannot look for {_kind(item)} in {_kind(whole)}")


def _length(value: Json) -> int:
    if _kind(value) in {"text", "list", "object"}:
        return len(value)
    if value is None:
        return 0
    raise ConditionError(f"{_kind(value)} has no length")


_COMPARE: Mapping[str, Callable[[Json, Json], bool]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": _less,
    "<=": _ordered,
    ">": lambda left, right: _less(right, left),
    ">=": lambda left, right: _ordered(right, left),
    "in": _inside,
}

FUNCTIONS: Mapping[str, Callable[..., Json]] = {
    "len": lambda _failing, value: _length(value),
    "contains": lambda _failing, whole, item: _inside(item, whole),
    "startswith": lambda _failing, text, start: str(text or "").startswith(str(start)),
    "endswith": lambda _failing, text, end: str(text or "").endswith(str(end)),
    "success": lambda failing: not failing,
    "failure": lambda failing: failing,
    "always": lambda _failing: True,
}
"""What an expression may call; the first value each gets is whether the run is failing."""

_ARITY = {
    "len": 1,
    "contains": 2,
    "startswith": 2,
    "endswith": 2,
    "success": 0,
    "failure": 0,
    "always": 0,
}
