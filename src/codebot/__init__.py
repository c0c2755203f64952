"""Codebot for programs: file changes as values, commands of your own, summaries, workflows.

from codebot import ChangeSet, Command, FileChange, register_command, summarize

Importing this package loads none of its names; each is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from prunejuice.system.public_names import lazy_names

if TYPE_CHECKING:
    from prunejuice.app.api import (
        COMMANDS,
        TDD_WORKFLOW,
        ClaudeSDKExecutor,
        Command,
        ContextManager,
        DebugTestsCommand,
        ExecutionContext,
        NoOpCommand,
        PipelineComposer,
        RefactorCommand,
        RunTestsCommand,
        SubmitPRCommand,
        SummarizeCommand,
        SummaryCache,
        TestCommand,
        WorkflowExecutor,
        WorkflowResult,
        WorkflowStep,
        chain_commands,
        execute_agent,
        get_command,
        register_command,
    )
    from prunejuice.app.codeclip import summarize
    from prunejuice.app.place_edits import MisplacedEdit, PlaceResult, place
    from prunejuice.changes.change_set import ChangeSet, CommandOutput, FileChange
    from prunejuice.changes.review import ReviewDecision
    from prunejuice.cli.review.interactive import InteractiveReviewer
    from prunejuice.errors import (
        AgentError,
        ConflictError,
        DeniedError,
        GateError,
        LimitError,
        PruneJuiceError,
        UsageError,
    )
    from prunejuice.forges.submit import PRSubmission
    from prunejuice.verbs.results import (
        CodeFix,
        DebugResult,
        Optimization,
        OptimizationResult,
        RefactoringResult,
        TestCase,
        TestFailure,
        TestGenerationResult,
    )
    from prunejuice.verbs.summarize.summary import CodeComponent, CodePattern, SummaryResult
    from prunejuice.workflow.graph import Workflow
else:  # a type checker that saw __getattr__ would accept every name
    __getattr__ = lazy_names(
        __name__,
        {
            "prunejuice.app.api": (
                "COMMANDS ClaudeSDKExecutor Command ContextManager DebugTestsCommand "
                "ExecutionContext NoOpCommand PipelineComposer RefactorCommand RunTestsCommand "
                "SubmitPRCommand SummarizeCommand SummaryCache TDD_WORKFLOW TestCommand "
                "WorkflowExecutor WorkflowResult WorkflowStep chain_commands execute_agent "
                "get_command register_command"
            ),
            "prunejuice.app.codeclip": "summarize",
            "prunejuice.app.place_edits": "MisplacedEdit PlaceResult place",
            "prunejuice.changes.change_set": "ChangeSet CommandOutput FileChange",
            "prunejuice.changes.review": "ReviewDecision",
            "prunejuice.cli.review.interactive": "InteractiveReviewer",
            "prunejuice.errors": (
                "AgentError ConflictError DeniedError GateError LimitError PruneJuiceError UsageError"
            ),
            "prunejuice.forges.submit": "PRSubmission",
            "prunejuice.verbs.results": (
                "CodeFix DebugResult Optimization OptimizationResult RefactoringResult TestCase "
                "TestFailure TestGenerationResult"
            ),
            "prunejuice.verbs.summarize.summary": "CodeComponent CodePattern SummaryResult",
            "prunejuice.workflow.graph": "Workflow",
        },
    )

__all__ = [
    "COMMANDS",
    "TDD_WORKFLOW",
    "AgentError",
    "ChangeSet",
    "ClaudeSDKExecutor",
    "CodeComponent",
    "CodeFix",
    "CodePattern",
    "Command",
    "CommandOutput",
    "ConflictError",
    "ContextManager",
    "DebugResult",
    "DebugTestsCommand",
    "DeniedError",
    "ExecutionContext",
    "FileChange",
    "GateError",
    "InteractiveReviewer",
    "LimitError",
    "MisplacedEdit",
    "NoOpCommand",
    "Optimization",
    "OptimizationResult",
    "PRSubmission",
    "PipelineComposer",
    "PlaceResult",
    "PruneJuiceError",
    "RefactorCommand",
    "RefactoringResult",
    "ReviewDecision",
    "RunTestsCommand",
    "SubmitPRCommand",
    "SummarizeCommand",
    "SummaryCache",
    "SummaryResult",
    "TestCase",
    "TestCommand",
    "TestFailure",
    "TestGenerationResult",
    "UsageError",
    "Workflow",
    "WorkflowExecutor",
    "WorkflowResult",
    "WorkflowStep",
    "chain_commands",
    "execute_agent",
    "get_command",
    "place",
    "register_command",
    "summarize",
]
