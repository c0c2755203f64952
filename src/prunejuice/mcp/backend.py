"""Operations of the MCP server as functions that return plain data, independent of MCP."""

import contextlib
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from prunejuice.app import verb_run, wiring
from prunejuice.app.wiring import App
from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.context.bundle import render_bundle
from prunejuice.context.engine import Engine
from prunejuice.context.request import ContextRequest
from prunejuice.engine import driver, trust, view
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import FINAL_STATUSES, Run
from prunejuice.errors import DeniedError, NotFoundError, UsageError
from prunejuice.sandbox.permissions import require_mode, stronger_mode
from prunejuice.text import safe_line, safe_text
from prunejuice.verbs import catalog
from prunejuice.verbs.arguments import SUMMARIZE, AgentArgument, arguments_for

_MAX_LOG_CHARACTERS = 64_000
_MAX_FILE_BYTES = 1_000_000
_POLL_SECONDS = 0.2
_IDLE_STATUSES = (*FINAL_STATUSES, "waiting", "interrupted")


def open_project(directory: Path) -> App:
    """Return the application for the project around the served directory."""
    return wiring.open_app(directory)


def list_commands(app: App) -> list[dict[str, Any]]:
    """Return the executable commands: those of workflows, and the verbs of codebot."""
    commands = []
    for entry in app.catalog.command_entries():
        with contextlib.suppress(UsageError):  # an invalid command file must not hide the others
            command = app.catalog.load(entry.name)
            arguments = [
                {
                    "name": argument.name,
                    "type": argument.type,
                    "required": argument.required and argument.default is None,
                    "default": argument.default,
                    "description": argument.description,
                }
                for argument in command.arguments
            ]
            header = {"name": entry.name, "description": entry.description, "category": entry.category}
            commands.append({**header, "arguments": arguments})
    for verb in catalog.all_verbs(app.project, app.environ):
        arguments = [
            {
                "name": name,
                "type": verb_argument.type,
                "required": name == "prompt" and verb.needs,
                "default": None,
                "description": verb_argument.description,
            }
            for name, verb_argument in _remote_arguments(verb.name).items()
        ]
        header = {"name": f"codebot:{verb.name}", "description": verb.description, "category": "codebot"}
        commands.append({**header, "arguments": arguments})
    return commands


def execute_command(
    app: App,
    name: str,
    arguments: Mapping[str, Any],
    directory: Path,
    *,
    worktree: bool | None,
    sandbox: str = "",
) -> Run:
    """Create a run of a command and drive it in the background; return the pending run.

    `sandbox` is the least that has to contain it; settings and commands can contain it more.

    Raises:
        DeniedError: The project is not trusted.
        UsageError: The command is unknown, or its arguments are invalid.
    """
    trust.require_trusted_project(app.project, app.trust_store)
    wanted = stronger_mode(require_mode(sandbox, "sandbox"), require_mode(app.settings.sandbox, "sandbox"))
    app = app._replace(settings=app.settings._replace(sandbox=wanted))
    if name.startswith("codebot:"):
        verb = catalog.find_verb(name.removeprefix("codebot:"), app.project, app.environ)
        if verb.needs and not str(arguments.get("prompt") or "").strip():
            raise UsageError(f"{name} needs a prompt", "pass it as `prompt` in args")
        plan = verb_run.plan_verb_run(app, verb.name, _check_arguments(verb.name, arguments), directory)
    else:
        plan = wiring.make_plan(app, name, arguments, directory, worktree)
        trust.require_trusted_commands(app.project, plan.all_commands(), app.trust_store)
    run = driver.create_run(plan, app.build_runtime())
    wiring.drive_in_background(app, run)
    return run


def _check_arguments(verb: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a remote verb call.

    Raises:
        UsageError: An argument is not allowed for remote calls.
    """
    allowed = _remote_arguments(verb)
    if rejected := sorted(arguments.keys() - allowed.keys()):
        names = safe_line(", ".join(map(str, rejected)), 200)
        raise UsageError(
            f"verb {verb!r} does not accept {names} over MCP", f"use one of: {', '.join(sorted(allowed))}"
        )
    # A remote caller never applies changes: they wait for the review of a person.
    return {**arguments, "changes": "keep" if verb == SUMMARIZE else "wait"}


def _remote_arguments(verb: str) -> dict[str, AgentArgument]:
    """Return the verb arguments that are safe for remote callers: none runs a program or writes a file."""
    return {name: argument for name, argument in arguments_for(verb).items() if argument.remote_allowed}


def wait_for_run(app: App, run_id: str, report_progress: Callable[[int, int, str], None]) -> Run:
    """Wait until a run ends or needs a person.

    `report_progress` receives the number of finished steps, the total, and the current step or status.
    """
    reported = -1
    while True:
        run = RunHistory(app.settings.home, app.store).load_run(run_id)
        summary = view.summarize_run(run)
        if summary.steps_done != reported:
            reported = summary.steps_done
            report_progress(reported, max(summary.steps_total, 1), summary.step or run.status)
        if run.status in _IDLE_STATUSES:
            return run
        time.sleep(_POLL_SECONDS)


def list_runs(app: App, limit: int = 50) -> list[dict[str, Any]]:
    """Return the runs of the project, newest first."""
    summaries = app.store.summaries(project=str(app.project.root), limit=limit)
    return [view.summary_to_dict(summary) for summary in summaries]


def find_run(app: App, prefix: str) -> Run:
    """Return the run of this project whose id starts with `prefix`.

    Raises:
        NotFoundError: No run id starts with it, or the run belongs to another project.
        UsageError: Several run ids start with it.
    """
    history = RunHistory(app.settings.home, app.store)
    run = history.load_run(history.find_run_id(prefix))
    # All projects share one store, but a client may only see the runs of the served project.
    if run.plan.project != str(app.project.root):
        raise NotFoundError(f"unknown run {prefix!r} in this project", "call listRuns to see its runs")
    return run


def cancel_run(app: App, prefix: str) -> Run:
    """Cancel a run with its clean-up, or ask its driver to do so; return the run as it is now."""
    run = find_run(app, prefix)
    runtime = app.build_runtime()
    if run.status not in FINAL_STATUSES:
        from prunejuice.system.lock import holder_pid  # noqa: PLC0415

        if holder_pid(runtime.registry.lock_path(run.id)):
            runtime.registry.request_stop(run.id)
        else:
            driver.cancel_run(run.id, runtime)
    return find_run(app, run.id)


def read_log(app: App, prefix: str, step: str) -> str:
    """Return the end of the log of the last visit to a step.

    Raises:
        NotFoundError: The run has no such step, or the step has no log.
    """
    run = find_run(app, prefix)
    visit = run.last_visit(step)
    if visit is None or not visit.log:
        names = ", ".join(run.plan.workflow.steps)
        raise NotFoundError(f"run {run.id[:8]} has no log of step {step!r}", f"its steps are: {names}")
    return _read_text(app, run, visit.log)[-_MAX_LOG_CHARACTERS:]


def read_artifact(app: App, prefix: str, name: str) -> str:
    """Return an artifact of a run as text.

    Raises:
        NotFoundError: The run has no artifact with this name.
    """
    run = find_run(app, prefix)
    match = next((artifact for artifact in run.artifacts if artifact.name == name), None)
    if match is None:
        names = ", ".join(artifact.name for artifact in run.artifacts[:20])
        fix = f"its artifacts are: {names}" if names else "it has no artifacts"
        raise NotFoundError(f"run {run.id[:8]} has no artifact {name!r}", fix)
    return _read_text(app, run, match.path)


def _read_text(app: App, run: Run, path: str) -> str:
    directory = RunHistory(app.settings.home, app.store).run_directory(run.id).resolve()
    file_path = (directory / path).resolve()
    # A step may have replaced its file by a symbolic link that leads out of the run directory.
    if not file_path.is_relative_to(directory) or not file_path.is_file():
        raise DeniedError(f"{path!r} is not a file of run {run.id[:8]}")
    with file_path.open("rb") as file:
        return safe_text(file.read(_MAX_FILE_BYTES))


def gather_context(app: App, directory: Path, **options: Any) -> dict[str, Any]:
    """Return the code that is relevant to a task; `budget` is in tokens.

    Raises:
        NotFoundError: A path matches no file.
        UsageError: The budget is too small.
    """
    paths = tuple(options.get("paths") or ())
    budget = options.get("budget") or DEFAULT_BUDGET
    request = ContextRequest(query=str(options.get("query") or ""), paths=paths, budget=budget)
    with closing(Engine(directory, app.environ)) as engine:
        bundle = engine.gather(request)
    files = [{"path": item.path, "mode": item.mode, "tokens": item.tokens} for item in bundle.items]
    return {
        "content": render_bundle(bundle, "text"),
        "tokens": bundle.used,
        "budget": budget,
        "files": files,
    }
