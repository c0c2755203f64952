"""The MCP server: its tools and resources, with errors that carry the failure reasons of `prj`."""

import asyncio
import functools
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.mcpserver.tools import Tool

from prunejuice.agents import endpoint
from prunejuice.context.budget import TOOL_BUDGET
from prunejuice.engine import event as events
from prunejuice.engine import view
from prunejuice.errors import PruneJuiceError
from prunejuice.mcp import backend
from prunejuice.text import safe_line, spelling_hint
from prunejuice.version import __version__

_INSTRUCTIONS = (
    "Runs repeatable AI-coding commands of this project, each in its own git worktree. executeCommand "
    "returns a run id at once; getRun returns its state; logs and artifacts are resources below prj://runs."
)
_EXECUTE_DESCRIPTION = (
    "Execute a command in the background. Returns the run id at once, or with `wait` after the run has "
    "ended. `worktree` true runs it in a new worktree; false turns off the steps that create one. "
    "`sandbox` (files or files+net) contains its processes more than the settings do, never less."
)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Convert a PruneJuiceError to a ToolError with its failure reason and fix."""
    try:
        yield
    except PruneJuiceError as error:
        fix = f" ({error.fix})" if error.fix else ""
        raise ToolError(f"{events.failure_reason(error)}: {error.message}{fix}") from error


def _wrap_tool(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _translate_errors():
            return function(*args, **kwargs)

    return wrapper


class _ProjectTools:
    """The tools for the project around one directory; each call reads its files again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @functools.cached_property
    def app(self) -> Any:
        return backend.open_project(self.directory)

    def list_commands(self) -> dict[str, Any]:
        return {"commands": backend.list_commands(self.app)}

    async def execute_command(
        self,
        command: str,
        ctx: Context,
        args: dict[str, Any] | None = None,
        worktree: bool | None = None,
        wait: bool = False,
        sandbox: str = "",
    ) -> dict[str, Any]:
        with _translate_errors():
            app = self.app
            execute = functools.partial(
                backend.execute_command,
                app,
                command,
                args or {},
                self.directory,
                worktree=worktree,
                sandbox=sandbox,
            )
            run = await asyncio.to_thread(execute)
            if wait:
                run = await _wait_with_progress(app, run.id, ctx)
        return {"run_id": run.id, **view.run_to_dict(run)}

    def get_context(
        self, query: str = "", paths: list[str] | None = None, budget: int = TOOL_BUDGET
    ) -> dict[str, Any]:
        return backend.gather_context(
            self.app, self.directory, query=query, paths=paths or [], budget=budget
        )

    def list_runs(self, limit: int = 20) -> dict[str, Any]:
        return {"runs": backend.list_runs(self.app, max(1, min(limit, 1000)))}

    def get_run(self, run_id: str) -> dict[str, Any]:
        return {"run_id": run_id, **view.run_to_dict(backend.find_run(self.app, run_id))}

    def cancel_run(self, run_id: str) -> dict[str, Any]:
        return {"run_id": run_id, **view.run_to_dict(backend.cancel_run(self.app, run_id))}


def build_server(directory: Path) -> MCPServer:
    """Return the MCP server for the project around a directory."""
    tools = _ProjectTools(directory)
    tool_specs = (
        (
            "listCommands",
            _wrap_tool(tools.list_commands),
            "List the commands that can be executed, with their arguments.",
        ),
        ("executeCommand", tools.execute_command, _EXECUTE_DESCRIPTION),
        (
            "getContext",
            _wrap_tool(tools.get_context),
            "Return the code that is relevant to a task, within a budget of tokens.",
        ),
        ("listRuns", _wrap_tool(tools.list_runs), "List the runs of this project, newest first."),
        (
            "getRun",
            _wrap_tool(tools.get_run),
            "Return the state of a run: its status, steps, outputs and artifacts.",
        ),
        ("cancelRun", _wrap_tool(tools.cancel_run), "Cancel a run and run its clean-up steps."),
    )
    server: MCPServer = MCPServer(
        "prunejuice",
        version=__version__,
        instructions=_INSTRUCTIONS,
        log_level="ERROR",
        tools=[
            _forbid_extra_arguments(_StrictTool.from_function(function, name, description=description))
            for name, function, description in tool_specs
        ],
    )
    _register_resources(server, lambda: tools.app)
    return server


class _StrictTool(Tool):
    """A tool that names the arguments it knows when it gets another one."""

    async def run(self, arguments: dict[str, Any], *args: Any, **options: Any) -> Any:
        known = self.parameters.get("properties", {})
        for name in arguments.keys() - known.keys():
            hint = f" ({hint})" if (hint := spelling_hint(name, known)) else ""
            listed = ", ".join(known) or "none"
            problem = f"usage: {self.name} has no argument {safe_line(name, 60)!r}{hint}"
            raise ToolError(f"{problem}; its arguments are {listed}")
        return await super().run(arguments, *args, **options)


def _forbid_extra_arguments(tool: Tool) -> Tool:
    """Make a tool reject unknown arguments instead of ignoring them."""
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    tool.parameters["additionalProperties"] = False
    return tool


async def _wait_with_progress(app: Any, run_id: str, ctx: Context) -> Any:
    """Wait for a run and report its progress to the client."""
    loop = asyncio.get_running_loop()

    # The run is polled in a thread, but progress must be sent from the event loop.
    def report_progress(finished: int, total: int, message: str) -> None:
        asyncio.run_coroutine_threadsafe(ctx.report_progress(finished, total, message), loop)

    return await asyncio.to_thread(backend.wait_for_run, app, run_id, report_progress)


def _wrap_resource(function: Callable[..., Any]) -> Callable[..., Any]:
    """Convert the errors of a resource function, so that the client sees their message."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return _wrap_tool(function)(*args, **kwargs)
        except ToolError as error:
            raise ResourceNotFoundError(str(error)) from error

    return wrapper


def _register_resources(server: MCPServer, app: Callable[[], Any]) -> None:
    @server.resource("prj://runs", mime_type="application/json", description="The runs of this project")
    @_wrap_resource
    def runs() -> Any:
        return {"runs": backend.list_runs(app())}

    @server.resource(
        "prj://runs/{run_id}",
        mime_type="application/json",
        description="One run with its steps and artifacts",
    )
    @_wrap_resource
    def run(run_id: str) -> Any:
        return view.run_to_dict(backend.find_run(app(), run_id))

    @server.resource(
        "prj://runs/{run_id}/logs/{step}", mime_type="text/plain", description="The log of a step"
    )
    @_wrap_resource
    def log(run_id: str, step: str) -> str:
        return backend.read_log(app(), run_id, step)

    @server.resource("prj://runs/{run_id}/artifacts/{+name}", description="An artifact of a run")
    @_wrap_resource
    def artifact(run_id: str, name: str) -> str:
        return backend.read_artifact(app(), run_id, name)


def serve_stdio(directory: Path) -> None:
    """Serve on stdin and stdout until the client closes them."""
    build_server(directory).run("stdio")


def serve_http(directory: Path, port: int, report_address: Callable[[str, str], None]) -> None:
    """Serve on loopback, protected by a token, until the process is stopped.

    `report_address` receives the URL and the token.
    """
    token = secrets.token_urlsafe(24)
    app = build_server(directory).streamable_http_app(json_response=True, stateless_http=True)
    endpoint.serve_app(app, token, port, lambda url: report_address(url, token))
