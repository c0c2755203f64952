"""How many changed places a context finds from the messages of a scripted history."""

import os
import random
import subprocess

import pytest

from conftest import git
from prunejuice.context.engine import Engine

NOUNS = [
    "cart",
    "price",
    "voucher",
    "receipt",
    "stock",
    "order",
    "refund",
    "address",
    "courier",
    "invoice",
    "loyalty",
    "catalog",
    "basket",
    "tax",
]
VERBS = ["load", "save", "validate", "compute", "render", "merge", "cancel", "archive"]
ASPECTS = ["rounding", "timezone", "currency", "locale", "weekend", "duplicate", "empty", "negative"]
BESIDE = {noun: NOUNS[(number * 5 + 3) % len(NOUNS)] for number, noun in enumerate(NOUNS)}
RECORDED = 0.79
"""Of all places that were changed; 0.95 of those that the message names."""
BUDGET = 600


def function(noun, verb, more=""):
    return (
        f"def {verb}_{noun}(given, options):\n"
        f'    """{verb.capitalize()} one {noun} as the options say."""\n'
        f"    found = registry.{noun}s.get(given)\n"
        f"    if options.strict and found is None:\n"
        f"        raise Missing{noun.capitalize()}(given)\n"
        f"{more}"
        f"    return found.{verb}(options)\n\n\n"
    )


def write(place, changed):
    for noun in NOUNS:
        text = "from shop import registry\n\n\n" + "".join(
            function(noun, verb, changed.get((noun, verb), "")) for verb in VERBS
        )
        (place / "shop" / f"{noun}.py").write_text(text)
        tests = "".join(
            f"def test_{verb}_{noun}():\n    assert {verb}_{noun}(1, options)\n\n\n" for verb in VERBS
        )
        (place / "tests" / f"test_{noun}.py").write_text(f"from shop.{noun} import *\n\n\n{tests}")


@pytest.fixture
def history(repository):
    """A repository, and the commits of it: the parent, the message, the functions that were changed."""
    for name in ("shop", "tests"):
        (repository / name).mkdir()
    changed = {}
    write(repository, changed)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Open the shop")
    rng, commits = random.Random(7), []
    for _ in range(30):
        noun, verb, aspect = rng.choice(NOUNS), rng.choice(VERBS), rng.choice(ASPECTS)
        also = [(BESIDE[noun], verb)] if rng.random() < 0.4 else []
        for each in ((noun, verb), *also):
            changed[each] = changed.get(each, "") + f"    found = found.without_{aspect}(options)\n"
        write(repository, changed)
        parent = git(repository, "rev-parse", "HEAD")
        message = f"Mind the {aspect} when we {verb} a {noun}"
        git(repository, "commit", "-qam", message)
        commits.append((parent, message, [(noun, verb), *also]))
    return repository, commits


def found_by_message(repository, commits):
    hits = []
    engine = Engine(repository, os.environ)
    for parent, message, changed in commits:
        subprocess.run(["git", "checkout", "-q", "--detach", parent], cwd=repository, check=True)
        shown = {item.path: item.text for item in engine.select_items(message, [], [BUDGET])[BUDGET]}
        for noun, verb in changed:
            hits.append(f'"""{verb.capitalize()} one {noun} as' in shown.get(f"shop/{noun}.py", ""))
    return sum(hits) / len(hits)


def test_messages_find_what_their_commits_changed(history):
    repository, commits = history
    named = [(parent, message, changed[:1]) for parent, message, changed in commits[10:]]
    assert found_by_message(repository, commits[10:]) >= RECORDED - 0.01
    assert found_by_message(repository, named) >= 0.94
