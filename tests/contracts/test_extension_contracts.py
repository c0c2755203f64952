"""The shipped contract suites pass for our implementations and fail for broken ones."""

import pytest

from prunejuice.agents.protocol import AgentEnded, AgentStarted
from prunejuice.agents.scripted import ScriptedAgent, ScriptedAnswer
from prunejuice.edits.edit import Edit
from prunejuice.edits.formats import EXTENSIONS as FORMATS
from prunejuice.engine.stores.memory import MemoryStore
from prunejuice.engine.stores.sqlite import SqliteStore
from prunejuice.forges import gitea, github, gitlab
from prunejuice.testing import Forge, Gitea, GitLab
from prunejuice.testing.contracts import (
    check_agent,
    check_forge,
    check_format,
    check_gate,
    check_language,
    check_store,
)

ANSWERS = {
    "search-replace": "a.py\n<<<<<<< SEARCH\n1\n=======\n2\n>>>>>>> REPLACE\n",
    "apply-patch": "*** Begin Patch\n*** Update File: a.py\n@@\n-1\n+2\n*** End Patch\n",
    "unified-diff": "--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,1 @@\n-1\n+2\n",
    "whole-file": "a.py\n```python\n2\n```\n",
}


def test_the_scripted_agent_keeps_the_contract():
    check_agent(lambda: ScriptedAgent([ScriptedAnswer(text="hello", times=0)]))


class Endless(ScriptedAgent):
    def run(self, task, stop):
        yield AgentStarted("endless", "")


class Twice(ScriptedAgent):
    def run(self, task, stop):
        yield AgentStarted("twice", "")
        yield AgentEnded("ok", output="a")
        yield AgentEnded("ok", output="b")


@pytest.mark.parametrize(("kind", "promise"), [(Endless, "last event"), (Twice, "ends once")])
def test_an_agent_that_breaks_the_contract_is_noticed(kind, promise):
    with pytest.raises(AssertionError, match=promise):
        check_agent(lambda: kind([]))


def test_stores_keep_the_contract(tmp_path):
    memory = MemoryStore()
    check_store(lambda: memory)
    check_store(lambda: SqliteStore(tmp_path / "prunejuice.db"))


def test_contract_check_finds_a_store_that_allows_a_second_writer():
    class Careless(MemoryStore):
        def append(self, run_id, after, events, summary):
            super().append(run_id, len(self.read_events(run_id)), events, summary)

    store = Careless()
    with pytest.raises(AssertionError, match="SupersededError"):
        check_store(lambda: store)


def test_github_keeps_the_contract():
    with Forge(issues={7: ("Broken", "It is.")}) as forge:
        environ = {"GITHUB_API_URL": forge.url, "GH_TOKEN": forge.token}
        check_forge(github.connect, "https://github.com/shop/cart.git", environ, 7)


@pytest.mark.parametrize(("server", "client"), [(GitLab, gitlab), (Gitea, gitea)])
def test_other_forges_keep_the_contract(server, client):
    with server(issues={7: ("Broken", "It is.")}) as forge:
        check_forge(client.connect, f"{forge.url}/shop/cart.git", forge.environment, 7)


@pytest.mark.parametrize("name", ANSWERS)
def test_formats_keep_the_contract(name):
    check_format(FORMATS.load(name), {ANSWERS[name]: 1})


def test_a_format_that_sees_edits_in_prose_is_noticed():
    class Greedy:
        def has_edits(self, lines):
            return True

        def read(self, lines):
            return [Edit("write", "a.py", replace=tuple(lines), answer_line=1)]

    with pytest.raises(AssertionError, match="prose"):
        check_format(Greedy(), {"x": 1})


@pytest.mark.parametrize(
    ("path", "source", "names", "imports"),
    [
        ("a.py", "import os\ndef total():\n    pass\n", ["total"], ["os"]),
        ("a.go", 'package a\nimport "fmt"\nfunc Total() {}\n', ["Total"], ["fmt"]),
        ("a.ts", "import x from './x'\nexport function total() { return 1 }\n", ["total"], ["./x"]),
        ("a.rs", "use std::io;\nfn total() {}\n", ["total"], ["std::io"]),
    ],
)
def test_languages_keep_the_contract(path, source, names, imports):
    check_language(path, source, names, imports)
    with pytest.raises(AssertionError, match="missing"):
        check_language(path, source, ["nothing"])


def test_a_gate_is_checked_from_both_sides():
    def no_todo(diffs):
        return "it has a TODO" if any(b"TODO" in (diff.new.data or b"") for diff in diffs) else ""

    check_gate(no_todo, {"a.py": "x = 1\n"}, {"a.py": "# TODO\n"})
    with pytest.raises(AssertionError, match="refused"):
        check_gate(lambda _: "", {}, {"a.py": "# TODO\n"})
