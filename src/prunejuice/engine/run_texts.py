"""What a run was asked to do, what its agents say about it, and what shows that it works."""

from collections.abc import Iterator

from prunejuice.engine.run import Run
from prunejuice.text import safe_line

_FETCH_ISSUE = "fetch-issue"
_MAX_TITLE = 100


def find_issue(run: Run) -> tuple[int, str] | None:
    """Return the number and the title of the issue that the run fetched."""
    for visit in run.visits:
        step = run.plan.workflow.steps.get(visit.step)
        number = visit.outputs.get("number")
        if step and _FETCH_ISSUE in {step.uses, step.name} and isinstance(number, int):
            return number, str(visit.outputs.get("title") or "")
    return None


def describe_task(run: Run) -> str:
    """Return the issue or the first line of the prompt that a run was given; empty if it has neither."""
    if issue := find_issue(run):
        return safe_line(f"#{issue[0]} {issue[1]}".strip(), _MAX_TITLE)
    prompt = run.plan.arguments.get("prompt")
    if isinstance(prompt, str) and prompt.strip():
        from prunejuice.system.redact import mask_argument  # noqa: PLC0415 - not for lists of runs

        shown = str(mask_argument("prompt", prompt.strip(), run.plan.secret_names))
        return safe_line(shown.splitlines()[0], _MAX_TITLE)
    number = run.plan.arguments.get("issue")
    return f"#{number}" if isinstance(number, int) else ""


def find_summary(run: Run) -> str:
    """Return the words of the last agent that said something about its work."""
    summaries = [str(visit.outputs.get("summary") or "") for visit in run.visits]
    return next((text for text in reversed(summaries) if text.strip()), "")


def list_evidence(run: Run) -> Iterator[str]:
    """Yield what the last agent gave as evidence, and the scripts that passed on what it made.

    A script counts if the files are still those that it saw, by the snapshots of the run. A run that has
    not completed has no evidence.
    """
    if run.status != "completed":
        return
    after = {(taken.step, taken.visit): taken.commit for taken in run.snapshots if taken.when == "after"}
    final = next((taken.commit for taken in reversed(run.snapshots) if taken.step and taken.commit), "")
    facts: list[str] = []
    is_waiting = False
    for visit in run.visits:
        step = run.plan.workflow.steps.get(visit.step)
        if step is None or visit.status != "completed":
            continue
        if step.agent and visit.outputs.get("digest"):
            said = visit.outputs.get("evidence")
            facts = list(map(str, said if isinstance(said, list) else ()))
            # What waits for a review is in no file that a later script sees.
            is_waiting = bool(visit.outputs.get("change_set"))
        elif step.script and "\n" not in step.script.strip():
            saw_this = not is_waiting and after.get((visit.step, visit.visit), final) == final
            facts += [f"{step.name}: `{safe_line(step.script, 120)}` passes"] if saw_this else []
    yield from facts
