"""A summary of code as a value: what a model answers, or what is read out of syntax trees."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from prunejuice.text import safe_text

MOST_WORDS = 500
"""Words of an overview."""


def _line(text: str) -> str:
    return " ".join(safe_text(text).split())


def _code(text: str) -> str:
    return _line(text.replace("`", "'").replace("*", ""))


def _prose(text: str) -> str:
    """Paragraphs that begin no heading of their own."""
    rows = (re.sub(r"^[\s#]*#\s*", "", row).rstrip() for row in safe_text(text).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(rows)).strip()


Line = Annotated[str, AfterValidator(_line)]
Code = Annotated[str, AfterValidator(_code)]


class CodeComponent(BaseModel):
    """A significant part of the code; `file_path` from the root of the tree."""

    model_config = ConfigDict(frozen=True)

    name: Code
    type: Literal["class", "function", "module", "interface"]
    description: Line
    file_path: Code
    dependencies: tuple[Code, ...] = Field(default=(), description="Names of what it uses in this code")


class CodePattern(BaseModel):
    """A convention of the code, with places where it shows."""

    model_config = ConfigDict(frozen=True)

    pattern: Code
    description: Line
    examples: tuple[Code, ...] = ()


class SummaryResult(BaseModel):
    """What code is for, what it is made of, what it needs, and where it begins."""

    model_config = ConfigDict(frozen=True)

    overview: Annotated[str, AfterValidator(_prose)] = Field(
        description="What this code does and how it is built"
    )
    components: tuple[CodeComponent, ...] = Field(default=(), description="The parts that matter most")
    external_dependencies: tuple[Line, ...] = Field(
        default=(), description="Packages of others, and for what"
    )
    patterns: tuple[CodePattern, ...] = Field(default=(), description="Conventions that the code keeps")
    entry_points: tuple[Line, ...] = Field(default=(), description="Where execution begins")

    @field_validator("overview")
    @classmethod
    def overview_not_too_long(cls, value: str) -> str:
        """At most 500 words."""
        if (words := len(value.split())) > MOST_WORDS:
            raise ValueError(f"the overview has {words} words: write at most {MOST_WORDS}")
        return value

    @classmethod
    def schema_within(cls, limit: int) -> dict[str, Any]:
        """The JSON Schema of a result of about `limit` tokens: small models do not know when to end."""
        schema = cls.model_json_schema()
        most = {"components": 40, "external_dependencies": 100, "patterns": 150, "entry_points": 100}
        for name, each in most.items():
            schema["properties"][name]["maxItems"] = max(2, limit // each)
        schema["properties"]["overview"]["maxLength"] = 4 * limit
        lists = [schema["properties"][name] for name in ("external_dependencies", "entry_points")]
        for kind in schema["$defs"].values():
            for field in kind["properties"].values():
                if field.get("type") == "array":
                    field["maxItems"] = 6
                    lists.append(field)
                elif "enum" not in field:
                    field["maxLength"] = 300
        for field in lists:
            field["items"]["maxLength"] = 120
        return schema

    def to_markdown(self) -> str:
        """Markdown with one thing a line, so that two summaries can be compared."""
        sections = [
            ("Key Components", [_component(each) for each in self.components]),
            ("Dependencies", list(self.external_dependencies)),
            ("Patterns", [_pattern(each) for each in self.patterns]),
            ("Entry Points", list(self.entry_points)),
        ]
        texts = [f"# Code Summary\n\n{self.overview}\n"]
        for title, rows in sections:
            if rows:
                texts.append(f"## {title}\n\n" + "".join(f"- {row}\n" for row in rows))
        return "\n".join(texts)

    def within(self, limit: int, count: Callable[[str], int]) -> "SummaryResult":
        """As much of it as fits into `limit` tokens: what comes last in a list goes first.

        The lists give way in the order components, patterns, dependencies, entry points, then the overview.
        """
        shown = self
        for name, least in _GIVING_WAY:
            if count(shown.to_markdown()) <= limit:
                return shown
            shown = _shortened(shown, name, least, lambda text: count(text) <= limit)
        words = shown.overview.split(" ")
        kept = _most(len(words), lambda n: count(_overview(shown, words[:n]).to_markdown()) <= limit)
        return shown if kept == len(words) else _overview(shown, words[:kept])


_GIVING_WAY = (
    ("components", 8), ("patterns", 3), ("external_dependencies", 12), ("components", 0), ("patterns", 0),
    ("external_dependencies", 0), ("entry_points", 0),
)  # fmt: skip


def _overview(result: SummaryResult, words: Sequence[str]) -> SummaryResult:
    return result.model_copy(update={"overview": " ".join([*words, "…"])})


def _shortened(result: SummaryResult, name: str, least: int, fits: Callable[[str], bool]) -> SummaryResult:
    rows = getattr(result, name)
    kept = _most(
        len(rows) - least, lambda n: fits(result.model_copy(update={name: rows[: least + n]}).to_markdown())
    )
    return result.model_copy(update={name: rows[: least + kept]}) if len(rows) > least else result


def _most(top: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `top` that fits, 0 if none does; less than what fits, fits too."""
    low, high = 0, max(top, 0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _component(each: CodeComponent) -> str:
    uses = f" Uses {', '.join(each.dependencies)}." if each.dependencies else ""
    return f"**{each.name}** ({each.type}, `{each.file_path}`): {each.description}{uses}"


def _pattern(each: CodePattern) -> str:
    shown = ", ".join(f"`{example}`" for example in each.examples)
    return f"**{each.pattern}**: {each.description}" + (f" For example: {shown}." if shown else "")
