"""Tool calls written as text: JSON or XML with the arguments of an editing tool.

{"file_path": "app.py", "old_string": "x = 1", "new_string": "x = 2"}
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from prunejuice.edits.edit import Edit, UnreadableAnswerError

_PATHS = (
    "file_path",
    "filepath",
    "path",
    "filename",
    "file",
    "target_file",
    "relative_path",
    "absolute_path",
)
_OLD = ("old_string", "old_str", "old_text", "oldText", "oldString", "old_content", "old", "search", "find")
_NEW = (
    "new_string",
    "new_str",
    "new_text",
    "newText",
    "newString",
    "new_content",
    "new",
    "replace",
    "replacement",
)
_CONTENT = ("content", "contents", "file_text", "file_content", "text")
_NESTED = (
    "arguments",
    "input",
    "parameters",
    "args",
    "function",
    "tool_calls",
    "tool_use",
    "edits",
    "changes",
)
_PATCHES = ("input", "patch", "diff", "patch_text")
_PATCH_START = re.compile(r"\s*(?:\*\*\* Begin Patch|--- |diff --git |@@ |<{5,}|-{5,} SEARCH)")
_INVOKE = re.compile(r"<(?:\w+:)?(invoke|function|tool_call)\b[^>]*>(.*?)</(?:\w+:)?\1>", re.DOTALL)
_PARAMETER = re.compile(
    r"<(?:\w+:)?parameter(?:=| name=)\"?([\w-]+)\"?[^>]*>\n?(.*?)\n?</(?:\w+:)?parameter>", re.DOTALL
)
_TOOLS = (
    "write_to_file", "replace_in_file", "apply_diff", "create_file", "edit_file", "write_file",
    "str_replace",
    "str_replace_editor", "str_replace_based_edit_tool", "search_replace",
)  # fmt: skip
_TOOL = re.compile(rf"<({'|'.join(_TOOLS)})>(.*?)</\1>", re.DOTALL)
_CHILD = re.compile(r"<(\w+)>\n?(.*?)\n?</\1>", re.DOTALL)
_FENCED = re.compile(r"^```(?:json|tool_call|tool)?[ \t]*\n([\[{].*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_MAX_DEPTH = 8
_PATCH_FORMATS = ("apply_patch", "search_replace", "unified_diff")

Arguments = Mapping[str, Any]


def has_edits(lines: Sequence[str]) -> bool:
    """Return whether the answer has a call with the path of a file and what to write."""
    return next(_find_calls("\n".join(lines)), None) is not None


def has_tags(lines: Sequence[str]) -> bool:
    """Return whether the answer has a call in tags, which may hold a patch of another format."""
    text = "\n".join(lines)
    tagged = [dict(_PARAMETER.findall(tag[2])) for tag in _INVOKE.finditer(text)]
    tagged += [dict(_CHILD.findall(tag[2])) for tag in _TOOL.finditer(text)]
    return any(map(_is_editing, tagged))


def read(lines: Sequence[str]) -> list[Edit]:
    """Parse the calls of an answer.

    Raises:
        UnreadableAnswerError: A call lacks an argument, or uses one that cannot be read.
    """
    return [edit for call in _find_calls("\n".join(lines)) for edit in _call_edits(call)]


def _find_calls(text: str) -> Iterator[Arguments]:
    """Yield the arguments of every call that edits a file."""
    for source in (text, *_FENCED.findall(text)):
        if source.lstrip()[:1] in {"{", "["}:
            try:
                data = json.loads(source)
            except (ValueError, RecursionError):
                continue
            found = list(_editing_calls(data, {}, _MAX_DEPTH))
            yield from found
            if found:
                return
    for tag in _INVOKE.finditer(text):
        yield from _editing_calls(dict(_PARAMETER.findall(tag[2])), {}, 1)
    for tag in _TOOL.finditer(text):
        yield from _editing_calls(dict(_CHILD.findall(tag[2])), {}, 1)


def _editing_calls(data: Any, outer: Arguments, depth: int) -> Iterator[Arguments]:
    """Yield the calls in nested data; the arguments around a list of edits hold for each of them."""
    if isinstance(data, str) and data.lstrip()[:1] in {"{", "["}:
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return
    if depth == 0 or not isinstance(data, dict | list):
        return
    if isinstance(data, list):
        for item in data:
            yield from _editing_calls(item, outer, depth - 1)
        return
    call = {**{key: outer[key] for key in _PATHS if key in outer}, **data}
    if _is_editing(call):
        yield call
        return
    for key in (*_NESTED, *(("content",) if isinstance(data.get("content"), list) else ())):
        yield from _editing_calls(data.get(key), call, depth - 1)


def _is_editing(call: Arguments) -> bool:
    if _patch_of(call):
        return True
    has_change = _first(call, _OLD) is not None and _first(call, _NEW) is not None
    return _first(call, _PATHS) is not None and (has_change or _first(call, _CONTENT) is not None)


def _first(call: Arguments, keys: Sequence[str]) -> str | None:
    return next((call[key] for key in keys if isinstance(call.get(key), str)), None)


def _patch_of(call: Arguments) -> str:
    patch = _first(call, _PATCHES) or ""
    return patch if _PATCH_START.match(patch) else ""


def _call_edits(call: Arguments) -> Iterator[Edit]:
    path = _first(call, _PATHS) or ""
    if patch := _patch_of(call):
        yield from _read_patch(path, patch)
        return
    old, new = _first(call, _OLD), _first(call, _NEW)
    if old and new is not None:
        if call.get("replace_all") in {True, "true"}:
            raise UnreadableAnswerError(
                0, f"the call for {path[:80]} replaces every place", "write one edit for each place"
            )
        yield Edit("replace", path, tuple(old.split("\n")), tuple(new.split("\n")), is_text=True)
        return
    content = new if old == "" and new is not None else _first(call, _CONTENT)
    if content is None:
        raise UnreadableAnswerError(0, f"the call for {path[:80]} has no content", "write it again")
    lines = content.removesuffix("\n").split("\n") if content else []
    yield Edit("write", path, replace=tuple(lines), create=old == "")


def _read_patch(path: str, patch: str) -> Iterator[Edit]:
    """Parse the patch that an argument holds; blocks without a path are for the file of the call."""
    lines = patch.split("\n")
    for name in _PATCH_FORMATS:
        reader = import_module(f"prunejuice.edits.formats.{name}")
        if reader.has_edits(lines):
            yield from reader.read([path, *lines] if path and name == "search_replace" else lines)
            return
    raise UnreadableAnswerError(
        0, "the patch of a call could not be read", "use apply_patch or SEARCH blocks"
    )
