"""`codeclip`, `codebot context`, and `codeclip` as a library."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import codeclip
from conftest import git


@pytest.fixture
def shop(project):
    files = {
        "shop/cart.py": "def checkout(voucher):\n    return voucher.amount\n",
        "shop/mail.py": "def send_receipt(address):\n    connect(address)\n",
        "tests/test_cart.py": "from shop.cart import checkout\n\n\ndef test_checkout():\n    assert checkout(None)\n",
    }
    for path, text in files.items():
        (project.root / path).parent.mkdir(exist_ok=True)
        (project.root / path).write_text(text)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Open the shop")
    return project


def test_a_task_in_words(shop):
    answer = shop.codeclip("-q", "the voucher at checkout")
    assert answer.code == 0
    assert "==> shop/cart.py" in answer.out
    assert "def checkout(voucher):" in answer.out
    assert "tokens" in answer.err


def test_similar_files_are_shown_or_listed_as_left_out(shop):
    (shop.root / "lang").mkdir()
    body = "".join(f"    amount += numbers[{n}]\n" for n in range(12))
    for n in range(9):
        (shop.root / f"lang/no{n}.py").write_text(f"def amount_total(numbers):\n    amount = 0\n{body}")
    for n in range(60):
        (shop.root / f"shop/other{n}.py").write_text(f"def amount_{n}(total):\n    return total + {n}\n")
    shop.commit("Often")
    found = shop.codeclip("-q", "amount total", "-b", "300", "--json").json
    shown = {each["path"] for each in found["items"]}
    left = {each["path"]: each["reason"] for each in found["left_out"]}
    twins = {f"lang/no{n}.py" for n in range(9)}
    assert shown & twins
    assert twins <= shown | left.keys()


@pytest.mark.parametrize(
    ("path", "open_", "head", "close"),
    [
        ("basket.py", "class Basket:\n", "    def {}(self, other):\n", ""),
        ("Basket.java", "public class Basket {\n", "    public int {}(int other) {{\n", "    }}\n"),
        ("basket.rb", "class Basket\n", "    def {}(other)\n", "    end\n"),
    ],
)
def test_a_method_is_shown_in_its_class(shop, path, open_, head, close):
    """There is room for the line, so it says where the method belongs."""
    body = "".join(f"        x{n} = other + {n}\n" for n in range(12))
    methods = [head.format(f"method{n}") + body + close.replace("}}", "}") + "\n" for n in range(30)]
    wanted = head.format("redeem_voucher") + "        return coupon\n" + close.replace("}}", "}")
    (shop.root / path).write_text(open_ + "".join(methods) + wanted)
    shop.commit("Baskets")
    found = shop.codeclip("-q", "redeem voucher coupon", "-b", "1k", "--json").json
    [item] = [each for each in found["items"] if each["path"] == path]
    assert item["mode"] == "slice"
    assert item["text"].startswith(open_)
    assert wanted in item["text"]
    assert found["tokens" if "tokens" in found else "used"] <= 1000


def test_codebot_context_returns_the_same_items_as_codeclip(shop):
    words = ("-q", "the voucher", "--json")
    assert shop.codebot("context", *words).json["items"] == shop.codeclip(*words).json["items"]


@pytest.mark.parametrize("form", ["text", "markdown", "xml"])
def test_forms(shop, form):
    answer = shop.codeclip("shop/mail.py", "--only", "--format", form)
    assert "connect(address)" in answer.out
    if form == "xml":
        assert ElementTree.fromstring(answer.out).get("path") == "shop/mail.py"


def test_json_is_one_object_with_everything(shop):
    found = shop.codeclip("shop/mail.py", "-q", "voucher", "-b", "1.5k", "--json").json
    assert found["schema"] == "prunejuice.context/1"
    assert found["budget"] == 1500
    assert found["used"] <= 1500
    assert found["items"][0].keys() >= {"path", "blob", "mode", "tokens", "text"}
    assert any(item["mode"] == "pinned" for item in found["items"])


def test_explain_says_why_and_what_is_left_out(shop):
    (shop.root / "logo.png").write_bytes(b"x")
    answer = shop.codeclip("-q", "voucher", "--explain")
    assert "parts" in answer.out
    assert "logo.png  a picture" in answer.out


def test_the_task_and_the_output_come_from_anywhere(shop, tmp_path):
    task = tmp_path / "task.txt"
    task.write_text("voucher")
    assert "shop/cart.py" in shop.codeclip("-q", f"@{task}").out
    assert "shop/cart.py" in shop.codeclip("-q", "-", given="voucher").out
    answer = shop.codeclip("--input", "-", given="E  assert checkout(None)\n")
    assert answer.out.startswith("==> the output <==\nE  assert checkout(None)\n")
    missing = shop.codeclip("--input", "nowhere.txt")
    assert missing.code == 2
    assert "could not read nowhere.txt" in missing.err


def test_the_difference(shop):
    (shop.root / "shop/mail.py").write_text("def send_letter(address):\n    pass\n")
    answer = shop.codeclip("--diff")
    assert "-def send_receipt(address):" in answer.out
    assert "==> shop/mail.py" in answer.out
    assert "-def send_receipt" in shop.codeclip("--diff", "HEAD", "shop").out
    assert "-def send_receipt" in shop.codeclip("--diff", "shop").out
    wrong = shop.codeclip("--diff", "nonsense")
    assert wrong.code == 2
    assert "unknown commit 'nonsense'" in wrong.err


def test_copying(shop, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in (
        ("wl-copy", f"exec cat > {tmp_path}/held"),
        ("wl-paste", f"exec cat {tmp_path}/held"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("WAYLAND_DISPLAY", "w")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.delenv("SSH_TTY", raising=False)
    answer = shop.codeclip("shop/mail.py", "--only", "--copy")
    assert answer.out == ""
    assert "copied with wl-clipboard" in answer.err
    assert "connect(address)" in (tmp_path / "held").read_text()
    assert "==> the output <==" in shop.codeclip("--input", "clipboard").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope.py"], "no such file: 'nope.py'"),
        (["-b", "many"], "invalid number of tokens 'many'"),
        (["-b", "10"], "a budget of 10 tokens is too small"),
        (["--strategy", "magic"], "'magic' is not one of"),
        (["../other"], "is outside"),
    ],
)
def test_invalid_arguments_are_reported(shop, words, said):
    answer = shop.codeclip(*words)
    assert answer.code == 2
    assert said in answer.err


def test_terminal_signs_in_files_do_not_reach_a_terminal(shop, monkeypatch):
    (shop.root / "evil.py").write_text("x = '\x1b]52;c;aGk=\x07'\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    answer = shop.codeclip("evil.py", "--only")
    assert "\x1b]52" not in answer.out


def test_serving_answers_line_by_line(shop):
    requests = [
        {"repo": str(shop.root), "query": "voucher", "seeds": [], "budgets": [1000, 4000]},
        {"repo": str(shop.root), "query": "voucher", "seeds": ["shop/cart.py"], "budget": 2000},
        {"repo": "/nowhere-at-all", "query": 7},
        {"repo": str(shop.root), "query": "receipt", "budgets": ["x"]},
    ]
    lines = "".join(json.dumps(each) + "\n" for each in requests) + "not json\n\n"
    done = subprocess.run(
        [sys.executable, "-c", "from prunejuice.cli.codeclip import main; main()", "serve"],
        input=lines, capture_output=True, text=True, cwd=shop.root, check=True,
    )  # fmt: skip
    first, second, third, fourth, last = map(json.loads, done.stdout.splitlines())
    assert set(first["by_budget"]) == {"1000", "4000"}
    assert "shop/cart.py" in {file["path"] for file in first["by_budget"]["1000"]}
    assert "shop/cart.py" not in {file["path"] for file in second["files"]}
    assert "error" in third
    assert "budgets" in fourth["error"]
    assert "error" in last


def test_as_a_library(shop):
    content, token_info = codeclip.get_context(paths=["shop/"], query="voucher", budget=2000)
    assert "def checkout(voucher):" in content
    assert 0 < token_info["total_tokens"] <= 2000
    assert set(token_info["files"]) <= {"shop/cart.py", "shop/mail.py"}
    assert codeclip.gather(query="voucher").items


MODULE = "def parse_{0}(text):\n    return text.split({0})\n"


def pinned(project):
    found = project.codeclip("-q", "parse text", "-b", "500", "--json").json["items"]
    return {item["path"] for item in found if item["mode"] == "pinned"}


def test_new_commands_of_a_project_do_not_lead_a_context(project):
    project.commit("modules", **{f"m{number}": MODULE.format(number) for number in range(6)})
    assert project.prj("init").code == 0
    assert not [path for path in pinned(project) if path.startswith(".prj/")]


@pytest.mark.parametrize(("count", "leads"), [(8, True), (9, False)])
def test_a_few_new_files_lead_a_context_and_many_do_not(project, count, leads):
    project.commit("modules", one=MODULE.format(1))
    for number in range(count):
        (project.root / f"new{number}.txt").write_text("words\n")
    (project.root / "one.py").write_text(MODULE.format(2))
    found = project.codeclip("-q", "parse", "--json").json["items"]
    reasons = {item["path"]: item for item in found}
    assert ("new0.txt" in reasons) == leads
    assert "one.py" in reasons
