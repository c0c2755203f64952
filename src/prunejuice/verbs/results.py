"""Result types of commands: tests, failures and their fixes, refactorings, optimizations."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from prunejuice.changes.change_set import FileChange
from prunejuice.system.public_names import renamed


def _test_function_name(text: str) -> str:
    name = re.sub(r"\W+", "_", text.strip()).lower().strip("_")
    return name if name.startswith("test_") else f"test_{name}"


class ResultModel(BaseModel):
    """The base of all results; instances are immutable."""

    model_config = ConfigDict(frozen=True)


class TestCase(ResultModel):
    """One test function and the imports that it needs."""

    __test__ = False

    test_name: Annotated[str, AfterValidator(_test_function_name)] = Field(
        description="Name of the test function"
    )
    test_type: Literal["unit", "integration", "edge_case"] = "unit"
    imports_needed: tuple[str, ...] = Field(default=(), description="Complete import statements")
    test_code: str = Field(description="The complete test function with its decorators")


class TestGenerationResult(ResultModel):
    """Generated tests with their setup and fixtures."""

    __test__ = False

    test_cases: tuple[TestCase, ...]
    setup_code: str | None = Field(default=None, description="Code before the tests: helpers, constants")
    teardown_code: str | None = Field(default=None, description="Code after the tests")
    additional_fixtures: tuple[str, ...] = Field(default=(), description="Complete pytest fixtures")

    def to_test_file(self) -> str:
        """Return the source of one test file with everything in it."""
        imports = dict.fromkeys(line.strip() for case in self.test_cases for line in case.imports_needed)
        head = "\n".join(
            sorted({"import pytest", *imports} - {""}, key=lambda line: (line[:5] == "from ", line))
        )
        cases = (case.test_code.strip("\n") for case in self.test_cases)
        parts = [head, self.setup_code, *self.additional_fixtures, *cases, self.teardown_code]
        return "\n\n\n".join(part.strip("\n") for part in parts if part and part.strip()) + "\n"

    def with_cases(self, cases: Iterable[TestCase]) -> "TestGenerationResult":
        """Return a copy with only the given cases, in their order."""
        return self.model_copy(update={"test_cases": tuple(cases)})


class TestFailure(ResultModel):
    """A failing test and its suspected cause."""

    __test__ = False

    test_name: str
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    suspected_cause: str = ""


class CodeFix(ResultModel):
    """The new content of a file, and the reason for it."""

    file_path: str
    new_content: str
    reason: str = ""

    def to_file_change(self) -> FileChange:
        """Return the fix as a file change."""
        return FileChange(self.file_path, self.new_content, metadata={"fix_reason": self.reason})

    change = renamed("CodeFix.change", "CodeFix.to_file_change")


class DebugResult(ResultModel):
    """Analyzed test failures and the fixes for them."""

    failures_analyzed: tuple[TestFailure, ...] = ()
    fixes_proposed: tuple[CodeFix, ...] = ()
    root_cause_analysis: str = ""


class RefactoringResult(ResultModel):
    """The new contents of refactored files, with a summary."""

    changes: tuple[CodeFix, ...] = ()
    summary: str = ""


class Optimization(ResultModel):
    """One possible optimization: its risk and the file changes that make it."""

    title: str
    description: str = ""
    risk_level: Literal["low", "medium", "high"] = "medium"
    auto_applicable: bool = False
    changes: tuple[CodeFix, ...] = ()

    def generate_changes(self) -> list[FileChange]:
        """Return the file changes of the optimization."""
        return [fix.to_file_change() for fix in self.changes]


class OptimizationResult(ResultModel):
    """Possible optimizations, with a summary."""

    optimizations: tuple[Optimization, ...] = ()
    summary: str = ""

    def to_report(self) -> str:
        """Return the optimizations as Markdown."""
        rows = [f"# Optimizations\n\n{self.summary}".strip()]
        for optimization in self.optimizations:
            paths = ", ".join(f"`{fix.file_path}`" for fix in optimization.changes)
            head = f"## {optimization.title}\n\nRisk: {optimization.risk_level}. {paths}"
            rows.append(f"{head}\n\n{optimization.description}".strip())
        return "\n\n".join(rows) + "\n"
