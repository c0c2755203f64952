"""Read issues from an export of a tracker as JSON: of GitHub, GitLab, Gitea, Forgejo or Jira.

What an export says is data: fields that are missing or of another kind are left out, and an issue without
a number or a title is an error that names its place.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.errors import NotFoundError, UsageError
from prunejuice.forges.forge import Issue
from prunejuice.text import safe_line

_MAX_BYTES = 64 << 20
_LISTS = ("issues", "items", "data", "results")
"""Keys under which trackers list issues."""
_DONE = frozenset(("closed", "done", "resolved", "merged"))
_BLOCKS = frozenset(("paragraph", "heading", "listItem", "codeBlock", "blockquote", "rule"))
"""Nodes of Jira's document format that end a line."""
_MAX_DEPTH = 30
_EXPORT_START = re.compile(r"\ufeff?\s*(?:\{\s*[\"}]|\[\s*(?:\{|\]\s*\Z))")


class ExportedIssue(NamedTuple):
    """An issue of an export. `key` is what people call it: `12`, or `SHOP-12` in Jira."""

    key: str
    issue: Issue
    is_open: bool


def is_export(text: str) -> bool:
    """Return whether a text may be an export: it is a list or an object of JSON, or begins as one."""
    if _EXPORT_START.match(text):
        return True
    try:
        return text.lstrip()[:1] in {"[", "{"} and isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return False


def read_export(path: Path) -> list[ExportedIssue]:
    """Return the issues of a file.

    Raises:
        UsageError: the file cannot be read, or is no export.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1).decode("utf-8-sig", "replace")
    except OSError as error:
        raise UsageError(f"could not read {path}: {error.strerror}", "name an export of issues") from error
    return parse_export(text, str(path))


def parse_export(text: str, source: str) -> list[ExportedIssue]:
    """Return the issues of a text, which `source` names in errors; each key once, the first counts.

    Raises:
        UsageError: the text is no export, or an issue has no number or no title.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > _MAX_BYTES:
        raise UsageError(f"{source} is larger than {_MAX_BYTES >> 20} MiB", "export fewer issues")
    rows = _list_rows(_parse_json(text, source))
    if rows is None:
        fix = "export a list of issues, for example `gh issue list --json number,title,body,url,state`"
        raise UsageError(f"{source} has no list of issues", fix)
    found: dict[str, ExportedIssue] = {}
    for place, row in enumerate(rows, 1):
        if isinstance(row, dict) and isinstance(row.get("pull_request"), dict):
            continue  # GitHub lists pull requests among the issues
        exported = _read_issue(row, f"{source}: issue {place}")
        first = found.setdefault(exported.key, exported)
        if first.issue.title != exported.issue.title:
            problem = f"{source}: issue {place} has the number {exported.key} of another one"
            raise UsageError(problem, "export the issues of one project")
    return list(found.values())


def find_issue(path: Path, key: str) -> Issue:
    """Return the issue with a key, such as `12`, of a file.

    Raises:
        NotFoundError: the export has no such issue.
        UsageError: the file cannot be read, or is no export.
    """
    exported = next((each for each in read_export(path) if each.key == key), None)
    if exported is None:
        raise NotFoundError(f"{path} has no issue {safe_line(key, 40)}", "name one that it has")
    return exported.issue


def _parse_json(text: str, source: str) -> Any:
    """Return the value of a text: JSON, or one object in each line."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UsageError(f"{source} is nested too deeply", "export a list of issues") from error
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [json.loads(line) for line in lines] if len(lines) > 1 else _raise(error)
        except (ValueError, RecursionError):
            raise UsageError(f"{source} is no JSON: {error}", "export the issues once more") from error


def _raise(error: ValueError) -> Any:
    raise error


def _list_rows(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        lists = (value[key] for key in _LISTS if isinstance(value.get(key), list))
        return next(lists, [value] if _is_issue(value) else None)
    return value if isinstance(value, list) else None


def _is_issue(row: Mapping[str, Any]) -> bool:
    return bool({"title", "fields"} & row.keys())


def _read_issue(row: Any, place: str) -> ExportedIssue:
    if not isinstance(row, dict):
        raise UsageError(f"{place} is no object", "export a list of issues")
    fields = row.get("fields")
    if isinstance(fields, dict):
        return _read_jira_issue(row, fields, place)
    # `number` is that of GitHub and Gitea; `iid` that of a project on GitLab, where `id` counts all issues.
    number = _number(row.get("number")) or _number(row.get("iid"))
    title = _text(row.get("title"))
    _require(number, place, "number")
    _require(title, place, "title")
    body = _text(row.get("body")) or _text(row.get("description"))
    url = _text(row.get("html_url")) or _text(row.get("web_url")) or _text(row.get("url"))
    is_open = _text(row.get("state")).lower() not in _DONE
    return ExportedIssue(str(number), Issue(number, title, body, url), is_open)


def _read_jira_issue(row: Mapping[str, Any], fields: Mapping[str, Any], place: str) -> ExportedIssue:
    key, title = _text(row.get("key")), _text(fields.get("summary"))
    _require(key, place, "key")
    _require(title, place, "summary")
    described = fields.get("description")
    body = "".join(_document_text(described)).strip() if isinstance(described, dict) else _text(described)
    status = _object(fields.get("status"))
    category = _object(status.get("statusCategory"))
    states = {_text(status.get("name")).lower(), _text(category.get("key")).lower()}
    return ExportedIssue(key, Issue(0, title, body, _text(row.get("self"))), not states & _DONE)


def _document_text(node: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts of a document of Jira, which is a tree of nodes."""
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
        return
    attributes = _object(node.get("attrs"))  # of a mention
    yield _text(node.get("text"), strip=False) or _text(attributes.get("text"), strip=False)
    content = node.get("content")
    for child in content if isinstance(content, list) else ():
        yield from _document_text(child, depth + 1)
    if node.get("type") in _BLOCKS or node.get("type") == "hardBreak":
        yield "\n"


def _require(value: object, place: str, name: str) -> None:
    if not value:
        raise UsageError(f"{place} has no {name}", f"export the field {name} of each issue")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int:
    """Return a number above 0 as it is or as a text; 0 for anything else."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _text(value: Any, *, strip: bool = True) -> str:
    text = value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
    return text.strip() if strip else text
