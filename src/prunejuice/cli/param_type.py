"""Parameter types and parsers for values on the command line."""

from typing import Any

import click

from prunejuice.errors import UsageError
from prunejuice.text import safe_line


class FormatName(click.ParamType):  # type: ignore[type-arg]
    """A format of edits: JSON, one of ours, or one of another package."""

    name = "format"

    def get_metavar(self, param: "click.Parameter", ctx: "click.Context") -> str:  # noqa: ARG002 - click's signature
        """Return how the help shows the value."""
        return "NAME"

    def convert(self, value: Any, param: "click.Parameter | None", ctx: "click.Context | None") -> str:
        """Return the name of the format, if it is known."""
        from prunejuice.edits import formats  # noqa: PLC0415 - slow

        try:
            return value if value == "json" else formats.require_known(str(value))
        except UsageError as error:
            self.fail(f"{error.message}: {error.fix}", param, ctx)


class TokenCount(click.ParamType):  # type: ignore[type-arg]
    """A number of tokens, written as 8000, 8k, 1.5k or 1m."""

    name = "tokens"

    def convert(self, value: Any, param: "click.Parameter | None", ctx: "click.Context | None") -> int:
        """Return the number of tokens."""
        text = str(value).strip().lower().replace("_", "").replace(",", "")
        factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:], 1)
        try:
            count = int(float(text.rstrip("km")) * factor)
        except (ValueError, OverflowError):
            self.fail(f"invalid number of tokens {value!r}: write 8000, 8k or 1m", param, ctx)
        return count


def parse_assignments(arguments: tuple[str, ...]) -> dict[str, str]:
    """Return `NAME=VALUE` words as a mapping.

    Raises:
        UsageError: a word has no `=` or no name, or a name occurs twice.
    """
    values: dict[str, str] = {}
    for word in arguments:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"invalid argument {safe_line(word, 60)!r}: expected NAME=VALUE")
        if name in values:
            raise UsageError(f"duplicate argument {safe_line(name, 60)!r}")
        values[name] = value
    return values
