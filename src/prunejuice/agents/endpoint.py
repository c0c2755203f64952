"""What an agent can say to us while it works: an MCP server on loopback, one for each task, behind a token.

`submit_result` takes the result, held to its schema; `approve` answers whether a tool may be used; `ask`
puts a question; `report` says how it goes.
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

from prunejuice.agent import Task
from prunejuice.errors import UsageError

NAME = "prunejuice"
_UNTOLD = object()
NOBODY = "Nobody is here to answer. Decide it yourself, take the careful way, and say what you assumed."

Approves = Callable[[str, Mapping[str, Any]], str]
"""Says why a tool may not be used on some input; empty when it may."""


class Heard(NamedTuple):
    """What came in: `report` or `ask` with a text, `refused` with the tool and why."""

    kind: str
    text: str
    about: str = ""


class Endpoint:
    """The server of one task; `result` is what was submitted last."""

    def __init__(self, task: Task, approves: Approves | None, hear: Callable[[Heard], None]) -> None:
        self.token = secrets.token_urlsafe(24)
        self.result: Any = _UNTOLD
        self._task, self._approves, self._hear = task, approves, hear
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server: Any = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/mcp"

    @property
    def submitted(self) -> bool:
        """Whether a result that fits was submitted."""
        return self.result is not _UNTOLD

    def serve(self, ready: threading.Event) -> None:
        """Answer until `close`; `ready` is set when it can be asked."""
        self._server = _server(self._app(), self.token, ready.set)
        with contextlib.suppress(asyncio.CancelledError, SystemExit):
            asyncio.run(self._server.serve(sockets=[self._socket]))
        ready.set()

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = True

    def _app(self) -> Any:
        from mcp.server.lowlevel import Server  # noqa: PLC0415 - slow

        server: Any = Server(NAME, on_list_tools=self._listed, on_call_tool=self._called)
        return server.streamable_http_app(json_response=True, stateless_http=True)

    async def _listed(self, _context: Any, _params: Any) -> Any:
        from mcp import types  # noqa: PLC0415

        kept = _tools(self._task, approves=self._approves is not None)
        return types.ListToolsResult(tools=[types.Tool(**each) for each in kept])

    async def _called(self, _context: Any, params: Any) -> Any:
        from mcp import types  # noqa: PLC0415

        try:
            said, wrong = self.answered(params.name, params.arguments or {}), False
        except ValueError as error:
            said, wrong = str(error), True
        return types.CallToolResult(content=[types.TextContent(type="text", text=said)], is_error=wrong)

    def answered(self, name: str, given: Mapping[str, Any]) -> str:
        """What a call is answered with.

        Raises:
            ValueError: the result does not fit, or there is no such tool.
        """
        if name == "submit_result" and self._task.schema is not None:
            if "result" not in given:
                raise ValueError("the result is missing: give it as `result`")
            self.result = self._task.check(given["result"]) if self._task.check else given["result"]
            return "The result is taken. You are done."
        if name == "approve" and self._approves is not None:
            tool = str(given.get("tool_name", ""))
            why = self._approves(tool, given.get("input") or {})
            if why:
                self._hear(Heard("refused", tool, why))
                return json.dumps({"behavior": "deny", "message": why})
            return json.dumps({"behavior": "allow", "updatedInput": given.get("input") or {}})
        if name in {"ask", "report"}:
            self._hear(Heard(name, str(given.get("question" if name == "ask" else "text", ""))))
            return NOBODY if name == "ask" else "Noted."
        raise ValueError(f"there is no tool {name!r}")


def _tools(task: Task, *, approves: bool) -> Iterator[dict[str, Any]]:
    text = {"type": "string"}
    yield {
        "name": "report",
        "description": "Say in a sentence how the work goes.",
        "input_schema": {"type": "object", "properties": {"text": text}, "required": ["text"]},
    }
    yield {
        "name": "ask",
        "description": "Ask the person for whom you work a question.",
        "input_schema": {"type": "object", "properties": {"question": text}, "required": ["question"]},
    }
    if approves:
        yield {
            "name": "approve",
            "description": "Ask whether a tool may be used.",
            "input_schema": {
                "type": "object",
                "properties": {"tool_name": text, "input": {"type": "object"}},
                "required": ["tool_name"],
            },
        }
    if task.schema is not None:
        yield {
            "name": "submit_result",
            "description": "Hand in the result of your work. It must fit the schema of `result`.",
            "input_schema": {
                "type": "object",
                "properties": {"result": dict(task.schema)},
                "required": ["result"],
            },
        }


def _guarded(app: Any, token: str) -> Any:
    """The application, for whoever has the token."""

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers") or ()).get(b"authorization", b"")
        known = scope["type"] == "lifespan" or secrets.compare_digest(given, f"Bearer {token}".encode())
        if known:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"the token is missing"})

    return asked


def _server(app: Any, token: str, ready: Callable[[], None]) -> Any:
    import uvicorn  # noqa: PLC0415 - slow

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready()

    return Server(uvicorn.Config(_guarded(app, token), log_level="critical", lifespan="on", ws="none"))


def serve(app: Any, token: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve an application on loopback until the process is stopped; `tell` hears where it is then.

    Raises:
        UsageError: the port is taken.
    """
    try:
        place = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(f"port {port} cannot be had: {error.strerror}", "name another: --port") from error
    url = f"http://127.0.0.1:{place.getsockname()[1]}/mcp"
    asyncio.run(_server(app, token, lambda: tell(url)).serve(sockets=[place]))


@contextmanager
def opened(task: Task, approves: Approves | None, hear: Callable[[Heard], None]) -> Iterator[Endpoint]:
    """An endpoint that is there until the end."""
    endpoint = Endpoint(task, approves, hear)
    ready = threading.Event()
    thread = threading.Thread(target=endpoint.serve, args=[ready], name="endpoint", daemon=True)
    thread.start()
    ready.wait(30)
    try:
        yield endpoint
    finally:
        endpoint.close()
        thread.join(timeout=10)
