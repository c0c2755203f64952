"""A model server on the loopback interface that answers from a script.

It speaks what providers speak, so that real clients can be driven without a network: OpenAI's chat
completions and responses, Anthropic's messages, and Gemini's contents.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from prunejuice.testing import wires
from prunejuice.testing.loopback import Loopback
from prunejuice.testing.wires import Asked, Call, Event, Reply, Wire

_LARGEST = 64 << 20


class ModelServer(Loopback):
    """Answers requests until the end of its `with`; `asked` are those it had."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.asked: list[Asked] = []
        self._answer = answer
        self._lock = threading.Lock()
        super().__init__(type("Handler", (_Requests,), {"model": self}))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead clients here and nowhere else."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": "not-a-key",
            "OLLAMA_BASE_URL": f"{self.url}/v1",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "not-a-key",
            "GOOGLE_GEMINI_BASE_URL": self.url,
            "GEMINI_API_KEY": "not-a-key",
        }

    def answer(self, asked: Asked) -> Reply:
        """Keep a request, and answer it."""
        with self._lock:
            self.asked.append(asked)
            return self._answer(asked)


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ModelServer

    def do_POST(self) -> None:
        """Answer a request, or say that its path means nothing here."""
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), _LARGEST))
        path = self.path.partition("?")[0]
        wire = next((wire for end, wire in _WIRES.items() if path.endswith(end)), None)
        if wire is None:
            self._fault(404, f"nothing is at {path}", {})
            return
        asked = _asked(wire, json.loads(body), path)
        reply = self.model.answer(asked)
        time.sleep(reply.delay)
        if reply.status != 200:
            self._fault(reply.status, reply.text, reply.headers)
            return
        said = wires.SPEAK[wire](asked, _resolved(asked, reply))
        if asked.body.get("stream") or path.endswith(":streamGenerateContent"):
            self._stream(wires.STREAM[wire](said), reply.headers)
        else:
            self._send(200, json.dumps(said), {"content-type": "application/json", **reply.headers})

    def _stream(self, events: Iterable[Event], headers: Mapping[str, str]) -> None:
        rows = (f"event: {name}\n" * bool(name) + f"data: {json.dumps(data)}\n\n" for name, data in events)
        self._send(200, "".join(rows), {"content-type": "text/event-stream", **headers})

    def _fault(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        error = {"type": _FAULTS.get(status, "api_error"), "message": text}
        said = json.dumps({"type": "error", "error": error})
        self._send(status, said, {"content-type": "application/json", **headers})

    def _send(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        data = text.encode()
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:  # who asked has gone
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_FAULTS = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
_WIRES: Mapping[str, Wire] = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/messages": "messages",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
}


def _asked(wire: Wire, body: Mapping[str, Any], path: str) -> Asked:
    if wire == "gemini":
        return _asked_gemini(body, path)
    messages = body.get("input" if wire == "responses" else "messages", [])
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    said: dict[str, list[str]] = {}
    for message in messages:
        said.setdefault(message.get("role", "tool"), []).append(_text(message))
    instructions = [*said.get("system", ()), *said.get("developer", ())]
    instructions += [_text({"content": body[key]}) for key in ("system", "instructions") if body.get(key)]
    tools = tuple(str((tool.get("function") or tool).get("name", "")) for tool in body.get("tools", ()))
    prompt = "\n".join([*said.get("user", ()), *said.get("tool", ())])
    return Asked(wire, body.get("model", ""), "\n".join(instructions), prompt, tools, body)


def _asked_gemini(body: Mapping[str, Any], path: str) -> Asked:
    model = path.rpartition("/")[2].partition(":")[0]
    declared = (each for tool in body.get("tools", ()) for each in tool.get("functionDeclarations", ()))
    prompt = "\n".join(_text({"content": each.get("parts")}) for each in body.get("contents", ()))
    told = _text({"content": (body.get("systemInstruction") or {}).get("parts")})
    return Asked("gemini", model, told, prompt, tuple(str(each.get("name")) for each in declared), body)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content", message.get("output", ""))
    if isinstance(content, str):
        return content
    return "\n".join(
        str(part.get("text") or _text(part)) for part in content or () if isinstance(part, Mapping)
    )


def _resolved(asked: Asked, reply: Reply) -> Reply:
    """A reply whose result has the form that the request asks for: the call of a tool, or JSON."""
    if reply.output is None:
        return reply
    forms = (asked.body.get("response_format"), asked.body.get("text"), asked.body.get("output_config"))
    if asked.tools and not any(forms):
        return reply._replace(calls=[*reply.calls, Call(asked.tools[-1], reply.output)])
    return reply._replace(text=json.dumps(reply.output))
