"""What a model server says, in the words of each provider: whole, and as a stream of events."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Wire = Literal["chat", "responses", "messages", "gemini"]
Event = tuple[str, Any]
Said = Mapping[str, Any]


class Call(NamedTuple):
    """A tool that the model calls; `namespace` is that of a server's tools, where the wire has such."""

    name: str
    arguments: Mapping[str, Any]
    namespace: str = ""


class Reply(NamedTuple):
    """What the model says: text, calls of tools, or a result in whatever way the request asks for one.

    A `status` other than 200 is an error with `text` as its message; `delay` is seconds.
    """

    text: str = ""
    calls: Sequence[Call] = ()
    output: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}
    delay: float = 0.0


class Asked(NamedTuple):
    """A request: `prompt` is all that the user said, `tools` what may be called."""

    wire: Wire
    model: str
    instructions: str
    prompt: str
    tools: tuple[str, ...]
    body: Mapping[str, Any]


def _chat(asked: Asked, reply: Reply) -> Said:
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for n, (name, given, _) in enumerate(reply.calls)
    ]
    message = {
        "role": "assistant",
        "content": reply.text or None,
        **({"tool_calls": calls} if calls else {}),
    }
    choice = {"index": 0, "finish_reason": "tool_calls" if calls else "stop", "message": message}
    read, written = _tokens(asked, reply)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    named = {"id": "chat_1", "object": "chat.completion", "created": 1, "model": asked.model}
    return {**named, "choices": [choice], "usage": usage}


def _chat_stream(said: Said) -> Iterator[Event]:
    [choice] = said["choices"]
    common = {**said, "object": "chat.completion.chunk"}
    message = dict(choice["message"])
    calls = [{"index": n, **call} for n, call in enumerate(message.pop("tool_calls", ()))]
    delta = {**message, **({"tool_calls": calls} if calls else {})}
    for each, reason in ((delta, None), ({}, choice["finish_reason"])):
        yield (
            "",
            {**common, "choices": [{"index": 0, "delta": each, "finish_reason": reason}], "usage": None},
        )
    yield "", {**common, "choices": []}


def _responses(asked: Asked, reply: Reply) -> Said:
    output: list[dict[str, Any]] = []
    if reply.text:
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        output.append({"type": "message", "id": "msg_1", "role": "assistant", "content": content})
    output += [
        {
            "type": "function_call",
            "id": f"fc_{n}",
            "call_id": f"call_{n}",
            "name": name,
            "arguments": json.dumps(given),
            **({"namespace": namespace} if namespace else {}),
        }
        for n, (name, given, namespace) in enumerate(reply.calls)
    ]
    read, written = _tokens(asked, reply)
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }
    named = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": asked.model,
    }
    fixed = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    items = [{**item, "status": "completed"} for item in output]
    return {**named, **fixed, "output": items, "usage": usage}


def _responses_stream(said: Said) -> Iterator[Event]:
    begun = {**said, "status": "in_progress", "output": [], "usage": None}
    rows: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun})]
    for index, item in enumerate(said["output"]):
        place = {"output_index": index}
        rows.append(("response.output_item.added", {**place, "item": {**item, "status": "in_progress"}}))
        if item["type"] == "message":
            where = {**place, "item_id": item["id"], "content_index": 0}
            rows.append((
                "response.output_text.delta",
                {**where, "delta": item["content"][0]["text"], "logprobs": []},
            ))
        else:
            where = {**place, "item_id": item["id"]}
            rows.append(("response.function_call_arguments.delta", {**where, "delta": item["arguments"]}))
        rows.append(("response.output_item.done", {**place, "item": item}))
    rows.append(("response.completed", {"response": said}))
    for number, (name, data) in enumerate(rows):
        yield name, {"type": name, "sequence_number": number, **data}


def _messages(asked: Asked, reply: Reply) -> Said:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": dict(given)}
        for n, (name, given, _) in enumerate(reply.calls)
    ]
    read, written = _tokens(asked, reply)
    named = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.model}
    ending = {"stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None}
    return {
        **named,
        "content": content,
        **ending,
        "usage": {"input_tokens": read, "output_tokens": written},
    }


def _messages_stream(said: Said) -> Iterator[Event]:
    begun = {**said, "content": [], "stop_reason": None}
    rows: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": begun})]
    for index, block in enumerate(said["content"]):
        if block["type"] == "text":
            empty: Said = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        rows.append(("content_block_start", {"index": index, "content_block": empty}))
        rows.append(("content_block_delta", {"index": index, "delta": delta}))
        rows.append(("content_block_stop", {"index": index}))
    ending = {"stop_reason": said["stop_reason"], "stop_sequence": None}
    rows.append(("message_delta", {"delta": ending, "usage": said["usage"]}))
    rows.append(("message_stop", {}))
    for name, data in rows:
        yield name, {"type": name, **data}


def _gemini(asked: Asked, reply: Reply) -> Said:
    parts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    parts += [{"functionCall": {"name": name, "args": dict(given)}} for name, given, _ in reply.calls]
    read, written = _tokens(asked, reply)
    usage = {"promptTokenCount": read, "candidatesTokenCount": written, "totalTokenCount": read + written}
    candidate = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": asked.model}


def _gemini_stream(said: Said) -> Iterator[Event]:
    yield "", said


def _tokens(asked: Asked, reply: Reply) -> tuple[int, int]:
    """What a reply would be charged: tokens read and written, four letters each."""
    written = len(reply.text) + sum(len(json.dumps(call.arguments)) for call in reply.calls)
    return len(asked.prompt + asked.instructions) // 4 + 1, written // 4 + 1


SPEAK: Mapping[Wire, Callable[[Asked, Reply], Said]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
    "gemini": _gemini,
}
STREAM: Mapping[Wire, Callable[[Said], Iterable[Event]]] = {
    "chat": _chat_stream,
    "responses": _responses_stream,
    "messages": _messages_stream,
    "gemini": _gemini_stream,
}
