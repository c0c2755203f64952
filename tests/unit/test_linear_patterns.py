"""Patterns take linear time: a quadratic one would exceed the time limit of a test."""

import pytest

from prunejuice.agents.thinking import strip_thinking
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.context import retrieval
from prunejuice.edits import elision, losses, name_in_prose, sections
from prunejuice.errors import ConflictError


def _sections_of(path):
    return lambda text: list(sections.list_sections(path, text))


SECTIONED = (
    "a.css",
    "a.toml",
    "a.yaml",
    "a.json",
    "a.sql",
    "Makefile",
    "a.md",
    "a.html",
    "a.tf",
    "a.py",
    "a.ts",
)
READERS = {
    "query": retrieval.parse_query,
    "mask": lambda text: mask_secrets("a.txt", text),
    "thinking": strip_thinking,
    "elision": lambda text: elision.find_placeholder([text], ()),
    "removed": lambda text: losses.find_removed_names([text]),
    "name": name_in_prose.find_name,
    "names": name_in_prose.list_names,
    **{f"sections of {path}": _sections_of(path) for path in SECTIONED},
    "imports": lambda text: list(sections.list_imports("a.py", text)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "word",
    ["x", "x-", "a.", "a/", "password", "password=", "token:", "==", "curl ", "-- ", "eyJ", "sk-", "bearer ", "://a:",
     "_authToken=", "<think>", "# ... ", "`a` ", "a_b-", "ghp_", "-----BEGIN RSA PRIVATE KEY-----",
     "a\n", "@a\n", "a b ", "import (\n", "create table ", "[a\n", "# "],
)  # fmt: skip
def test_a_long_word_is_read_at_once(reader, word):
    try:
        READERS[reader](word * (400_000 // len(word)))
    except ConflictError:
        assert reader == "thinking"
