"""What a model is shown: files in whole or in part, within a budget, and why each is there."""

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Literal, get_args

import msgspec

from prunejuice.text import safe_text

Mode = Literal["pinned", "full", "slice", "signatures"]
Strategy = Literal["ranked", "static"]
Style = Literal["text", "markdown", "xml", "json"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
STYLES: tuple[Style, ...] = get_args(Style)
GAP = "...\n"


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that speaks for an item: how much, and what was seen."""

    signal: str
    weight: float
    evidence: str = ""


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it is shown. `ranges` are lines from 1, both ends in; `tokens` count its frame too.

    `blob` is the id that git gives the content; `chance` is how likely the file was held to matter.
    """

    path: str
    blob: str
    mode: Mode
    tokens: int
    text: str
    ranges: tuple[tuple[int, int], ...] = ()
    language: str = ""
    score: float = 0.0
    chance: float = 0.0
    reasons: tuple[Reason, ...] = ()


class LeftOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that is not shown, and why."""

    path: str
    reason: str
    chance: float = 0.0


class Bundle(msgspec.Struct, frozen=True):
    """All that is shown for a task; `used` never exceeds `budget`, counted by `tokenizer`.

    `diff` is the difference that was asked for, `given` the output that belongs to the task; `left_out`
    begins with what was most likely to matter.
    """

    query: str
    root: str
    head: str
    budget: int
    used: int
    tokenizer: str
    strategy: Strategy
    items: tuple[Item, ...] = ()
    diff: str = ""
    given: str = ""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def frame(style: Style, item: Item) -> tuple[str, str]:
    """What stands before and after the text of a file."""
    about = "" if item.mode in {"full", "pinned"} and not item.ranges else _ABOUT[item.mode]
    path = _shown(item.path)
    if style == "markdown":
        fence = max([3, *(len(run) for run in _FENCES.findall(item.text))]) * "`" + "`"
        return f"## {path}{about}\n\n{fence}{item.language}\n", f"{fence}\n\n"
    if style == "xml":
        part = f" part={_quoted(about.strip(' ()'))}" if about else ""
        return f"<file path={_quoted(path)}{part}><![CDATA[\n", "]]></file>\n"
    return f"==> {path}{about} <==\n", "\n"


_ABOUT: Mapping[Mode, str] = {
    "pinned": " (in part)",
    "slice": " (in part)",
    "signatures": " (signatures)",
    "full": "",
}


_FENCES = re.compile(r"^\s*(`{3,})", re.M)
_FRAMES = re.compile(r"^(?=={2}> .* <={2}\s*$)", re.M)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def _shown(path: str) -> str:
    """A path on one line, in which nothing can look like the end of it or steer a terminal."""
    return safe_text(path).replace("\n", "\\n").replace("\t", "\\t")


def _quoted(text: str) -> str:
    return '"' + escape(text) + '"'


def body(style: Style, text: str) -> str:
    """The text of a file inside its frame; no line of it looks like the frame of another."""
    text = text if text.endswith("\n") or not text else text + "\n"
    if style == "xml":
        return _NOT_XML.sub("\ufffd", text.replace("]]>", "]]]]><![CDATA[>"))
    return _FRAMES.sub(" ", text) if style == "text" else text


def framed(style: Style, item: Item) -> str:
    """A file as it stands in what a model reads."""
    before, after = frame(style, item)
    return before + body(style, item.text) + after


def present(bundle: Bundle, style: Style) -> str:
    """A bundle as the text that a model reads."""
    if style == "json":
        return f"{_json(bundle)}\n"
    beside = (("the output", "", bundle.given), ("the difference", "diff", bundle.diff))
    shown = [
        Item(path=name, blob="", mode="full", tokens=0, text=text, language=kind)
        for name, kind, text in beside
        if text
    ]
    return "".join(framed(style, item) for item in (*shown, *bundle.items))


def _json(bundle: Bundle) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(bundle), indent=1).decode()
    except UnicodeEncodeError:  # a name that is not UTF-8
        return json.dumps(msgspec.to_builtins(bundle), indent=1)
