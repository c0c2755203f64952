"""What commands answer with, as values: tests, failures and their fixes, refactorings, optimizations."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from prunejuice.change import FileChange


def _name(text: str) -> str:
    name = re.sub(r"\W+", "_", text.strip()).lower().strip("_")
    return name if name.startswith("test_") else f"test_{name}"


class Value(BaseModel):
    """What all of these share: they do not change."""

    model_config = ConfigDict(frozen=True)


class TestCase(Value):
    """One test, as a function; what it needs to import."""

    __test__ = False

    test_name: Annotated[str, AfterValidator(_name)] = Field(description="Name of the test function")
    test_type: Literal["unit", "integration", "edge_case"] = "unit"
    imports_needed: tuple[str, ...] = Field(default=(), description="Import statements, whole")
    test_code: str = Field(description="The test function, whole, with its decorators")


class TestGenerationResult(Value):
    """Tests for some code."""

    __test__ = False

    test_cases: tuple[TestCase, ...]
    setup_code: str | None = Field(default=None, description="Code before the tests: helpers, constants")
    teardown_code: str | None = Field(default=None, description="Code behind the tests")
    additional_fixtures: tuple[str, ...] = Field(default=(), description="pytest fixtures, each whole")

    def to_test_file(self) -> str:
        """All of it as one file."""
        imports = dict.fromkeys(line.strip() for case in self.test_cases for line in case.imports_needed)
        head = "\n".join(
            sorted({"import pytest", *imports} - {""}, key=lambda line: (line[:5] == "from ", line))
        )
        cases = (case.test_code.strip("\n") for case in self.test_cases)
        parts = [head, self.setup_code, *self.additional_fixtures, *cases, self.teardown_code]
        return "\n\n\n".join(part.strip("\n") for part in parts if part and part.strip()) + "\n"

    def only(self, cases: Iterable[TestCase]) -> "TestGenerationResult":
        """The same with some of the cases, in their order."""
        return self.model_copy(update={"test_cases": tuple(cases)})


class TestFailure(Value):
    """A test that fails, and why it seems to."""

    __test__ = False

    test_name: str
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    suspected_cause: str = ""


class CodeFix(Value):
    """A file as it should be, and why."""

    file_path: str
    new_content: str
    reason: str = ""

    def change(self) -> FileChange:
        """The fix as a change of a file."""
        return FileChange(self.file_path, self.new_content, metadata={"fix_reason": self.reason})


class DebugResult(Value):
    """Failures that were looked into, and what mends them."""

    failures_analyzed: tuple[TestFailure, ...] = ()
    fixes_proposed: tuple[CodeFix, ...] = ()
    root_cause_analysis: str = ""


class RefactoringResult(Value):
    """Files as they should be, and what is better then."""

    changes: tuple[CodeFix, ...] = ()
    summary: str = ""


class Optimization(Value):
    """One thing that could be faster: how much, at what risk, and the files that make it so."""

    title: str
    description: str = ""
    risk_level: Literal["low", "medium", "high"] = "medium"
    auto_applicable: bool = False
    changes: tuple[CodeFix, ...] = ()

    def generate_changes(self) -> list[FileChange]:
        """Its files as changes."""
        return [each.change() for each in self.changes]


class OptimizationResult(Value):
    """What could be faster."""

    optimizations: tuple[Optimization, ...] = ()
    summary: str = ""

    def to_report(self) -> str:
        """All of it as Markdown."""
        rows = [f"# Optimizations\n\n{self.summary}".strip()]
        for each in self.optimizations:
            where = ", ".join(f"`{one.file_path}`" for one in each.changes)
            rows.append(
                f"## {each.title}\n\nRisk: {each.risk_level}. {where}\n\n{each.description}".strip()
            )
        return "\n\n".join(rows) + "\n"
