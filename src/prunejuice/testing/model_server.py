"""A model server on the loopback interface that answers from a script.

It speaks the APIs of the providers, so that real clients can be tested without a network: OpenAI's chat
completions and responses, Anthropic's messages, and Gemini's contents.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from prunejuice.testing import wire_format
from prunejuice.testing.loopback import LoopbackServer
from prunejuice.testing.wire_format import Asked, Call, Reply, StreamEvent, Wire

_MAX_REQUEST_BYTES = 64 << 20


class ModelServer(LoopbackServer):
    """A model server that runs for the duration of a `with` statement.

    `answer` returns the reply to each request; `asked` has the received requests.
    """

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.asked: list[Asked] = []
        self._answer = answer
        self._lock = threading.Lock()
        super().__init__(type("Handler", (_ModelEndpoint,), {"model": self}))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that direct clients of every provider to this server."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": "not-a-key",
            "OLLAMA_BASE_URL": f"{self.url}/v1",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "not-a-key",
            "GOOGLE_GEMINI_BASE_URL": self.url,
            "GEMINI_API_KEY": "not-a-key",
        }

    def answer(self, request: Asked) -> tuple[Asked, Reply]:
        """Store a request, and return it with its number, and its reply."""
        with self._lock:
            request = request._replace(number=len(self.asked) + 1)
            self.asked.append(request)
            return request, self._answer(request)


class _ModelEndpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ModelServer

    def do_POST(self) -> None:
        """Answer a request, or return 404 for an unknown path."""
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), _MAX_REQUEST_BYTES))
        path = self.path.partition("?")[0]
        wire = next((wire for suffix, wire in _PATH_WIRES.items() if path.endswith(suffix)), None)
        if wire is None:
            self._send_error(404, f"unknown path {path}", {})
            return
        request, reply = self.model.answer(_parse_request(wire, json.loads(body), path))
        time.sleep(reply.delay)
        if reply.status != 200:
            self._send_error(reply.status, reply.text, reply.headers)
            return
        if reply.body is not None:
            text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            self._send_text(200, text, {"content-type": "application/json", **reply.headers}, reply.charset)
            return
        response = wire_format.RESPONSE_FORMATS[wire](request, _resolve_output(request, reply))
        if request.body.get("stream") or path.endswith(":streamGenerateContent"):
            self._send_stream(wire_format.STREAM_FORMATS[wire](response), reply.headers)
        else:
            text = json.dumps(response, ensure_ascii=False)
            self._send_text(200, text, {"content-type": "application/json", **reply.headers}, reply.charset)

    def _send_stream(self, events: Iterable[StreamEvent], headers: Mapping[str, str]) -> None:
        rows = (f"event: {name}\n" * bool(name) + f"data: {json.dumps(data)}\n\n" for name, data in events)
        self._send_text(200, "".join(rows), {"content-type": "text/event-stream", **headers})

    def _send_error(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": text}
        body = json.dumps({"type": "error", "error": error})
        self._send_text(status, body, {"content-type": "application/json", **headers})

    def _send_text(
        self, status: int, text: str, headers: Mapping[str, str], charset: str = "utf-8"
    ) -> None:
        data = text.encode(charset)
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:  # the client has disconnected
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""


_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
_PATH_WIRES: Mapping[str, Wire] = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/messages": "messages",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
}


def _parse_request(wire: Wire, body: Mapping[str, Any], path: str) -> Asked:
    if wire == "gemini":
        return _parse_gemini_request(body, path)
    messages = body.get("input" if wire == "responses" else "messages", [])
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    texts_by_role: dict[str, list[str]] = {}
    for message in messages:
        texts_by_role.setdefault(message.get("role", "tool"), []).append(_message_text(message))
    instructions = [*texts_by_role.get("system", ()), *texts_by_role.get("developer", ())]
    instructions += [
        _message_text({"content": body[key]}) for key in ("system", "instructions") if body.get(key)
    ]
    tools = tuple(str((tool.get("function") or tool).get("name", "")) for tool in body.get("tools", ()))
    prompt = "\n".join([*texts_by_role.get("user", ()), *texts_by_role.get("tool", ())])
    return Asked(wire, body.get("model", ""), "\n".join(instructions), prompt, tools, body)


def _parse_gemini_request(body: Mapping[str, Any], path: str) -> Asked:
    model = path.rpartition("/")[2].partition(":")[0]
    declarations = (item for tool in body.get("tools", ()) for item in tool.get("functionDeclarations", ()))
    prompt = "\n".join(_message_text({"content": item.get("parts")}) for item in body.get("contents", ()))
    instructions = _message_text({"content": (body.get("systemInstruction") or {}).get("parts")})
    return Asked(
        "gemini", model, instructions, prompt, tuple(str(item.get("name")) for item in declarations), body
    )


def _message_text(message: Mapping[str, Any]) -> str:
    content = message.get("content", message.get("output", ""))
    if isinstance(content, str):
        return content
    return "\n".join(
        str(part.get("text") or _message_text(part)) for part in content or () if isinstance(part, Mapping)
    )


def _resolve_output(request: Asked, reply: Reply) -> Reply:
    """Return the reply with its `output` in the form that the request asks for: a tool call or JSON."""
    if reply.output is None:
        return reply
    formats = (
        request.body.get("response_format"),
        request.body.get("text"),
        request.body.get("output_config"),
    )
    if request.tools and not any(formats):
        return reply._replace(calls=[*reply.calls, Call(request.tools[-1], reply.output)])
    return reply._replace(text=json.dumps(reply.output))
