"""Codebot for programs: changes of files as values, commands of one's own, summaries, workflows.

from codebot import ChangeSet, Command, FileChange, register_command, summarize
"""

from typing import Any

_PLACES = {
    "change": "ChangeSet CommandOutput FileChange",
    "cli.reviewing": "InteractiveReviewer",
    "contexts.clip": "summarize",
    "errors": "AgentError ConflictError DeniedError GateError LimitError PruneJuiceError UsageError",
    "library": (
        "COMMANDS ClaudeSDKExecutor Command ContextManager DebugTestsCommand ExecutionContext NoOpCommand "
        "PipelineComposer RefactorCommand RunTestsCommand SubmitPRCommand SummarizeCommand SummaryCache "
        "TDD_WORKFLOW TestCommand WorkflowExecutor WorkflowResult WorkflowStep chain_commands "
        "execute_agent get_command register_command"
    ),
    "results": (
        "CodeFix DebugResult Optimization OptimizationResult RefactoringResult TestCase TestFailure "
        "TestGenerationResult"
    ),
    "review": "ReviewDecision",
    "submission": "PRSubmission",
    "summary": "CodeComponent CodePattern SummaryResult",
    "workflow": "Workflow",
}
_WHERE = {name: module for module, names in _PLACES.items() for name in names.split()}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"prunejuice.{_WHERE[name]}"), name)
