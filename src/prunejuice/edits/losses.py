"""What a whole new version of a file loses: definitions, sections or most lines that no sentence names.

A model that was asked for one function often writes that function alone, as if it were the whole file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import dropwhile

from prunejuice.code import grammar
from prunejuice.code.chunk import Definition
from prunejuice.code.languages import language_for_path
from prunejuice.edits.edit import EditRejectedError, notebook_hint
from prunejuice.edits.lines import FileText
from prunejuice.edits.sections import list_imports, list_sections

_FEWEST_LINES = 3  # of a file, so that most of them can be lost
_REMOVES = re.compile(
    r"\b(?:remov|delet|dropp?|eliminat|inlin|replac|renam|merg|mov|extract|strip|clean|short|rewr[io]t"
    r"|rewrote|reduc|trim|simplif|condens|cut|gone|no longer|get rid|consolidat|obsolete|unused|discard"
    r"|collaps|split)",
    re.IGNORECASE,
)
_KEEPS = re.compile(
    r"\b(?:not|never|keep|keeps|kept|unchanged|untouched|leave|leaves|stays?|remains?|preserv\w*)\b|n't\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r";|\.\s|\bbut\b", re.IGNORECASE)
_NAME = re.compile(r"[\w./-]+")
_NamedLines = tuple[str, list[str]]


def find_removed_names(prose: Sequence[str]) -> frozenset[str]:
    """Return the words of the lines of prose that say that something is removed, moved or renamed."""
    clauses = (clause for line in prose for clause in _CLAUSE_END.split(line[:2000]))
    removing = [clause for clause in clauses if _REMOVES.search(clause) and not _KEEPS.search(clause)]
    return frozenset(word.strip("./") for clause in removing for word in _NAME.findall(clause))


def refuse_losses(path: str, old: FileText, new: Sequence[str], removed: frozenset[str]) -> None:
    """Refuse a new version of a file that loses what `removed` does not name.

    Raises:
        EditRejectedError: Definitions, sections, constants, used imports, or most lines would be lost.
    """
    old_lines = [line.strip() for line in old.texts if line.strip()]
    new_lines = [line.strip() for line in new if line.strip()]
    if not new_lines:
        return
    new_text = "\n".join(new)
    before, after = list(_named_definitions(path, old.text)), list(_named_definitions(path, new_text))
    lost = (
        _lost_names([name for name, _ in before], [name for name, _ in after], removed)
        or [f"the rest of {name}" for name in _cut_names(before, after) if not _is_named(name, removed)]
        or _lost_names(list(list_sections(path, old.text)), list(list_sections(path, new_text)), removed)
        or _lost_imports(path, old.text, new_text)
    )
    if lost:
        names = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        raise EditRejectedError(
            "elided",
            f"the new file loses {names}",
            f"write every line of the file; if it is meant, say in a sentence: remove {lost[0]}",
        )
    kept = sum((Counter(old_lines) & Counter(new_lines)).values())
    is_most = not before and len(new_lines) * 2 <= len(old_lines) and kept * 2 < len(old_lines)
    if is_most and len(old_lines) >= _FEWEST_LINES and not removed & {path, path.rpartition("/")[2]}:
        raise EditRejectedError(
            "elided",
            f"the new file has {len(new_lines)} of {len(old_lines)} lines, and keeps {kept} of them",
            f"{notebook_hint(path)}write every line of the file; if it is meant, say in a sentence: "
            f"rewrite {path}",
        )


def _lost_imports(path: str, old: str, new: str) -> list[str]:
    """Return the names that are no longer imported although the new text uses them."""
    gone = set(list_imports(path, old)) - set(list_imports(path, new))
    return sorted(name for name in gone if re.search(rf"(?<![.\w]){name}\b(?!\s*=[^=])", new))


def _lost_names(before: Sequence[str], after: Sequence[str], removed: frozenset[str]) -> list[str]:
    """Return the names that are gone without a new one in their place, and are not said to be removed."""
    gone = list((Counter(before) - Counter(after)).elements())  # overloads have one name
    unnamed = [name for name in gone if not _is_named(name, removed)]
    added = sum(name not in before for name in after)
    return unnamed if len(unnamed) > added else []


def _cut_names(before: Sequence[_NamedLines], after: Sequence[_NamedLines]) -> list[str]:
    """Return the names of definitions that end early: only the first lines of the old ones are left."""
    new_lines, counts = dict(after), Counter(name for name, _ in before)
    return [
        name
        for name, lines in before
        if counts[name] == 1
        and (kept := new_lines.get(name)) is not None
        and len(kept) * 2 < len(lines)
        and len(lines) - len(kept) >= _FEWEST_LINES
        and kept == lines[: len(kept)]
    ]


def _is_named(name: str, removed: frozenset[str]) -> bool:
    words = {word.strip("./") for word in _NAME.findall(name)}
    return bool(removed & {name, name.rpartition(".")[2]}) or (bool(words) and words <= removed)


def _named_definitions(path: str, text: str) -> Iterator[_NamedLines]:
    """Yield each definition: its name, and the lines with words, without decorators and indentation."""
    language = language_for_path(path)
    if language:
        found = grammar.definitions(language, text.encode("utf-8", "replace"))
        lines = [line.strip() for line in text.split("\n")]
        for name, each in _qualified_definitions(found, ""):
            inner = dropwhile(lambda line: line.startswith("@"), lines[each.first - 1 : each.last])
            yield name, [line for line in inner if re.search(r"\w", line)]


def _qualified_definitions(
    definitions: Sequence[Definition], within: str
) -> Iterator[tuple[str, Definition]]:
    for definition in definitions:
        yield within + definition.name, definition
        yield from _qualified_definitions(definition.children, f"{within}{definition.name}.")
