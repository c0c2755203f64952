"""What a whole new version of a file loses: definitions, sections or most lines that no sentence names.

A model that was asked for one function often writes that function alone, as if it were the whole file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

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
    before = list(_definition_names(path, old.text))
    lost = (
        _lost_names(before, list(_definition_names(path, new_text)), removed)
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


def _is_named(name: str, removed: frozenset[str]) -> bool:
    words = {word.strip("./") for word in _NAME.findall(name)}
    return bool(removed & {name, name.rpartition(".")[2]}) or (bool(words) and words <= removed)


def _definition_names(path: str, text: str) -> Iterator[str]:
    language = language_for_path(path)
    if language:
        found = grammar.definitions(language, text.encode("utf-8", "replace"))
        yield from _qualified_names(found, "")


def _qualified_names(definitions: Sequence[Definition], within: str) -> Iterator[str]:
    for definition in definitions:
        yield within + definition.name
        yield from _qualified_names(definition.children, f"{within}{definition.name}.")
