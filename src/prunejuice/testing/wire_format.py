"""The answers of a model server in the format of each provider, as one body and as a stream of events."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Finish = Literal["stop", "length", "content_filter"]
Wire = Literal["chat", "responses", "messages", "gemini"]
StreamEvent = tuple[str, Any]
ResponseBody = Mapping[str, Any]


class Call(NamedTuple):
    """A tool call; `namespace` is the MCP server of the tool, where the wire format has one."""

    name: str
    arguments: Mapping[str, Any]
    namespace: str = ""


class Reply(NamedTuple):
    """A reply of the model: text, tool calls, or an `output` in the form that the request asks for.

    A `status` other than 200 is an error with `text` as its message; `delay` is in seconds. `finish` says
    how the answer ends. `usage` are the tokens read and written that the server reports: counted if
    None, and none at all if empty. `body` replaces the whole response: an object, or text.
    `charset` encodes the response.
    """

    text: str = ""
    calls: Sequence[Call] = ()
    output: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}
    delay: float = 0.0
    finish: Finish = "stop"
    usage: tuple[int, int] | tuple[()] | None = None
    body: Any = None
    charset: str = "utf-8"


class Asked(NamedTuple):
    """A request to the model: `prompt` has all user messages and tool results, `tools` the tool names.

    `number` counts the requests of the server from 1, so that every answer has ids of its own.
    """

    wire: Wire
    model: str
    instructions: str
    prompt: str
    tools: tuple[str, ...]
    body: Mapping[str, Any]
    number: int = 1


def _format_chat(request: Asked, reply: Reply) -> ResponseBody:
    calls = [
        {
            "id": f"call_{request.number}_{n}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for n, (name, arguments, _) in enumerate(reply.calls)
    ]
    message = {
        "role": "assistant",
        "content": reply.text or None,
        **({"tool_calls": calls} if calls else {}),
    }
    choice = {"index": 0, "finish_reason": "tool_calls" if calls else reply.finish, "message": message}
    input_tokens, output_tokens = _count_tokens(request, reply)
    usage = {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }
    header = {
        "id": f"chat_{request.number}",
        "object": "chat.completion",
        "created": 1,
        "model": request.model,
    }
    return {**header, "choices": [choice], "usage": None if reply.usage == () else usage}


def _stream_chat(body: ResponseBody) -> Iterator[StreamEvent]:
    [choice] = body["choices"]
    common = {**body, "object": "chat.completion.chunk"}
    message = dict(choice["message"])
    calls = [{"index": n, **call} for n, call in enumerate(message.pop("tool_calls", ()))]
    delta = {**message, **({"tool_calls": calls} if calls else {})}
    for part, reason in ((delta, None), ({}, choice["finish_reason"])):
        yield (
            "",
            {**common, "choices": [{"index": 0, "delta": part, "finish_reason": reason}], "usage": None},
        )
    yield "", {**common, "choices": []}


def _format_responses(request: Asked, reply: Reply) -> ResponseBody:
    output: list[dict[str, Any]] = []
    if reply.text:
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        output.append({
            "type": "message",
            "id": f"msg_{request.number}",
            "role": "assistant",
            "content": content,
        })
    output += [
        {
            "type": "function_call",
            "id": f"fc_{request.number}_{n}",
            "call_id": f"call_{request.number}_{n}",
            "name": name,
            "arguments": json.dumps(arguments),
            **({"namespace": namespace} if namespace else {}),
        }
        for n, (name, arguments, namespace) in enumerate(reply.calls)
    ]
    input_tokens, output_tokens = _count_tokens(request, reply)
    usage = {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }
    header = {
        "id": f"resp_{request.number}",
        "object": "response",
        "created_at": 1,
        "status": "completed" if reply.finish == "stop" else "incomplete",
        "model": request.model,
        **({} if reply.finish == "stop" else {"incomplete_details": {"reason": _INCOMPLETE[reply.finish]}}),
    }
    defaults = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    items = [{**item, "status": "completed"} for item in output]
    return {**header, **defaults, "output": items, "usage": usage}


def _stream_responses(body: ResponseBody) -> Iterator[StreamEvent]:
    started = {**body, "status": "in_progress", "output": [], "usage": None}
    rows: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": started})]
    for index, item in enumerate(body["output"]):
        position = {"output_index": index}
        rows.append(("response.output_item.added", {**position, "item": {**item, "status": "in_progress"}}))
        if item["type"] == "message":
            target = {**position, "item_id": item["id"], "content_index": 0}
            rows.append((
                "response.output_text.delta",
                {**target, "delta": item["content"][0]["text"], "logprobs": []},
            ))
        else:
            target = {**position, "item_id": item["id"]}
            rows.append(("response.function_call_arguments.delta", {**target, "delta": item["arguments"]}))
        rows.append(("response.output_item.done", {**position, "item": item}))
    rows.append(("response.completed", {"response": body}))
    for number, (name, data) in enumerate(rows):
        yield name, {"type": name, "sequence_number": number, **data}


def _format_messages(request: Asked, reply: Reply) -> ResponseBody:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{request.number}_{n}", "name": name, "input": dict(arguments)}
        for n, (name, arguments, _) in enumerate(reply.calls)
    ]
    input_tokens, output_tokens = _count_tokens(request, reply)
    header = {"id": f"msg_{request.number}", "type": "message", "role": "assistant", "model": request.model}
    stop_reason = "tool_use" if reply.calls else _STOP_REASONS[reply.finish]
    ending = {"stop_reason": stop_reason, "stop_sequence": None}
    return {
        **header,
        "content": content,
        **ending,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens},
    }


def _stream_messages(body: ResponseBody) -> Iterator[StreamEvent]:
    started = {**body, "content": [], "stop_reason": None}
    rows: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": started})]
    for index, block in enumerate(body["content"]):
        if block["type"] == "text":
            empty: ResponseBody = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        rows.append(("content_block_start", {"index": index, "content_block": empty}))
        rows.append(("content_block_delta", {"index": index, "delta": delta}))
        rows.append(("content_block_stop", {"index": index}))
    ending = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    rows.append(("message_delta", {"delta": ending, "usage": body["usage"]}))
    rows.append(("message_stop", {}))
    for name, data in rows:
        yield name, {"type": name, **data}


def _format_gemini(request: Asked, reply: Reply) -> ResponseBody:
    parts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    parts += [
        {"functionCall": {"name": name, "args": dict(arguments)}} for name, arguments, _ in reply.calls
    ]
    input_tokens, output_tokens = _count_tokens(request, reply)
    usage = {
        "promptTokenCount": input_tokens,
        "candidatesTokenCount": output_tokens,
        "totalTokenCount": input_tokens + output_tokens,
    }
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    candidate["finishReason"] = _GEMINI_REASONS[reply.finish]
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": request.model}


def _stream_gemini(body: ResponseBody) -> Iterator[StreamEvent]:
    yield "", body


def _count_tokens(request: Asked, reply: Reply) -> tuple[int, int]:
    """Return the numbers of input and output tokens, at four characters each."""
    if reply.usage:
        return reply.usage
    output_length = len(reply.text) + sum(len(json.dumps(call.arguments)) for call in reply.calls)
    return len(request.prompt + request.instructions) // 4 + 1, output_length // 4 + 1


_INCOMPLETE: Mapping[Finish, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_STOP_REASONS: Mapping[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_GEMINI_REASONS: Mapping[Finish, str] = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
RESPONSE_FORMATS: Mapping[Wire, Callable[[Asked, Reply], ResponseBody]] = {
    "chat": _format_chat,
    "responses": _format_responses,
    "messages": _format_messages,
    "gemini": _format_gemini,
}
STREAM_FORMATS: Mapping[Wire, Callable[[ResponseBody], Iterable[StreamEvent]]] = {
    "chat": _stream_chat,
    "responses": _stream_responses,
    "messages": _stream_messages,
    "gemini": _stream_gemini,
}
