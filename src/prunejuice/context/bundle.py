"""The context that a model reads: whole or partial files within a budget, with reasons for each."""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal, get_args

import msgspec

from prunejuice.text import safe_text

Mode = Literal["pinned", "full", "slice", "signatures", "names"]
Strategy = Literal["ranked", "static"]
Style = Literal["text", "markdown", "xml", "json"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
STYLES: tuple[Style, ...] = get_args(Style)


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One signal in favour of an item: its weight and the evidence for it."""

    signal: str
    weight: float
    evidence: str = ""


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it is shown.

    `ranges` are inclusive line ranges, counted from 1. `tokens` includes the frame around the text. `blob`
    is git's object id of the content. `chance` is the estimated probability that the file is relevant.
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


class OmittedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that is not shown, and the reason."""

    path: str
    reason: str
    chance: float = 0.0


class Bundle(msgspec.Struct, frozen=True):
    """Everything that is shown for a task; `used` never exceeds `budget`, both counted by `tokenizer`.

    `diff` is the requested diff, `given` the output that belongs to the task. `left_out` begins with the
    files that are most likely to be relevant.
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
    left_out: tuple[OmittedFile, ...] = ()
    notes: tuple[str, ...] = ()


def gap_line(names: Sequence[str] = ()) -> str:
    """Return the line that marks omitted lines, with the names of the definitions in them."""
    return f"... {', '.join(names)}\n" if names else "...\n"


def item_frame(style: Style, item: Item) -> tuple[str, str]:
    """Return the text before and after the content of a file."""
    label = "" if item.mode in {"full", "pinned"} and not item.ranges else _MODE_LABELS[item.mode]
    path = _display_path(item.path)
    if style == "markdown":
        # A fence longer than any in the text keeps the text from closing it.
        fence = max([3, *(len(run) for run in _FENCES.findall(item.text))]) * "`" + "`"
        return f"## {path}{label}\n\n{fence}{item.language}\n", f"{fence}\n\n"
    if style == "xml":
        part = f" part={_xml_attribute(label.strip(' ()'))}" if label else ""
        return f"<file path={_xml_attribute(path)}{part}><![CDATA[\n", "]]></file>\n"
    return f"==> {path}{label} <==\n", "\n"


_MODE_LABELS: Mapping[Mode, str] = {
    "pinned": " (in part)",
    "slice": " (in part)",
    "signatures": " (signatures)",
    "names": " (names)",
    "full": "",
}
_FENCES = re.compile(r"^\s*(`{3,})", re.M)
_FRAMES = re.compile(r"^(?=={2}> .* <={2}\s*$)", re.M)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def _display_path(path: str) -> str:
    """Return a path on one line, without characters that could end its frame or control a terminal."""
    return safe_text(path).replace("\n", "\\n").replace("\t", "\\t")


def _xml_attribute(text: str) -> str:
    return '"' + escape(text) + '"'


def escape_body(style: Style, text: str) -> str:
    """Return the text of a file for its frame, escaped so that no line looks like another file's frame."""
    text = text if text.endswith("\n") or not text else text + "\n"
    if style == "xml":
        return _NOT_XML.sub("\ufffd", text.replace("]]>", "]]]]><![CDATA[>"))
    return _FRAMES.sub(" ", text) if style == "text" else text


def render_item(style: Style, item: Item) -> str:
    """Return a file as it appears in the text that a model reads."""
    before, after = item_frame(style, item)
    return before + escape_body(style, item.text) + after


def render_bundle(bundle: Bundle, style: Style) -> str:
    """Return a bundle as the text that a model reads."""
    if style == "json":
        return f"{_to_json(bundle)}\n"
    extras = (("the output", "", bundle.given), ("the difference", "diff", bundle.diff))
    extra_items = [
        Item(path=name, blob="", mode="full", tokens=0, text=text, language=language)
        for name, language, text in extras
        if text
    ]
    return "".join(render_item(style, item) for item in (*extra_items, *bundle.items))


def _to_json(bundle: Bundle) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(bundle), indent=1).decode()
    except UnicodeEncodeError:  # a path that is not valid UTF-8
        return json.dumps(msgspec.to_builtins(bundle), indent=1)
