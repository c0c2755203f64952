"""The expression language of conditions, over JSON data.

    args.issue > 0 and steps.verify.status == "failed"

It has the operators `and or not == != < <= > >= in`, literals, lists, dotted access, and `FUNCTIONS`.
Expressions cannot call other functions, access Python objects or loop, so those of an untrusted repository
are safe to evaluate. Missing values are null. Outputs of steps are often text: compared with a number or a
boolean, a text counts as what it spells, and the text `false` is not true.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from prunejuice.errors import ConditionError
from prunejuice.text import format_count, safe_line, spelling_hint

MAX_LENGTH = 1000
MAX_NODES = 200
MAX_DEPTH = 25

Json = Any
"""None, bool, int, float, str, and lists and dicts of these."""


class Constant(NamedTuple):
    """A literal value."""

    value: Json


class ListExpression(NamedTuple):
    """A list of expressions in brackets."""

    items: "tuple[Expression, ...]"


class DataPath(NamedTuple):
    """A path into the data: `steps.verify.status`, `args['a b']`, `args.files[0]`."""

    keys: tuple[str | int, ...]


class FunctionCall(NamedTuple):
    """A call of one of `FUNCTIONS`."""

    name: str
    arguments: "tuple[Expression, ...]"


class Negation(NamedTuple):
    """A `not` expression."""

    operand: "Expression"


class BinaryOperation(NamedTuple):
    """Two operands joined by `and`, `or`, `in` or a comparison."""

    operator: str
    left: "Expression"
    right: "Expression"


Expression = Constant | ListExpression | DataPath | FunctionCall | Negation | BinaryOperation

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
_FOREIGN_OPERATORS = {"&&": "and", "||": "or", "!": "not", "=": "=="}
_ROOTS = ("args", "steps", "run")


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def _tokenize(text: str) -> Iterator[_Token]:
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ConditionError(_syntax_message(text, position))
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind), match.start(kind))
        if kind == "end":
            return
        position = match.end()


def _syntax_message(text: str, position: int) -> str:
    rest = text[position:].lstrip()
    for foreign, operator in _FOREIGN_OPERATORS.items():
        if rest.startswith(foreign):
            return f"{foreign!r} is not an operator: write {operator!r}"
    return f"unexpected {safe_line(rest, 20)!r} at character {len(text) - len(rest) + 1}"


class _Parser:
    """A recursive descent parser that limits nodes and depth, so that no input is expensive."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokenize(text))
        self.position = 0
        self.node_count = 0
        self.depth = 0

    @property
    def current_token(self) -> _Token:
        return self.tokens[self.position]

    def accept(self, *texts: str) -> str:
        """Consume and return the next sign or name if it is one of `texts`, else return an empty text."""
        token = self.current_token
        if token.kind in {"sign", "name"} and token.text in texts:
            self.position += 1
            return token.text
        return ""

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise self.syntax_error(f"expected {sign!r}")

    def syntax_error(self, message: str) -> ConditionError:
        token = self.current_token
        shown = "the end" if token.kind == "end" else repr(safe_line(token.text, 20))
        return ConditionError(f"{message} before {shown} at character {token.position + 1}")

    def count_node(self, node: Expression) -> Expression:
        self.node_count += 1
        if self.node_count > MAX_NODES:
            raise ConditionError(f"more than {MAX_NODES} parts: split the expression over several steps")
        return node

    def parse_expression(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(f"nested more than {MAX_DEPTH} levels deep")
        node = self.parse_chain("or", lambda: self.parse_chain("and", self.parse_negation))
        self.depth -= 1
        return node

    def parse_chain(self, word: str, operand: Callable[[], Expression]) -> Expression:
        node = operand()
        while self.accept(word):
            node = self.count_node(BinaryOperation(word, node, operand()))
        return node

    def parse_negation(self) -> Expression:
        if not self.accept("not"):
            return self.parse_comparison()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(f"nested more than {MAX_DEPTH} levels deep")
        node = self.count_node(Negation(self.parse_negation()))
        self.depth -= 1
        return node

    def parse_comparison(self) -> Expression:
        left = self.parse_operand()
        operator = self.parse_operator()
        if not operator:
            return left
        node = self.count_node(BinaryOperation(operator.removeprefix("not "), left, self.parse_operand()))
        if self.parse_operator():
            raise self.syntax_error("compare two values at a time and join them with 'and'")
        return self.count_node(Negation(node)) if operator == "not in" else node

    def parse_operator(self) -> str:
        if self.accept("not"):
            self.expect("in")
            return "not in"
        return self.accept("==", "!=", "<=", ">=", "<", ">", "in")

    def parse_operand(self) -> Expression:
        token = self.current_token
        if self.accept("("):
            node = self.parse_expression()
            self.expect(")")
            return node
        if self.accept("["):
            return self.count_node(ListExpression(self.parse_sequence("]")))
        self.position += 1
        if token.kind == "number":
            return self.count_node(Constant(float(token.text) if "." in token.text else int(token.text)))
        if token.kind == "text":
            return self.count_node(Constant(_unquote(token.text)))
        if token.kind == "name" and token.text not in {"and", "or", "not", "in"}:
            return self.count_node(self.parse_name(token.text))
        self.position -= 1
        raise self.syntax_error("expected a value")

    def parse_sequence(self, end: str) -> tuple[Expression, ...]:
        items: list[Expression] = []
        while not self.accept(end):
            if items:
                self.expect(",")
            items.append(self.parse_expression())
        return tuple(items)

    def parse_name(self, name: str) -> Expression:
        if self.accept("("):
            return self.parse_call(name)
        if name in _CONSTANTS:
            return Constant(_CONSTANTS[name])
        if name not in _ROOTS:
            raise ConditionError(f"unknown name {safe_line(name, 40)!r}", _suggest_name(name, _ROOTS))
        return DataPath((name, *self.parse_keys()))

    def parse_call(self, name: str) -> FunctionCall:
        if name not in FUNCTIONS:
            raise ConditionError(
                f"unknown function {safe_line(name, 40)!r}", _suggest_name(name, FUNCTIONS)
            )
        arguments = self.parse_sequence(")")
        count = _ARITY[name]
        if len(arguments) != count:
            raise ConditionError(f"{name}() takes {format_count(count, 'argument')}, not {len(arguments)}")
        return FunctionCall(name, arguments)

    def parse_keys(self) -> Iterator[str | int]:
        while True:
            if self.accept("."):
                yield self.parse_key("name")
            elif self.accept("["):
                yield self.parse_key("text", "number")
                self.expect("]")
            else:
                return

    def parse_key(self, *kinds: str) -> str | int:
        token = self.current_token
        if token.kind not in kinds or ("." in token.text.strip("\"'") and token.kind == "number"):
            raise self.syntax_error("expected a key")
        self.position += 1
        if token.kind == "number":
            return int(token.text)
        return _unquote(token.text) if token.kind == "text" else token.text


def _suggest_name(name: str, words: "Mapping[str, Any] | Sequence[str]") -> str:
    return spelling_hint(name, words) or "available: " + ", ".join(words)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Parse an expression into a tree.

    Raises:
        ConditionError: the expression is invalid, or exceeds a limit on length, size or depth.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"longer than {MAX_LENGTH} characters")
    parser = _Parser(text)
    node = parser.parse_expression()
    if parser.current_token.kind != "end":
        raise parser.syntax_error("expected 'and' or 'or'")
    return node


def walk(node: Expression) -> Iterator[Expression]:
    """Yield the node and all its descendants."""
    yield node
    match node:
        case BinaryOperation(_, left, right):
            yield from walk(left)
            yield from walk(right)
        case Negation(operand):
            yield from walk(operand)
        case ListExpression(items) | FunctionCall(_, items):
            for item in items:
                yield from walk(item)
        case _:
            return


def referenced_steps(node: Expression) -> set[str]:
    """Return the ids of the steps that an expression refers to."""
    paths = (part.keys for part in walk(node) if isinstance(part, DataPath))
    return {str(keys[1]) for keys in paths if keys[0] == "steps" and len(keys) > 1}


def has_status_check(node: Expression) -> bool:
    """Return whether the expression itself decides what happens after a failure."""
    return any(isinstance(part, FunctionCall) and part.name in {"failure", "always"} for part in walk(node))


def evaluate(node: Expression, data: Mapping[str, Json], *, failing: bool = False) -> Json:
    """Return the value of an expression over `data`. `failing` is the value of `failure()`.

    Raises:
        ConditionError: two values cannot be compared or searched.
    """

    def value(part: Expression) -> Json:
        return evaluate(part, data, failing=failing)

    match node:
        case Constant(constant):
            return constant
        case DataPath(keys):
            return _look_up(data, keys)
        case ListExpression(items):
            return [value(item) for item in items]
        case Negation(operand):
            return not is_true(value(operand))
        case FunctionCall(name, arguments):
            return FUNCTIONS[name](failing, *map(value, arguments))
        case _:
            return _apply_operator(node.operator, value(node.left), lambda: value(node.right))


def _apply_operator(operator: str, left: Json, right: Callable[[], Json]) -> Json:
    """Apply an operator. `and` and `or` evaluate the right operand only if needed."""
    if operator == "and":
        return right() if is_true(left) else left
    if operator == "or":
        return left if is_true(left) else right()
    return _COMPARISONS[operator](left, right())


def _look_up(data: Json, keys: tuple[str | int, ...]) -> Json:
    for key in keys:
        # Only items, never attributes: attributes would lead to Python objects.
        if isinstance(data, Mapping):
            data = data.get(str(key))
        elif isinstance(data, list) and isinstance(key, int) and -len(data) <= key < len(data):
            data = data[key]
        else:
            return None
    return data


def _type_name(value: Json) -> str:
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


def is_true(value: Json) -> bool:
    """Return whether a value counts as true."""
    return bool(value) and not (isinstance(value, str) and value.strip().lower() == "false")


def _align_types(left: Json, right: Json) -> tuple[Json, Json]:
    """Return two values with a text in the type of the other one, if it spells such a value."""
    if isinstance(left, str) and not isinstance(right, str):
        return _spelled_value(left, right), right
    if isinstance(right, str) and not isinstance(left, str):
        return left, _spelled_value(right, left)
    return left, right


def _spelled_value(text: str, other: Json) -> Json:
    word = text.strip()
    if isinstance(other, bool):
        return {"true": True, "false": False}.get(word.lower(), text)
    if isinstance(other, int | float) and _NUMBER.fullmatch(word):
        return float(word) if "." in word else int(word)
    return text


_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?")


def _is_equal(left: Json, right: Json) -> bool:
    # In Python, `True == 1`; here, values of different types are never equal.
    left, right = _align_types(left, right)
    return _type_name(left) == _type_name(right) and bool(left == right)


def _is_less(left: Json, right: Json) -> bool:
    left, right = _align_types(left, right)
    kinds = {_type_name(left), _type_name(right)}
    if "null" in kinds:
        return False
    if kinds not in ({"number"}, {"text"}):
        raise ConditionError(f"cannot compare {_type_name(left)} with {_type_name(right)}")
    return bool(left < right)


def _is_less_or_equal(left: Json, right: Json) -> bool:
    return _is_less(left, right) or (left is not None and _is_equal(left, right))


def _is_in(item: Json, container: Json) -> bool:
    match _type_name(container):
        case "null":
            return False
        case "list":
            return any(_is_equal(item, element) for element in container)
        case "object":
            return _type_name(item) == "text" and item in container
        case "text" if _type_name(item) == "text":
            return item in container
    raise ConditionError(f"cannot search for {_type_name(item)} in {_type_name(container)}")


def _length(value: Json) -> int:
    if _type_name(value) in {"text", "list", "object"}:
        return len(value)
    if value is None:
        return 0
    raise ConditionError(f"{_type_name(value)} has no length")


_COMPARISONS: Mapping[str, Callable[[Json, Json], bool]] = {
    "==": _is_equal,
    "!=": lambda left, right: not _is_equal(left, right),
    "<": _is_less,
    "<=": _is_less_or_equal,
    ">": lambda left, right: _is_less(right, left),
    ">=": lambda left, right: _is_less_or_equal(right, left),
    "in": _is_in,
}

FUNCTIONS: Mapping[str, Callable[..., Json]] = {
    "len": lambda _failing, value: _length(value),
    "contains": lambda _failing, container, item: _is_in(item, container),
    "startswith": lambda _failing, text, start: str(text or "").startswith(str(start)),
    "endswith": lambda _failing, text, end: str(text or "").endswith(str(end)),
    "success": lambda failing: not failing,
    "failure": lambda failing: failing,
    "always": lambda _failing: True,
}
"""The functions of the language. Each receives first whether the run is failing, then its arguments."""

_ARITY = {
    "len": 1,
    "contains": 2,
    "startswith": 2,
    "endswith": 2,
    "success": 0,
    "failure": 0,
    "always": 0,
}
