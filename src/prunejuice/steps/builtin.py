"""The built-in steps, by the names that command files use; none is imported before it runs."""

from prunejuice.system.extensions import ExtensionPoint

BUILTIN_STEPS = {
    "setup-environment": "prunejuice.steps.prepare:setup_environment",
    "validate-prerequisites": "prunejuice.steps.prepare:validate_prerequisites",
    "create-worktree": "prunejuice.steps.worktree_steps:create_worktree",
    "start-session": "prunejuice.steps.worktree_steps:start_session",
    "gather-context": "prunejuice.steps.gather:gather_context",
    "fetch-issue": "prunejuice.steps.prepare:fetch_issue",
    "store-artifacts": "prunejuice.steps.store_artifacts:store_artifacts",
    "cleanup": "prunejuice.steps.worktree_steps:cleanup",
}
EXTENSIONS = ExtensionPoint("prunejuice.steps", BUILTIN_STEPS)
"""Steps: a function `(StepContext, StepResources) → StepResult` for each name."""
