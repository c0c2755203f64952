"""The server itself: tools and resources by the names that others call, errors with the codes of `prj`."""

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

import prunejuice
from prunejuice import event as events
from prunejuice import view
from prunejuice.agents import endpoint
from prunejuice.errors import PruneJuiceError
from prunejuice.mcp import answers

_ABOUT = (
    "Runs repeatable AI-coding commands of this project, each in its own git worktree. executeCommand "
    "returns a run's id at once; getRun says how it goes; logs and artifacts are resources below prj://runs."
)
_EXECUTE = (
    "Execute a command in the background. Returns its run's id at once, or with `wait` when it is over. "
    "`worktree` gives the run a worktree of its own, or turns such steps off."
)


@contextmanager
def _named() -> Iterator[None]:
    """Errors of ours as errors of a tool, with what to do about them, and the exit code's word."""
    try:
        yield
    except PruneJuiceError as error:
        fix = f" ({error.fix})" if error.fix else ""
        raise ToolError(f"{events.because(error)}: {error.message}{fix}") from error


def _tool(do: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(do)
    def named(*args: Any, **given: Any) -> Any:
        with _named():
            return do(*args, **given)

    return named


class _Tools:
    """The tools for the project around one directory; its files are read anew for each call."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @functools.cached_property
    def app(self) -> Any:
        return answers.open_at(self.directory)

    def list_commands(self) -> dict[str, Any]:
        return {"commands": answers.commands(self.app)}

    async def execute_command(
        self,
        command: str,
        ctx: Context,
        args: dict[str, Any] | None = None,
        worktree: bool | None = None,
        wait: bool = False,
    ) -> dict[str, Any]:
        with _named():
            app = self.app
            do = functools.partial(
                answers.execute, app, command, args or {}, self.directory, worktree=worktree
            )
            run = await asyncio.to_thread(do)
            if wait:
                run = await _waited(app, run.id, ctx)
        return {"run_id": run.id, **view.whole(run)}

    def get_context(
        self, query: str = "", paths: list[str] | None = None, budget: int = 16_000
    ) -> dict[str, Any]:
        return answers.context(self.app, self.directory, query=query, paths=paths or [], budget=budget)

    def list_runs(self, limit: int = 20) -> dict[str, Any]:
        return {"runs": answers.runs(self.app, max(1, min(limit, 1000)))}

    def get_run(self, run_id: str) -> dict[str, Any]:
        return {"run_id": run_id, **view.whole(answers.run(self.app, run_id))}

    def cancel_run(self, run_id: str) -> dict[str, Any]:
        return {"run_id": run_id, **view.whole(answers.cancel(self.app, run_id))}


def server(directory: Path) -> MCPServer:
    """The server for the project around a directory."""
    tools = _Tools(directory)
    listed = (
        (
            "listCommands",
            _tool(tools.list_commands),
            "List the commands that can be executed, with their arguments.",
        ),
        ("executeCommand", tools.execute_command, _EXECUTE),
        (
            "getContext",
            _tool(tools.get_context),
            "The code that a task is about, within a budget of tokens.",
        ),
        ("listRuns", _tool(tools.list_runs), "The runs of this project, newest first."),
        ("getRun", _tool(tools.get_run), "How a run goes: its status, steps, outputs and artifacts."),
        ("cancelRun", _tool(tools.cancel_run), "End a run in order, with its clean-up."),
    )
    made: MCPServer = MCPServer(
        "prunejuice",
        version=prunejuice.__version__,
        instructions=_ABOUT,
        log_level="ERROR",
        tools=[_strict(Tool.from_function(do, name, description=said)) for name, do, said in listed],
    )
    _resources(made, lambda: tools.app)
    return made


def _strict(tool: Tool) -> Tool:
    """The same tool, whose arguments by wrong names are told, not passed over."""
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    tool.parameters["additionalProperties"] = False
    return tool


async def _waited(app: Any, run_id: str, ctx: Context) -> Any:
    """Wait for a run, and tell how far it is to who asked to be told."""
    loop = asyncio.get_running_loop()

    def tell(done: int, total: int, said: str) -> None:
        asyncio.run_coroutine_threadsafe(ctx.report_progress(done, total, said), loop)

    return await asyncio.to_thread(answers.wait, app, run_id, tell)


def _resource(do: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose errors are those of a resource: told, and no crash."""

    @functools.wraps(do)
    def named(*args: Any, **given: Any) -> Any:
        try:
            return _tool(do)(*args, **given)
        except ToolError as error:
            raise ResourceNotFoundError(str(error)) from error

    return named


def _resources(made: MCPServer, app: Callable[[], Any]) -> None:
    @made.resource("prj://runs", mime_type="application/json", description="The runs of this project")
    @_resource
    def runs() -> Any:
        return {"runs": answers.runs(app())}

    @made.resource("prj://runs/{run_id}", mime_type="application/json", description="One run, whole")
    @_resource
    def run(run_id: str) -> Any:
        return view.whole(answers.run(app(), run_id))

    @made.resource(
        "prj://runs/{run_id}/logs/{step}", mime_type="text/plain", description="What a step printed"
    )
    @_resource
    def log(run_id: str, step: str) -> str:
        return answers.log(app(), run_id, step)

    @made.resource("prj://runs/{run_id}/artifacts/{+name}", description="A file that a run kept")
    @_resource
    def artifact(run_id: str, name: str) -> str:
        return answers.artifact(app(), run_id, name)


def over_stdio(directory: Path) -> None:
    """Serve who started us, on our own input and output, until it closes them."""
    server(directory).run("stdio")


def over_http(directory: Path, port: int, tell: Callable[[str, str], None]) -> None:
    """Serve on loopback, behind a token that `tell` hears with the address; until it is stopped."""
    token = secrets.token_urlsafe(24)
    app = server(directory).streamable_http_app(json_response=True, stateless_http=True)
    endpoint.serve(app, token, port, lambda url: tell(url, token))
