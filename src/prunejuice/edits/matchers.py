"""Find the one place in a file where an edit applies, with a list of matchers from strict to loose.

Each matcher ignores one more kind of difference and must find exactly one place. With several places the
edit is rejected, because no looser matcher could tell them apart. Only the difference between `search` and
`replace` is written: unchanged lines stay as the file has them, even if the model misquotes them.
"""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

from prunejuice.edits.drift import drifted_starts
from prunejuice.edits.edit import (
    Edit,
    EditRejectedError,
    MatchStrategy,
    Placement,
    notebook_hint,
    numbered_excerpt,
)
from prunejuice.edits.elision import find_placeholder, is_elision
from prunejuice.edits.hints import (
    contradicts_anchors,
    find_anchor_block,
    find_anchor_lines,
    is_missing_definition,
)
from prunejuice.edits.indent import IndentRule, candidate_indent_rules, leading_space, same_indent
from prunejuice.edits.line_keys import (
    FEW_SIGNIFICANT_CHARS,
    LineKey,
    edit_opcodes,
    exact_key,
    is_significant,
    keys_of_lines,
    punctuation_key,
    spaceless_key,
    stripped_key,
)
from prunejuice.edits.line_search import _MAX_COMPARED_CHARS, Texts, find_runs, nearest_lines
from prunejuice.edits.lines import FileText, Line
from prunejuice.edits.masks import has_mask, masked_lines, refuse_masks
from prunejuice.edits.unwrap import replace_lines, unwrapped_variants, without_blank_edges

_MIN_RESULT_RATIO = 0.6  # similarity of the result of an edit to the lines it replaces


class MatchLocation(NamedTuple):
    """The line numbers (from 0) that match `search`, and the rule that adapts the edit's indentation."""

    lines: tuple[int, ...]
    indent: IndentRule

    @property
    def first(self) -> int:
        """The first matched line, from 0."""
        return self.lines[0]


class EditMatch(NamedTuple):
    """A match of an edit: the edit as interpreted, its location, and the strategy that found it."""

    edit: Edit
    location: MatchLocation
    strategy: MatchStrategy


def place(content: FileText, edit: Edit, original: Texts | None = None) -> tuple[FileText, Placement]:
    """Apply one `replace` edit; return the new content and where the edit was placed.

    `original` are the lines of the file before the edits that come first, which its hints are about.

    Raises:
        EditRejectedError: The edit matches no place or several, is partly applied already, or contains a
            placeholder for omitted lines.
    """
    texts = tuple(content.texts)
    edit = _expand_to_lines(content, edit) if edit.is_text else edit
    _refuse_omission(texts, edit)
    if not any(line.strip() for line in edit.search):
        raise EditRejectedError("empty", "the search block is empty", "write the lines to replace")
    applied_at = _find_already_applied(texts, edit)
    match = _find_match(texts, edit, _MATCHERS if applied_at is None else _STRICT_MATCHERS)
    if applied_at is not None and match is None and _has_match_elsewhere(texts, edit, applied_at):
        raise _not_found_error(texts, edit)
    if applied_at is not None and (
        match is None
        or match.strategy not in _CERTAIN
        or _is_inside(match.location, applied_at, applied_at + len(edit.replace))
    ):
        return content, Placement("already applied", applied_at + 1, len(edit.replace))
    if match is None:
        raise _not_found_error(texts, edit)
    if contradicts_anchors(texts, edit.anchors, match.location.first, original):
        raise _wrong_anchor_error(texts, edit, match.location.first)
    if not edit.line and is_missing_definition(original or texts, edit.anchors):
        raise EditRejectedError(
            "not found",
            f"the file has no {edit.anchors[-1].strip()[:80]!r}, under which the lines should stand",
            "read the file again and name the definition that has the lines",
        )
    updated = content.with_lines(_lines_after_edit(content, match))
    first, last = match.location.lines[0], match.location.lines[-1]
    if edit.newline is not None and last == len(texts) - 1:
        updated = updated.with_final_newline(edit.newline)
    return updated, Placement(match.strategy, first + 1, last - first + 1)


def _expand_to_lines(content: FileText, edit: Edit) -> Edit:
    """Return the edit with the whole lines around its text, if the text has one place in the file."""
    text, old, new = content.text, "\n".join(edit.search), "\n".join(edit.replace)
    at = text.find(old)
    if at < 0 or text.find(old, at + 1) >= 0:
        return edit
    end = at + len(old)
    first = text.rfind("\n", 0, at) + 1
    last = end if old.endswith("\n") else text.find("\n", end)
    last = len(text) if last < 0 else last
    search, replace = text[first:last], text[first:at] + new + text[end:last]
    return replace_lines(edit, search.split("\n"), replace.split("\n"))


def _find_match(texts: Texts, edit: Edit, matchers: "Sequence[Matcher]") -> EditMatch | None:
    for matcher in matchers:
        matches = matcher(texts, edit)
        if len(matches) > 1:
            matches = _disambiguate_matches(texts, edit, matches)
        if matches:
            return matches[0]
    return None


# -- matchers ---------------------------------------------------------------------------------------


_KEYS: tuple[tuple[MatchStrategy, LineKey], ...] = (
    ("exact", exact_key),
    ("trailing space", str.rstrip),
    ("punctuation", punctuation_key),
    ("indentation", stripped_key),
)


def _match_lines(texts: Texts, edit: Edit) -> list[EditMatch]:
    for strategy, key in _KEYS:
        if matches := _match_by_key(texts, edit, strategy, key):
            return matches
    return []


def _match_by_key(texts: Texts, edit: Edit, strategy: MatchStrategy, key: LineKey) -> list[EditMatch]:
    keys = texts if key is exact_key else keys_of_lines(tuple(texts), key)
    search_keys = edit.search if key is exact_key else [key(text) for text in edit.search]
    starts = find_runs(keys, search_keys)
    locations = [
        MatchLocation(tuple(range(start, start + len(search_keys))), same_indent) for start in starts
    ]
    if strategy == "indentation":
        # Without indentation, lines of only brackets match almost anywhere.
        if not is_significant(edit.search, FEW_SIGNIFICANT_CHARS):
            return []
        fitted = (_fit_indent(texts, edit, location, strategy) for location in locations)
        return [match for match in fitted if match]
    return [EditMatch(edit, location, strategy) for location in locations]


def _match_spacing(texts: Texts, edit: Edit) -> list[EditMatch]:
    """Match lines of which exactly one differs from the file in its spaces."""
    if not is_significant(edit.search, FEW_SIGNIFICANT_CHARS):
        return []
    matches = _match_by_key(texts, edit, "spacing", spaceless_key)
    return [match for match in matches if _count_respaced(texts, match) == 1]


def _count_respaced(texts: Texts, match: EditMatch) -> int:
    """Return how many lines differ within; all of them if the indentation differs too."""
    pairs = [
        (searched, texts[line])
        for searched, line in zip(match.edit.search, match.location.lines, strict=True)
    ]
    if any(
        leading_space(searched) != leading_space(found) for searched, found in pairs if searched.strip()
    ):
        return len(pairs) + 1
    return sum(searched.rstrip() != found.rstrip() for searched, found in pairs)


def _match_without_blanks(texts: Texts, edit: Edit) -> list[EditMatch]:
    trimmed = without_blank_edges(edit)
    return _match_lines(texts, trimmed) if trimmed.search != edit.search else []


def _match_unwrapped(texts: Texts, edit: Edit) -> list[EditMatch]:
    variants = list(unwrapped_variants(edit))
    for strategy, key in _KEYS:  # the variant that fits best, so a guess at spaces is never preferred
        for variant in variants:
            if matches := _match_by_key(texts, variant, strategy, key):
                return [match._replace(strategy="unwrapped") for match in matches]
    return []


def _match_elided(texts: Texts, edit: Edit) -> list[EditMatch]:
    """Match an edit with `...` lines, which stand for the file's lines between the other pieces."""
    if not any(map(is_elision, edit.search)):
        return []
    pieces, replacements = _split_at_elisions(edit.search), _split_at_elisions(edit.replace)
    if len(pieces) != len(replacements) or not all(pieces):
        return []
    for _, key in _KEYS[:3]:
        keys = keys_of_lines(tuple(texts), key)
        if chain := _find_chain(keys, [[key(text) for text in piece] for piece in pieces]):
            return [EditMatch(_expand_elisions(texts, edit, chain), _chain_location(chain), "elided")]
    return []


def _split_at_elisions(lines: Texts) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for line in lines:
        if is_elision(line):
            pieces.append([])
        else:
            pieces[-1].append(line)
    return pieces


def _find_chain(keys: Texts, pieces: Sequence[Texts]) -> list[tuple[int, int]]:
    """Return the spans of all pieces; empty unless each is unique and follows the one before."""
    starts = [find_runs(keys, piece) for piece in pieces]
    if any(len(positions) != 1 for positions in starts):
        return []
    chain = [
        (positions[0], positions[0] + len(piece)) for positions, piece in zip(starts, pieces, strict=True)
    ]
    return chain if all(left[1] <= right[0] for left, right in pairwise(chain)) else []


def _chain_location(chain: Sequence[tuple[int, int]]) -> MatchLocation:
    return MatchLocation(tuple(range(chain[0][0], chain[-1][1])), same_indent)


def _expand_elisions(texts: Texts, edit: Edit, chain: Sequence[tuple[int, int]]) -> Edit:
    """Return the edit with the elided lines filled in from the file."""
    gaps = [texts[left[1] : right[0]] for left, right in pairwise(chain)]
    search, replace = (_fill_gaps(_split_at_elisions(lines), gaps) for lines in (edit.search, edit.replace))
    return replace_lines(edit, search, replace)


def _fill_gaps(pieces: Sequence[Texts], gaps: Sequence[Texts]) -> list[str]:
    filled = list(pieces[0])
    for gap, piece in zip(gaps, pieces[1:], strict=True):
        filled += [*gap, *piece]
    return filled


def _match_masked(texts: Texts, edit: Edit) -> list[EditMatch]:
    """Match lines as a context shows them, with `***` in place of secrets; the file keeps its values."""
    if not has_mask(edit.search):
        return []
    shown = masked_lines(edit.path, texts)
    return [match._replace(strategy="masked") for match in _match_lines(shown, edit)]


def _match_drifted(texts: Texts, edit: Edit) -> list[EditMatch]:
    """Match places where the changed lines are equal, and at most two context lines differ."""
    size = len(edit.search)
    fitted = (
        _fit_indent(texts, edit, MatchLocation(tuple(range(start, start + size)), same_indent), "drift")
        for start in drifted_starts(texts, edit)
    )
    return [match for match in fitted if match]


def _fit_indent(
    texts: Texts, edit: Edit, location: MatchLocation, strategy: MatchStrategy
) -> EditMatch | None:
    """Return the match with an indentation rule that fits all its lines; None without one."""
    pairs = {
        (leading_space(searched), leading_space(texts[line]))
        for searched, line in zip(edit.search, location.lines, strict=True)
        if searched.strip() and spaceless_key(searched) == spaceless_key(texts[line])
    }
    new_leads = {leading_space(line) for line in edit.replace if line.strip()}
    if pairs and new_leads and _has_own_indent(pairs, new_leads):
        # Lines of both sides can only be compared once `search` has its indentation again.
        search = [
            leading_space(texts[line]) + searched.lstrip()
            for searched, line in zip(edit.search, location.lines, strict=True)
        ]
        return EditMatch(replace_lines(edit, search, edit.replace), location, strategy)
    for rule in candidate_indent_rules(pairs):
        if all(rule(edit_lead) == file_lead for edit_lead, file_lead in pairs) and all(
            rule(lead) is not None for lead in new_leads
        ):
            return EditMatch(edit, location._replace(indent=rule), strategy)
    return None


def _has_own_indent(pairs: set[tuple[str, str]], new_leads: set[str]) -> bool:
    """Return whether `replace` is indented as the file is, although `search` lost its indentation."""
    searched, found = (min((pair[side] for pair in pairs), key=len) for side in (0, 1))
    return len(searched) < len(found) and min(new_leads, key=len) == found


# -- application ------------------------------------------------------------------------------------


def _lines_after_edit(content: FileText, match: EditMatch) -> list[Line | str]:
    """Return the lines of the file with the edit's changed lines applied at its location."""
    edit, (positions, indent) = match.edit, match.location
    lines: list[Line | str] = list(content.lines[: positions[0]])
    for tag, start, end, begin, stop in edit_opcodes(edit, str.rstrip):
        if tag == "equal":
            pairs = zip(edit.search[start:end], edit.replace[begin:stop], positions[start:end], strict=True)
            lines += [_unchanged_line(content.lines[n], search, text) for search, text, n in pairs]
            continue
        same_count = end - start == stop - begin
        for offset, text in enumerate(edit.replace[begin:stop]):
            replaced = content.lines[positions[start + offset]] if same_count else None
            lines.append(
                _replacement_line(replaced, edit.search[start + offset] if replaced else "", text, indent)
            )
    return lines + list(content.lines[positions[-1] + 1 :])


def _unchanged_line(old: Line, search: str, text: str) -> Line:
    """Return an unchanged line; its trailing space changes only if the edit quotes it correctly."""
    if search != text and old.text[len(old.text.rstrip()) :] == search[len(search.rstrip()) :]:
        return Line(old.text.rstrip() + text[len(text.rstrip()) :], old.end)
    return old


def _replacement_line(old: Line | None, search: str, text: str, indent: IndentRule) -> Line | str:
    """Return a new line with the file's indentation, and the punctuation of the line it replaces."""
    line = (indent(leading_space(text)) or "") + text.lstrip() if text else text
    if old is None:
        return line
    if old.text.rstrip() != search.rstrip() and punctuation_key(old.text) == punctuation_key(search):
        carried = _carry_punctuation(old.text.rstrip(), search.rstrip(), line)
        line = line if _has_mixed_quotes(carried) else carried
    return Line(line, old.end)


def _carry_punctuation(old: str, search: str, new: str) -> str:
    """Return `new` with the punctuation of `old`, where `new` agrees with `search`."""
    parts = []
    if max(len(search), len(new)) > _MAX_COMPARED_CHARS:
        return new
    for tag, start, end, begin, stop in SequenceMatcher(None, search, new, autojunk=False).get_opcodes():
        parts.append(old[start:end] if tag == "equal" else new[begin:stop])
    return "".join(parts)


def _has_mixed_quotes(text: str) -> bool:
    """Return whether a text mixes straight and curly quotes."""
    return any(mark in text and set(curly) & set(text) for mark, curly in (('"', "“”"), ("'", "‘’")))


# -- rejection --------------------------------------------------------------------------------------


def _find_already_applied(texts: Texts, edit: Edit) -> int | None:
    """Return where the result of the edit already is; None if it is absent or not distinctive."""
    old, new = [line.rstrip() for line in edit.search], [line.rstrip() for line in edit.replace]
    keys = keys_of_lines(tuple(texts), str.rstrip)
    starts = find_runs(keys, new) if new and new != old else []
    return starts[0] if len(starts) == 1 and _is_distinctive_result(old, new) else None


def _is_distinctive_result(old: Texts, new: Texts) -> bool:
    """Return whether finding `new` in the file is evidence that the edit was applied."""
    opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    added = [line for tag, _, _, c, d in opcodes if tag != "equal" for line in new[c:d] if line.strip()]
    keeps_context = any(line.strip() for tag, a, b, _, _ in opcodes if tag == "equal" for line in old[a:b])
    if not added:
        is_inner_deletion = all(
            start > 0 and end < len(old) for tag, start, end, _, _ in opcodes if tag == "delete"
        )
        return is_inner_deletion and is_significant(new)
    return is_significant(added, FEW_SIGNIFICANT_CHARS) and (
        keeps_context or (len(new) >= len(old) and _is_similar(old, new))
    )


def _is_similar(old: Texts, new: Texts) -> bool:
    before, after = ("".join(lines).casefold() for lines in (old, new))
    if max(len(before), len(after)) > _MAX_COMPARED_CHARS:
        return False
    return SequenceMatcher(None, before, after, autojunk=False).ratio() >= _MIN_RESULT_RATIO


def _has_match_elsewhere(texts: Texts, edit: Edit, applied_at: int) -> bool:
    """Return whether the edit nearly matches a place other than the one where it seems applied."""
    return any(
        not _is_inside(match.location, applied_at, applied_at + len(edit.replace))
        for match in _match_drifted(texts, edit)
    )


def _is_inside(location: MatchLocation, start: int, end: int) -> bool:
    """Return whether the matched lines are a proper part of the lines from `start` to `end`."""
    return start <= location.lines[0] and location.lines[-1] < end and len(location.lines) < end - start


def _disambiguate_matches(texts: Texts, edit: Edit, matches: list[EditMatch]) -> list[EditMatch]:
    """Return the one match that the edit's line number or anchors select.

    Raises:
        EditRejectedError: The hints select no match, or several.
    """
    hinted = [
        match for match in matches if match.location.first + 1 == edit.line and match.strategy == "exact"
    ]
    if edit.line < 0:
        hinted = [match for match in matches if match.location.lines[-1] == len(texts) - 1]
    if edit.anchors:
        start, end = find_anchor_block(texts, edit.anchors)
        inside = [match for match in matches if start <= match.location.first < end]
        hinted = [match for match in hinted if match in inside] if hinted and end else hinted or inside
    if len(hinted) == 1:
        return hinted
    lines = [match.location.first + 1 for match in matches]
    positions = ", ".join(map(str, lines[:8]))
    fix = "add surrounding lines until the block matches only one place:\n" + numbered_excerpt(
        edit.path, texts, lines
    )
    raise EditRejectedError(
        "ambiguous", f"the search lines occur {len(lines)} times, at lines {positions}", fix, lines
    )


_CERTAIN = frozenset({"exact", "trailing space"})
"""Strategies by which a second place counts although the result of the edit stands elsewhere."""

Matcher = Callable[[Texts, Edit], list[EditMatch]]


_STRICT_MATCHERS: tuple[Matcher, ...] = (
    _match_lines,
    _match_without_blanks,
    _match_unwrapped,
    _match_elided,
    _match_masked,
    _match_spacing,
)


_MATCHERS: tuple[Matcher, ...] = (*_STRICT_MATCHERS, _match_drifted)


def _refuse_omission(texts: Texts, edit: Edit) -> None:
    """Reject an edit that adds placeholders for code which the model left out."""
    existing = {text.strip() for text in (*texts, *edit.search)}
    placeholder = find_placeholder(edit.replace, existing)
    if placeholder:
        message = f"{placeholder[:60]!r} is a placeholder for omitted lines"
        raise EditRejectedError("elided", message, "write out every line")
    refuse_masks(edit.path, texts, edit.replace, existing)


def refuse_omission(content: FileText | None, edit: Edit) -> None:
    """Reject a whole-file edit with placeholders for code which the model left out.

    Raises:
        EditRejectedError: The edit has a placeholder line that the file does not have.
    """
    _refuse_omission(content.texts if content else (), edit)


def _not_found_error(texts: Texts, edit: Edit) -> EditRejectedError:
    nearest = nearest_lines(texts, edit)
    fix = "read the file again and copy its current lines" + (
        ":\n" + numbered_excerpt(edit.path, texts, nearest, min(len(edit.search) + 4, 20))
        if nearest
        else ""
    )
    return EditRejectedError(
        "not found", "could not find the search lines in the file", notebook_hint(edit.path) + fix, nearest
    )


def _wrong_anchor_error(texts: Texts, edit: Edit, first: int) -> EditRejectedError:
    anchors = find_anchor_lines(texts, edit.anchors)
    message = (
        f"the search lines are at line {first + 1}, but {edit.anchors[-1].strip()[:80]!r}, which should "
        f"stand above them, is at line {anchors[0] + 1}"
    )
    fix = "name the definition that has the lines, or copy the lines below it:\n" + numbered_excerpt(
        edit.path, texts, [anchors[0] + 1, first + 1]
    )
    return EditRejectedError("not found", message, fix, [first + 1])
