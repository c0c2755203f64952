"""Definitions that are left out of a file are named in the gaps of what is shown."""

import os
import re

import pytest

from conftest import git
from prunejuice.code import tokens
from prunejuice.context.bundle import STYLES, render_bundle
from prunejuice.context.engine import Engine
from prunejuice.context.fill import fill_budget
from prunejuice.context.packing import FULL_TEXT, LISTED, SIGNATURE_ONLY, PackingStep
from prunejuice.context.render import FileRenderer, TokenCache
from prunejuice.context.request import ContextRequest

KEY = "ghp_" + "a1B2c3" * 6
SHOP = f"""import os


def load(path):
    return path


class Shop:
    def __init__(self):
        self.items = []

    def sell(self, item):
        return item

    def load(self):
        return self.items


def total(items):
    return sum(items)


def {KEY}():
    pass
"""
TITLES = "describe('shop', () => {\n  it(`sells\n    things`, () => {\n    run()\n  })\n})\n"
TOP, LOAD, SHOP_CLASS, INIT, SELL, SHOP_LOAD, TOTAL, SECRET = range(8)


@pytest.fixture
def renderer(repository):
    (repository / "shop.py").write_text(SHOP)
    (repository / "till.test.ts").write_text(TITLES)
    body = "".join(f"    cart = cart.pay(cart.owner, amount={n})\n" for n in range(12))
    (repository / "many.py").write_text("".join(f"def step_{n}(cart):\n{body}\n\n" for n in range(60)))
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Open the shop")
    engine = Engine(repository, os.environ)
    yield FileRenderer(engine.corpus(), "text", TokenCache({}, {}, {}, set()))
    engine.close()


def shown(renderer, forms, path="shop.py"):
    return renderer.render(renderer.corpus.number[path], forms)[0]


def test_listed_definitions_are_named_in_the_gap_where_they_are(renderer):
    forms = {LOAD: LISTED, INIT: LISTED, SELL: FULL_TEXT, TOTAL: LISTED}
    expected = "... load, __init__\n    def sell(self, item):\n        return item\n\n... total\n"
    assert shown(renderer, forms) == expected


def test_a_name_stands_once_in_a_gap(renderer):
    assert shown(renderer, {LOAD: LISTED, SHOP_LOAD: LISTED}) == "... load\n"


def test_listed_names_follow_a_signature(renderer):
    forms = {SHOP_CLASS: SIGNATURE_ONLY, SELL: LISTED, TOTAL: SIGNATURE_ONLY}
    assert shown(renderer, forms) == "...\nclass Shop:\n... sell\ndef total(items):\n"


def test_a_name_is_on_one_line_and_holds_no_secret(renderer):
    assert shown(renderer, {0: LISTED, 1: LISTED}, "till.test.ts") == "... shop, sells things\n"
    assert KEY not in shown(renderer, {SECRET: LISTED})


@pytest.mark.parametrize(
    ("form", "head"), [(LISTED, LISTED), (SIGNATURE_ONLY, SIGNATURE_ONLY), (FULL_TEXT, SIGNATURE_ONLY)]
)
def test_only_what_is_more_than_listed_raises_the_name_of_its_class(renderer, form, head):
    file = renderer.corpus.number["shop.py"]
    steps = [
        PackingStep(file, 1.0, 2, ((SHOP_CLASS, LISTED),)),
        PackingStep(file, 0.5, 2, ((SELL, form),)),
    ]
    assert fill_budget(renderer, steps, 500)[file] == {SHOP_CLASS: head, SELL: form}


def test_the_tokens_of_names_are_counted(renderer):
    file = renderer.corpus.number["shop.py"]
    before = {SELL: FULL_TEXT}
    after = before | {TOTAL: LISTED}
    assert renderer.growth_tokens(file, before, after) == 2  # ", total"; the gap was there
    assert renderer.growth_tokens(file, {}, {TOTAL: LISTED}) >= 4


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("budget", [200, 300, 450, 700])
def test_a_context_with_names_keeps_its_budget(renderer, repository, style, budget):
    engine = Engine(repository, os.environ)
    bundle = engine.gather(ContextRequest(query="cart step 30", style=style, budget=budget))
    engine.close()
    assert any(re.search(r"^\.\.\. step_\d+, step_\d+", item.text, re.M) for item in bundle.items)
    text_style = "text" if style == "json" else style
    assert tokens.count(render_bundle(bundle, text_style)) == bundle.used <= budget
