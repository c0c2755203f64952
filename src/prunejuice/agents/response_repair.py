"""Repair responses of model servers that are nearly in the right format, before their client reads them."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_CHARSET = re.compile(r"charset=\"?([\w.-]+)", re.IGNORECASE)
_ANSWERS = ("choices", "output", "content", "candidates")
"""The fields that hold an answer, one for each format."""
_CHAT_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def repair_responses(model: Any) -> None:
    """Let the client of a model read the responses of a server that keeps its format only roughly."""
    client: Any = getattr(getattr(model, "client", None), "_client", None)
    if hooks := getattr(client, "event_hooks", None):
        client.event_hooks = {**hooks, "response": [*hooks.get("response", ()), _repair_response]}


async def _repair_response(response: Any) -> None:
    content_type = response.headers.get("content-type", "")
    if response.status_code != 200 or "json" not in content_type:
        return
    data = await response.aread()
    with suppress(ValueError):
        body = json.loads(_decode(data, content_type))
        if not isinstance(body, dict):
            return
        response.status_code = _true_status(body)
        # httpx has no other way to change a body that was read; the client decodes it as UTF-8.
        response._content = json.dumps(repaired_body(body)).encode()  # noqa: SLF001


def _decode(data: bytes, content_type: str) -> str:
    """Return a body as text: in UTF-8, or else in the charset that it names, or else in Latin-1."""
    charset = _CHARSET.search(content_type)
    for name in ("utf-8", charset[1] if charset else "latin-1"):
        with suppress(UnicodeDecodeError, LookupError):
            return data.decode(name)
    return data.decode("latin-1")


def _true_status(body: Mapping[str, Any]) -> int:
    """Return the status of a body: gateways send errors with status 200.

    The client would complain of the missing answer, and the server's words would be lost.
    """
    error = body.get("error")
    if not error or any(body.get(key) for key in _ANSWERS):
        return 200
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def repaired_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with an id that is text, and with counts of tokens that are integers.

    If one of a chat is unknown, all are 0: that is no count, so that they are estimated.
    """
    repaired = dict(body)
    if "id" in body:
        repaired["id"] = str(body["id"])
    if isinstance(usage := body.get("usage"), Mapping):
        counts = {key: _count(value) if key.endswith("_tokens") else value for key, value in usage.items()}
        is_known = all(counts.get(key) for key in _CHAT_COUNTS[:2])
        if "choices" in body:
            counts = {"total_tokens": 0, **counts} if is_known else dict.fromkeys(_CHAT_COUNTS, 0)
        repaired["usage"] = counts
    return repaired


def _count(value: Any) -> int:
    with suppress(TypeError, ValueError, OverflowError):
        return int(value)
    return 0
