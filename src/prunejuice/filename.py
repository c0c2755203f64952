"""File names in the prose of an answer."""

import re

_LABEL = re.compile(
    r"^(?:file(?:\s?name|\s?path)?|path|in|edit|update|create|new file|modified)\s*[:=]\s*", re.IGNORECASE
)
_WRAPPED = re.compile(r"[`\"']([^`\"']+)[`\"']")
_NAME = re.compile(r"[^\s`\"'<>|*?:]+")
_BARE = {
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


def fence(line: str) -> tuple[str, str] | None:
    """The mark of a fence and what stands behind it; nothing when a line is no fence."""
    match = _FENCE.match(line)
    return (match["mark"], match["info"].strip()) if match and "`" not in match["info"] else None


def word(line: str) -> str:
    """The one word that a line is, as a name of a file without a suffix would be; empty when it is not."""
    text = line.strip().strip("*_`# ")
    return text if _WORD.fullmatch(text) else ""


def named(line: str, *, sentences: bool = True) -> str:
    """The file that a line of prose names and hardly says more than that; empty when it does not.

    Without `sentences` it must be nothing but the name.
    """
    if len(line) > 400:
        return ""
    text = line.strip().lstrip("#").strip().strip("*_").strip()
    text = text.removesuffix(":").strip().strip("*_")
    labelled = _LABEL.sub("", text)
    wrapped = _WRAPPED.fullmatch(labelled) or _WRAPPED.fullmatch(labelled.strip("*_ "))
    if wrapped and len(labelled) < 300:
        return wrapped[1] if _plausible(wrapped[1], spaces=True) else ""
    if labelled != text and _plausible(labelled.strip("*_` "), spaces=True):
        return labelled.strip("*_` ")
    inner = [each for each in _WRAPPED.findall(labelled) if _plausible(each, spaces=False)]
    if sentences and len(inner) == 1 and len(labelled.split()) <= 6:
        return str(inner[0])
    comment = re.sub(r"^(?://|#|--|/\*|<!--)\s*|\s*(?:\*/|-->)$", "", text)
    if _NAME.fullmatch(comment) and _plausible(comment, spaces=False):
        return comment
    return text if _SPACED.fullmatch(text) else ""


def of_fence(info: str) -> str:
    """The file that stands behind the mark of a fence, with or without a language before it."""
    titled = re.search(r"(?:title|file|filename|path|name)\s*=\s*[\"']?([^\"'\s}]+)", info)
    if titled:
        return titled[1]
    parts = [part for part in re.split(r"[\s:]+", info, maxsplit=1) if part]
    return (
        parts[-1]
        if parts and ("." in parts[-1] or "/" in parts[-1]) and _plausible(parts[-1], spaces=True)
        else ""
    )


def _plausible(name: str, *, spaces: bool) -> bool:
    if not name or len(name) > 400 or name.startswith("-") or (not spaces and " " in name):
        return False
    last = name.rpartition("/")[2]
    suffix = last.rpartition(".")[2]
    dotted = "." in last and 0 < len(suffix) <= 20 and not last.endswith(".")
    return dotted or last.lower() in _BARE or ("/" in name and bool(last) and " " not in name)
