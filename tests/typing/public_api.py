"""Uses of the public packages for `mypy --strict`: the right ones pass, each wrong one is refused with its code.

mypy reports a `type: ignore` that ignores nothing, so a wrong use that passes turns the check red.
"""

from pathlib import Path

from codebot import (
    ChangeSet,
    Command,
    FileChange,
    PlaceResult,
    SummaryCache,
    WorkflowStep,
    place,
    register_command,
)
from codeclip import Bundle, gather, get_context
from prunejuice import Argument, Run, Step, Workflow, execute, parallel, sequence


def right_uses() -> None:
    result: PlaceResult = place("answer", {"a.py": "x = 1\n", "b.bin": b"\0"}, format=None)
    paths: list[str] = [edit.path for edit in result.rejected]
    changes = ChangeSet((FileChange("a.py", "x = 2\n"),))
    text: str = changes.preview()
    step = WorkflowStep(name="Build", script="true").model_copy(update={"condition": "args.fast"})
    decided: bool = step.should_execute({"args": {"fast": True}})
    flow: Workflow = sequence(parallel(Workflow("a", steps={"a": step}, entry_point="a")))
    run: Run = execute(flow, {"fast": True}, Path())
    status: str = run.status
    bundle: Bundle = gather(paths=["a.py"])
    shown, info = get_context(["a.py"], style="markdown")
    total: int = info["total_tokens"]
    SummaryCache(Path(".codebot/summaries"))
    Argument("issue", type="integer", required=True)
    print(paths, text, decided, status, bundle.used, shown.upper(), total)


@register_command
class Hello(Command):
    name = "hello"
    description = "Say hello"
    prompt_template = "hello"


def wrong_uses() -> None:
    from codebot import NoSuchName  # type: ignore[attr-defined]
    from codeclip import nothing  # type: ignore[attr-defined]
    from prunejuice import missing  # type: ignore[attr-defined]

    FileChange(1, "text")  # type: ignore[arg-type]
    FileChange("a.py", nonsense=4)  # type: ignore[call-arg]
    ChangeSet(FileChange("a.py", "text"))  # type: ignore[arg-type]
    place("answer", ["a.py"])  # type: ignore[arg-type]
    place("answer", {"a.py": 1})  # type: ignore[dict-item]
    place("answer", {}).rejected.path  # type: ignore[attr-defined]
    Step(1, "text")  # type: ignore[arg-type]
    execute("build")  # type: ignore[arg-type]
    gather(nonsense=1)  # type: ignore[call-arg]
    gather(strategy="best")  # type: ignore[arg-type]
    get_context(paths=1)  # type: ignore[arg-type]
    print(NoSuchName, nothing, missing)
