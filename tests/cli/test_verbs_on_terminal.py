"""Every verb on a terminal, with a model server: its review has keys, and nothing but our words is shown."""

import re

import pytest

from conftest import git
from prunejuice.testing import ModelServer, Reply
from terminal import Terminal

CART = "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    return result\n"
DONE = "def total(prices):\n    return sum(prices)\n"
EDIT = Reply(f"It is a sum.\n\ncart.py\n<<<<<<< SEARCH\n{CART}=======\n{DONE}>>>>>>> REPLACE\n")
TEST = Reply(
    output={
        "test_cases": [
            {
                "test_name": "test_total",
                "test_type": "unit",
                "imports_needed": ["from cart import total"],
                "test_code": "def test_total():\n    assert total([1, 2]) == 3\n",
            }
        ]
    }
)
FINDINGS = Reply(output={"summary": "It adds up.", "findings": []})
ANALYSIS = Reply(output={"summary": "It adds up.", "observations": []})
SUMMARY = Reply(output={"overview": "It adds up.", "components": [], "external_dependencies": []})
CHECK = ("--check", "grep -q sum cart.py")
CHANGES = {
    "debug-tests": ("debug-tests", *CHECK),
    "do": ("@use sum", "cart.py"),
    "document": ("document", "cart.py"),
    "fix": ("fix", *CHECK),
    "fix-types": ("fix-types", *CHECK),
    "implement": ("implement", "cart.py", "--prompt", "use sum"),
    "lint": ("lint", *CHECK),
    "optimize-perf": ("optimize-perf", "cart.py"),
    "refactor": ("refactor", "cart.py"),
}
COLOR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def shop(project):
    (project.root / "cart.py").write_text(CART)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Open the shop")
    return project


@pytest.fixture
def on_terminal(shop):
    """Start codebot on a terminal, with a model that always gives one reply."""
    servers = []

    def start(reply, *words, **env):
        servers.append(ModelServer(lambda _: reply).__enter__())
        model = {"PRUNEJUICE_MODEL": "openai-chat:gpt-5.6-luna"}
        return Terminal(shop.root, *words, **{**servers[0].environment, **model, **env})

    yield start
    for server in servers:
        server.__exit__()


def require_own_words_only(terminal):
    assert not re.search("pydantic|logfire|observability|banner|uvx", terminal.shown, re.IGNORECASE)
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("verb", CHANGES)
def test_a_change_is_reviewed_and_applied_with_a_key(shop, on_terminal, verb):
    terminal = on_terminal(EDIT, *CHANGES[verb], "-r")
    terminal.wait("[1/1] cart.py")
    terminal.key("a")
    assert terminal.end() == 0, terminal.shown
    assert (shop.root / "cart.py").read_text() == DONE
    require_own_words_only(terminal)
    assert COLOR.search(terminal.shown)


def test_a_generated_test_is_sent_back_and_approved_with_keys(shop, on_terminal):
    terminal = on_terminal(TEST, "test", "cart.py", "-r")
    terminal.wait("[1/1] test_cart.py")
    terminal.key("r")
    terminal.key("name it\r", after="why")
    terminal.wait("sent back for revision: 1 hunk")
    terminal.wait("[1/1] test_cart.py")
    terminal.key("a")
    assert terminal.end() == 0, terminal.shown
    assert "def test_total" in (shop.root / "test_cart.py").read_text()
    require_own_words_only(terminal)


@pytest.mark.parametrize(
    ("verb", "reply"), [("review", FINDINGS), ("analyze", ANALYSIS), ("summarize", SUMMARY)]
)
def test_a_report_is_shown(on_terminal, verb, reply):
    terminal = on_terminal(reply, verb, "cart.py")
    assert terminal.end() == 0, terminal.shown
    assert "It adds up." in terminal.shown
    require_own_words_only(terminal)


def test_a_review_without_colors(shop, on_terminal):
    terminal = on_terminal(EDIT, "refactor", "cart.py", "-r", NO_COLOR="1")
    terminal.key("q")
    assert terminal.end() == 0, terminal.shown
    assert not COLOR.search(terminal.shown)
    assert (shop.root / "cart.py").read_text() == CART


def test_every_verb_is_tried(shop):
    listed = {item["name"] for item in shop.codebot("list", "--json").json["items"]}
    assert listed == {*CHANGES, "test", "review", "analyze", "summarize"}
