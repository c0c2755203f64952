"""An errand: one verb carried out as a run of its own, in the tree where it is called."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from prunejuice import plan as plans
from prunejuice import told
from prunejuice.app import App
from prunejuice.command import Argument, Command
from prunejuice.errors import UsageError
from prunejuice.plan import Plan
from prunejuice.run import Run, StepRun
from prunejuice.screening import masked
from prunejuice.text import safe_line, utf8
from prunejuice.workflow import Step, Workflow

STEP = "ask"
HOURS = 12 * 3600.0
"""The longest that an errand may take, whatever its limits are."""


def plan(app: App, verb: str, given: Mapping[str, Any], directory: Path, *, watched: bool = False) -> Plan:
    """The plan of a run that carries a verb out; `given` are arguments of agent steps.

    `watched` when how it ends is told to whoever called for it.

    Raises:
        UsageError: there is no such argument, or a value is of the wrong type.
    """
    known = told.of(verb)
    if others := sorted(given.keys() - known.keys()):
        raise UsageError(
            f"a verb takes no {safe_line(', '.join(others), 200)}", f"those: {', '.join(known)}"
        )
    values = {name: value for name, value in given.items() if value or value == 0}
    if "input" in values:
        values["input"] = utf8(masked("", str(values["input"])).replace("\0", "\ufffd"))
    changes = values.get("changes", "wait")
    args = {name: "${{ args." + name + " }}" for name in values} | {"changes": changes}
    step = Step(verb, STEP, agent=verb, args=args, timeout=HOURS)
    command = Command(
        verb.replace(":", "-"),
        Workflow(verb, steps={STEP: step}, entry_point=STEP),
        category="codebot",
        arguments=tuple(Argument(name, False, known[name].type) for name in values),
        timeout=HOURS,
    )
    made = plans.make(
        command,
        values,
        project=str(app.project.root),
        directory=str(directory),
        commands_used={},
        worktree=False,
    )
    return replace(made, watched=watched)


def outcome(run: Run) -> StepRun | None:
    """How the step of an errand went; nothing of any other run."""
    return run.last(STEP) if run.plan.command.category == "codebot" else None


def kept(home: Path, run: Run, name: str) -> Path | None:
    """The file of an errand's last visit that was kept under a name."""
    ends = f"-{STEP}-{name}"
    found = [each for each in run.artifacts if each.name.endswith(ends)]
    return home / "runs" / run.id / found[-1].path if found else None
