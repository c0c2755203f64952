"""Recognition of file names in the prose of an answer."""

import re

_LABEL = re.compile(
    r"^(?:file(?:\s?name|\s?path)?|path|in|edit|update|create|new file|modified)\s*[:=]\s*", re.IGNORECASE
)
_WRAPPED = re.compile(r"[`\"']([^`\"']+)[`\"']")
_NAME = re.compile(r"[^\s`\"'<>|*?:]+")
_PLAIN_NAMES = {
    "makefile",
    "dockerfile",
    "justfile",
    "license",
    "readme",
    "procfile",
    "gemfile",
    "rakefile",
    "vagrantfile",
}
_FENCE = re.compile(r"^\s*(?P<mark>`{3,}|~{3,})(?P<info>.*)$")
_SPACED = re.compile(r"[\w.@+-]+(?:[ /][\w.@+-]+)*/?[\w.@+ -]*[\w@+-]\.[A-Za-z][A-Za-z0-9]{0,7}")
_WORD = re.compile(r"[A-Za-z0-9_.@+-]{1,80}")


def parse_fence(line: str) -> tuple[str, str] | None:
    """Return the marker of a code fence and its info string; None if the line is not a fence."""
    match = _FENCE.match(line)
    return (match["mark"], match["info"].strip()) if match and "`" not in match["info"] else None


def find_bare_name(line: str) -> str:
    """Return the single word on a line, which may be a file name without a suffix; empty otherwise."""
    text = line.strip().strip("*_`# ")
    return text if _WORD.fullmatch(text) else ""


def find_name(line: str, *, sentences: bool = True) -> str:
    """Return the file name that a line of prose consists of, or an empty string.

    With `sentences`, the line may be a short sentence that quotes one name.
    """
    if len(line) > 400:
        return ""
    text = line.strip().lstrip("#").strip().strip("*_").strip()
    text = text.removesuffix(":").strip().strip("*_")
    labelled = _LABEL.sub("", text)
    wrapped = _WRAPPED.fullmatch(labelled) or _WRAPPED.fullmatch(labelled.strip("*_ "))
    if wrapped and len(labelled) < 300:
        return wrapped[1] if _is_plausible(wrapped[1], spaces=True) else ""
    if labelled != text and _is_plausible(labelled.strip("*_` "), spaces=True):
        return labelled.strip("*_` ")
    quoted = [name for name in _WRAPPED.findall(labelled) if _is_plausible(name, spaces=False)]
    if sentences and len(quoted) == 1 and len(labelled.split()) <= 6:
        return str(quoted[0])
    comment = re.sub(r"^(?://|#|--|/\*|<!--)\s*|\s*(?:\*/|-->)$", "", text)
    if _NAME.fullmatch(comment) and _is_plausible(comment, spaces=False):
        return comment
    return text if _SPACED.fullmatch(text) else ""


def find_name_in_fence_info(info: str) -> str:
    """Return the file name in a fence's info string, with or without a language before it."""
    titled = re.search(r"(?:title|file|filename|path|name)\s*=\s*[\"']?([^\"'\s}]+)", info)
    if titled:
        return titled[1]
    parts = [part for part in re.split(r"[\s:]+", info, maxsplit=1) if part]
    return (
        parts[-1]
        if parts and ("." in parts[-1] or "/" in parts[-1]) and _is_plausible(parts[-1], spaces=True)
        else ""
    )


def _is_plausible(name: str, *, spaces: bool) -> bool:
    if not name or len(name) > 400 or name.startswith("-") or (not spaces and " " in name):
        return False
    last = name.rpartition("/")[2]
    suffix = last.rpartition(".")[2]
    dotted = "." in last and 0 < len(suffix) <= 20 and not last.endswith(".")
    return dotted or last.lower() in _PLAIN_NAMES or ("/" in name and bool(last) and " " not in name)
