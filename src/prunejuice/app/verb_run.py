"""Verb runs: one codebot verb as the only step of a run, in the current worktree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunejuice.app import wiring
from prunejuice.app.wiring import App
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.engine.run import Run, StepRun
from prunejuice.errors import UsageError
from prunejuice.text import safe_line, to_utf8
from prunejuice.verbs import arguments
from prunejuice.workflow import plan as plans
from prunejuice.workflow.command import Argument, Command
from prunejuice.workflow.graph import Step, Workflow
from prunejuice.workflow.plan import Plan

STEP_NAME = "ask"
MAX_SECONDS = 12 * 3600.0
"""Upper bound for the duration of a verb run in seconds, regardless of its own limits."""


def plan_verb_run(
    app: App, verb: str, options: Mapping[str, Any], directory: Path, *, watched: bool = False
) -> Plan:
    """Return the plan of a run that executes a verb; `options` are arguments of an agent step.

    `watched` means that the caller waits for the result and sees it.

    Raises:
        UsageError: An argument is unknown, or a value has the wrong type.
    """
    known = arguments.arguments_for(verb)
    if unknown := sorted(options.keys() - known.keys()):
        raise UsageError(
            f"verb {verb!r} does not accept {safe_line(', '.join(unknown), 200)}",
            f"use one of: {', '.join(known)}",
        )
    values = {name: value for name, value in options.items() if value or value == 0}
    # The plan is stored: piped input must not carry secrets or bytes that JSON and programs reject.
    if "input" in values:
        values["input"] = to_utf8(mask_secrets("", str(values["input"])).replace("\0", "\ufffd"))
    changes = values.get("changes", "wait")
    args = {name: "${{ args." + name + " }}" for name in values} | {"changes": changes}
    step = Step(verb, STEP_NAME, agent=verb, args=args, timeout=MAX_SECONDS)
    command = Command(
        verb.replace(":", "-"),
        Workflow(verb, steps={STEP_NAME: step}, entry_point=STEP_NAME),
        category="codebot",
        arguments=tuple(Argument(name, False, known[name].type) for name in values),
        timeout=MAX_SECONDS,
    )
    plan = plans.make_plan(
        command,
        values,
        project=str(app.project.root),
        directory=str(directory),
        commands_used={},
        worktree=False,
    )
    return wiring.with_settings(app, plan, watched=watched)


def find_verb_step(run: Run) -> StepRun | None:
    """Return the last visit to the step of a verb run, or None for other runs."""
    return run.last_visit(STEP_NAME) if run.plan.command.category == "codebot" else None


def find_kept_file(home: Path, run: Run, name: str) -> Path | None:
    """Return the path of the latest artifact with a name in a verb run, or None."""
    suffix = f"-{STEP_NAME}-{name}"
    matches = [artifact for artifact in run.artifacts if artifact.name.endswith(suffix)]
    return home / "runs" / run.id / matches[-1].path if matches else None
