"""The summary of code as data: a model's answer, or a survey of syntax trees."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from prunejuice.text import safe_text

MAX_OVERVIEW_WORDS = 500
"""The maximum number of words in an overview."""


def _clean_line(text: str) -> str:
    return " ".join(safe_text(text).split())


def _clean_code(text: str) -> str:
    return _clean_line(text.replace("`", "'").replace("*", ""))


def _clean_prose(text: str) -> str:
    """Return paragraphs without heading marks and excess blank lines."""
    rows = (re.sub(r"^[\s#]*#\s*", "", row).rstrip() for row in safe_text(text).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(rows)).strip()


LineText = Annotated[str, AfterValidator(_clean_line)]
CodeText = Annotated[str, AfterValidator(_clean_code)]


class CodeComponent(BaseModel):
    """A significant part of the code; `file_path` is relative to the root of the tree."""

    model_config = ConfigDict(frozen=True)

    name: CodeText
    type: Literal["class", "function", "module", "interface"]
    description: LineText
    file_path: CodeText
    dependencies: tuple[CodeText, ...] = Field(
        default=(), description="Names of the components of this code that it uses"
    )


class CodePattern(BaseModel):
    """A convention of the code, with examples."""

    model_config = ConfigDict(frozen=True)

    pattern: CodeText
    description: LineText
    examples: tuple[CodeText, ...] = ()


class SummaryResult(BaseModel):
    """The purpose, components, dependencies, patterns and entry points of some code."""

    model_config = ConfigDict(frozen=True)

    overview: Annotated[str, AfterValidator(_clean_prose)] = Field(
        description="What this code does and how it is built"
    )
    components: tuple[CodeComponent, ...] = Field(default=(), description="The parts that matter most")
    external_dependencies: tuple[LineText, ...] = Field(
        default=(), description="Third-party packages and what they are used for"
    )
    patterns: tuple[CodePattern, ...] = Field(default=(), description="Conventions that the code follows")
    entry_points: tuple[LineText, ...] = Field(default=(), description="Where execution begins")

    @field_validator("overview")
    @classmethod
    def overview_not_too_long(cls, value: str) -> str:
        """Raise ValueError for an overview of more than 500 words."""
        if (words := len(value.split())) > MAX_OVERVIEW_WORDS:
            raise ValueError(f"the overview has {words} words: write at most {MAX_OVERVIEW_WORDS}")
        return value

    @classmethod
    def schema_for_limit(cls, limit: int) -> dict[str, Any]:
        """Return the JSON Schema of a result of about `limit` tokens.

        The schema limits lengths because small models do not stop by themselves.
        """
        schema = cls.model_json_schema()
        tokens_per_item = {
            "components": 40,
            "external_dependencies": 100,
            "patterns": 150,
            "entry_points": 100,
        }
        for name, size in tokens_per_item.items():
            schema["properties"][name]["maxItems"] = max(2, limit // size)
        schema["properties"]["overview"]["maxLength"] = 4 * limit
        lists = [schema["properties"][name] for name in ("external_dependencies", "entry_points")]
        for definition in schema["$defs"].values():
            for field in definition["properties"].values():
                if field.get("type") == "array":
                    field["maxItems"] = 6
                    lists.append(field)
                elif "enum" not in field:
                    field["maxLength"] = 300
        for field in lists:
            field["items"]["maxLength"] = 120
        return schema

    def to_markdown(self) -> str:
        """Render the summary as Markdown with one item per line, so that summaries can be compared."""
        sections = [
            ("Key Components", [_format_component(item) for item in self.components]),
            ("Dependencies", list(self.external_dependencies)),
            ("Patterns", [_format_pattern(item) for item in self.patterns]),
            ("Entry Points", list(self.entry_points)),
        ]
        texts = [f"# Code Summary\n\n{self.overview}\n"]
        for title, rows in sections:
            if rows:
                texts.append(f"## {title}\n\n" + "".join(f"- {row}\n" for row in rows))
        return "\n".join(texts)

    def trim_to_limit(self, limit: int, count: Callable[[str], int]) -> "SummaryResult":
        """Return as much of the summary as fits into `limit` tokens; lists are cut at their end.

        Components are shortened first, then patterns, dependencies and entry points, then the overview.
        `count` returns the tokens of a text.
        """
        trimmed = self
        for name, minimum in _TRIM_ORDER:
            if count(trimmed.to_markdown()) <= limit:
                return trimmed
            trimmed = _trim_list(trimmed, name, minimum, lambda text: count(text) <= limit)
        words = trimmed.overview.split(" ")
        word_count = _largest_fitting(
            len(words), lambda n: count(_with_overview(trimmed, words[:n]).to_markdown()) <= limit
        )
        return trimmed if word_count == len(words) else _with_overview(trimmed, words[:word_count])


_TRIM_ORDER = (
    ("components", 8), ("patterns", 3), ("external_dependencies", 12), ("components", 0), ("patterns", 0),
    ("external_dependencies", 0), ("entry_points", 0),
)  # fmt: skip


def _with_overview(result: SummaryResult, words: Sequence[str]) -> SummaryResult:
    return result.model_copy(update={"overview": " ".join([*words, "…"])})


def _trim_list(
    result: SummaryResult, name: str, minimum: int, fits: Callable[[str], bool]
) -> SummaryResult:
    rows = getattr(result, name)
    fitting = _largest_fitting(
        len(rows) - minimum,
        lambda n: fits(result.model_copy(update={name: rows[: minimum + n]}).to_markdown()),
    )
    return result.model_copy(update={name: rows[: minimum + fitting]}) if len(rows) > minimum else result


def _largest_fitting(top: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `top` that fits, or 0; smaller numbers fit when a larger one does."""
    low, high = 0, max(top, 0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _format_component(component: CodeComponent) -> str:
    uses = f" Uses {', '.join(component.dependencies)}." if component.dependencies else ""
    return (
        f"**{component.name}** ({component.type}, `{component.file_path}`): {component.description}{uses}"
    )


def _format_pattern(pattern: CodePattern) -> str:
    examples = ", ".join(f"`{example}`" for example in pattern.examples)
    return f"**{pattern.pattern}**: {pattern.description}" + (
        f" For example: {examples}." if examples else ""
    )
