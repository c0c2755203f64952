"""Removal of a model's thinking from its answer: edits that it only considers do not count."""

import re
from collections.abc import Sequence

from prunejuice.errors import ConflictError

_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|seed:think|scratchpad)"
_OPENS = re.compile(
    rf"(?:<{_NAMES}>|\[{_NAMES}\]|◁think▷|<\|(?:begin_of_thought|think|START_THINKING)\|>)", re.IGNORECASE
)
_CLOSES = re.compile(
    rf"(?:</{_NAMES}>|\[/{_NAMES}\]|◁/think▷|<\|(?:end_of_thought|/think|END_THINKING)\|>)", re.IGNORECASE
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^\n<]*(?:<\|message\|>)?")
_TURN_END = re.compile(r"<\|(?:end|return|start)\|>.*", re.DOTALL)
_FENCE = re.compile(r"\s*(`{3,}|~{3,})([^`]*)$")
_BLOCK_EDGE = re.compile(r"^\s{0,8}(?:<{5,}|>{5,})")
_FIX = "write the answer again, without thoughts"


class UnfinishedThinkingError(ConflictError):
    """An answer whose thinking cannot be told from the rest."""


def strip_thinking(text: str) -> str:
    """Return an answer without its thinking; the other lines keep their numbers.

    Tags count at the start of a line, and not inside a block of code that holds both.

    Raises:
        UnfinishedThinkingError: The thinking does not end, or may be a part of a file.
    """
    if _CHANNEL.search(text):
        return _final_channel(text)
    if not (_OPENS.search(text) or _CLOSES.search(text)):
        return text
    return "\n".join(_lines_without_thinking(text.split("\n")))


def _final_channel(text: str) -> str:
    """Return the text of the last channel `final`; the others hold thinking."""
    finals = [match for match in _CHANNEL.finditer(text) if match[1] == "final"]
    if not finals:
        raise UnfinishedThinkingError("the answer ends while the model is thinking", _FIX)
    skipped = text[: finals[-1].end()].count("\n")
    return "\n" * skipped + _TURN_END.sub("", text[finals[-1].end() :])


def _lines_without_thinking(lines: Sequence[str]) -> list[str]:
    answer: list[str] = []
    is_thinking, fence, in_block = False, "", False
    for number, line in enumerate(lines):
        if is_thinking:
            closes = _CLOSES.search(line)
            is_thinking = closes is None
            answer.append(line[closes.end() :] if closes else "")
            continue
        in_block = bool(_BLOCK_EDGE.match(line)) ^ in_block
        if not in_block and not _is_file_content(lines, number, fence) and _OPENS.match(line):
            is_thinking = _CLOSES.search(line) is None
            answer.append("" if is_thinking else line[_end_of_thought(line) :])
            continue
        closes = None if in_block else _closing_tag(line)
        if closes and not fence:
            answer = [""] * len(answer) + [line[closes.end() :]]
        elif closes and not _has_opening(answer, fence):
            message = f"line {number + 1} of the answer: {closes[0]} may end the thinking or be text"
            raise UnfinishedThinkingError(message, _FIX)
        else:
            answer.append(line)
            fence = _next_fence(line, fence)
    if is_thinking:
        raise UnfinishedThinkingError("the answer ends while the model is thinking", _FIX)
    return answer


def _end_of_thought(line: str) -> int:
    closes = _CLOSES.search(line)
    return closes.end() if closes else 0


def _closing_tag(line: str) -> re.Match[str] | None:
    """Return the tag that ends thinking, at the start or the end of a line that is no line of a diff."""
    found = _CLOSES.match(line)
    if found is None and line[:1] not in {"+", "-", " ", "\t"}:
        last = list(_CLOSES.finditer(line))
        found = last[-1] if last and not line[last[-1].end() :].strip() else None
    return found


def _is_file_content(lines: Sequence[str], number: int, fence: str) -> bool:
    """Return whether a tag at a line is inside a fence that holds its end, too."""
    if not fence:
        return False
    for line in lines[number:]:
        if _CLOSES.search(line):
            return True
        if line.strip() == fence:
            return False
    return False


def _has_opening(answer: Sequence[str], fence: str) -> bool:
    """Return whether the fence that is open has the tag that begins the thinking."""
    for line in reversed(answer):
        if _OPENS.match(line.strip()):
            return True
        if line.strip().startswith(fence):
            return False
    return False


def _next_fence(line: str, fence: str) -> str:
    """Return the marker of the fence that is open after a line; empty outside of fences."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return found[1]
    return "" if found[1].startswith(fence) and not found[2].strip() else fence
