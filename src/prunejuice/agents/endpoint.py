"""The endpoint that an agent calls while it works: an MCP server on loopback, one per task, with a token.

`submit_result` checks and takes the result; `approve` decides whether a tool may be used; `ask` asks a
question; `report` reports progress.
"""

import asyncio
import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from prunejuice.agents.protocol import Task
from prunejuice.errors import UsageError

NAME = "prunejuice"
_NOT_SUBMITTED = object()
NOBODY = "Nobody is here to answer. Decide it yourself, take the careful way, and say what you assumed."

ToolPolicy = Callable[[str, Mapping[str, Any]], str]
"""Returns why a tool may not be used on an input; empty if it may."""


class EndpointMessage(NamedTuple):
    """A message from the agent: `report` or `ask` with a text, `refused` with the tool and the reason."""

    kind: str
    text: str
    about: str = ""


class Endpoint:
    """The server of one task; `result` is the last valid result."""

    def __init__(
        self, task: Task, policy: ToolPolicy | None, on_message: Callable[[EndpointMessage], None]
    ) -> None:
        self.token = secrets.token_urlsafe(24)
        self.result: Any = _NOT_SUBMITTED
        self._task, self._policy, self._on_message = task, policy, on_message
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server: Any = None

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/mcp"

    @property
    def has_result(self) -> bool:
        """Whether a valid result was submitted."""
        return self.result is not _NOT_SUBMITTED

    def serve(self, ready: threading.Event) -> None:
        """Serve until `close`; `ready` is set once requests are accepted."""
        self._server = _build_server(self._build_app(), self.token, ready.set)
        with contextlib.suppress(asyncio.CancelledError, SystemExit):
            asyncio.run(self._server.serve(sockets=[self._socket]))
        ready.set()  # also if the server failed: nobody may wait for it

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            # Without `force_exit` the server would wait for connections that the agent keeps open.
            self._server.should_exit = True
            self._server.force_exit = True

    def _build_app(self) -> Any:
        from mcp.server.lowlevel import Server  # noqa: PLC0415 - slow

        server: Any = Server(NAME, on_list_tools=self._list_tools, on_call_tool=self._call_tool)
        return server.streamable_http_app(json_response=True, stateless_http=True)

    async def _list_tools(self, _context: Any, _params: Any) -> Any:
        from mcp import types  # noqa: PLC0415

        definitions = _tool_definitions(self._task, approves=self._policy is not None)
        return types.ListToolsResult(tools=[types.Tool(**definition) for definition in definitions])

    async def _call_tool(self, _context: Any, params: Any) -> Any:
        from mcp import types  # noqa: PLC0415

        try:
            text, is_error = self.answer_call(params.name, params.arguments or {}), False
        except ValueError as error:
            text, is_error = str(error), True
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)

    def answer_call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return the answer to a call.

        Raises:
            ValueError: the result is not valid, or the tool is unknown.
        """
        if name == "submit_result" and self._task.schema is not None:
            if "result" not in arguments:
                raise ValueError("the result is missing: give it as `result`")
            self.result = self._task.check(arguments["result"]) if self._task.check else arguments["result"]
            return "The result is taken. You are done."
        if name == "approve" and self._policy is not None:
            tool = str(arguments.get("tool_name", ""))
            reason = self._policy(tool, arguments.get("input") or {})
            if reason:
                self._on_message(EndpointMessage("refused", tool, reason))
                return json.dumps({"behavior": "deny", "message": reason})
            return json.dumps({"behavior": "allow", "updatedInput": arguments.get("input") or {}})
        if name in {"ask", "report"}:
            self._on_message(
                EndpointMessage(name, str(arguments.get("question" if name == "ask" else "text", "")))
            )
            return NOBODY if name == "ask" else "Noted."
        raise ValueError(f"unknown tool {name!r}")


def _tool_definitions(task: Task, *, approves: bool) -> Iterator[dict[str, Any]]:
    string = {"type": "string"}
    yield {
        "name": "report",
        "description": "Say in a sentence how the work goes.",
        "input_schema": {"type": "object", "properties": {"text": string}, "required": ["text"]},
    }
    yield {
        "name": "ask",
        "description": "Ask the person for whom you work a question.",
        "input_schema": {"type": "object", "properties": {"question": string}, "required": ["question"]},
    }
    if approves:
        yield {
            "name": "approve",
            "description": "Ask whether a tool may be used.",
            "input_schema": {
                "type": "object",
                "properties": {"tool_name": string, "input": {"type": "object"}},
                "required": ["tool_name"],
            },
        }
    if task.schema is not None:
        yield {
            "name": "submit_result",
            "description": "Submit the result of your work. It must fit the schema of `result`.",
            "input_schema": {
                "type": "object",
                "properties": {"result": dict(task.schema)},
                "required": ["result"],
            },
        }


def _require_token(app: Any, token: str) -> Any:
    """Return the application with a check of the token before every request."""

    async def checked(scope: Any, receive: Any, send: Any) -> None:
        # Other users and web pages can reach a port on loopback: only the token identifies the agent.
        header = dict(scope.get("headers") or ()).get(b"authorization", b"")
        is_allowed = scope["type"] == "lifespan" or secrets.compare_digest(
            header, f"Bearer {token}".encode()
        )
        if is_allowed:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"the token is missing"})

    return checked


def _build_server(app: Any, token: str, ready: Callable[[], None]) -> Any:
    import uvicorn  # noqa: PLC0415 - slow

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready()

    return Server(
        uvicorn.Config(_require_token(app, token), log_level="critical", lifespan="on", ws="none")
    )


def serve_app(app: Any, token: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve an application on loopback until the process is stopped; pass its URL to `on_ready`.

    Raises:
        UsageError: the port is in use.
    """
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(
            f"could not listen on port {port}: {error.strerror}", "use another port: --port"
        ) from error
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    asyncio.run(_build_server(app, token, lambda: on_ready(url)).serve(sockets=[listener]))


@contextmanager
def open_endpoint(
    task: Task, policy: ToolPolicy | None, on_message: Callable[[EndpointMessage], None]
) -> Iterator[Endpoint]:
    """Serve an endpoint for a task until the context ends."""
    endpoint = Endpoint(task, policy, on_message)
    ready = threading.Event()
    thread = threading.Thread(target=endpoint.serve, args=[ready], name="endpoint", daemon=True)
    thread.start()
    ready.wait(30)
    try:
        yield endpoint
    finally:
        endpoint.close()
        thread.join(timeout=10)
