"""Answers that were cut off, hold thoughts, or show masks are not applied."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prunejuice.agents.thinking import UnfinishedThinkingError, strip_thinking
from prunejuice.testing import ModelServer, Reply

GOOD = "app.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
BAD = "other.py\n<<<<<<< SEARCH\nz = 3\n=======\nz = 99\n>>>>>>> REPLACE\n"
MODELS = {"chat": "openai-chat:m", "responses": "openai:m", "messages": "anthropic:m", "ollama": "ollama:m"}


@pytest.fixture
def shop(project):
    return project.commit("base", app="x = 1\ny = 5\n", other="z = 3\n")


@pytest.fixture
def model(monkeypatch):
    """A model by its replies in turn; the last one repeats."""
    left = []
    with ModelServer(lambda _: left.pop(0) if len(left) > 1 else left[0]) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)

        def says(*replies):
            left[:] = replies
            return server

        yield says


def do(shop, name="ollama:m", *flags):
    return shop.codebot(
        "do", "app.py", "other.py", "--prompt", "x to 2", "--model", name, "--apply", *flags
    )


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("text", "finish"),
    [
        (f"Done here.\n\n{GOOD}\nThe same in other", "length"),
        ("app.py\n```python\nx = 2\n```\n", "length"),
        (GOOD[:-20], "length"),
        (GOOD, "content_filter"),
        ("", "content_filter"),
    ],
)
def test_an_answer_that_was_cut_off_is_not_applied(shop, model, kind, text, finish):
    server = model(Reply(text, finish=finish))
    made = do(shop, MODELS[kind])
    assert made.code == 6, made.err
    assert "limit of the model's output" in made.err if finish == "length" else "filter" in made.err
    assert "codebot apply" not in made.err
    assert (shop.root / "app.py").read_text() == "x = 1\ny = 5\n"
    assert len(server.asked) == 1


def test_the_limit_of_one_answer_can_be_raised(shop, model):
    server = model(Reply(GOOD))
    os.makedirs(os.environ["PRUNEJUICE_CONFIG"], exist_ok=True)
    with open(f"{os.environ['PRUNEJUICE_CONFIG']}/config.yaml", "w") as file:
        file.write("output_tokens: 12345\n")
    assert do(shop).code == 0
    assert 12345 in {server.asked[0].body.get(key) for key in ("max_tokens", "max_completion_tokens")}


TAGS = {
    "plain": ("<think>", "</think>"),
    "orphan": ("", "</think>"),
    "upper": ("<Think>", "</Think>"),
    "thinking": ("<thinking>", "</thinking>"),
    "thought": ("<thought>", "</thought>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "bracket": ("[THINK]", "[/THINK]"),
    "diamond": ("◁think▷", "◁/think▷"),
    "bars": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "channel": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "seed": ("<seed:think>", "</seed:think>"),
}
BAD_FORMS = {
    "block": BAD,
    "fence": "other.py\n```python\nz = 99\n```\n",
    "patch": "*** Begin Patch\n*** Update File: other.py\n@@\n-z = 3\n+z = 99\n*** End Patch\n",
    "diff": "--- a/other.py\n+++ b/other.py\n@@ -1,1 +1,1 @@\n-z = 3\n+z = 99\n",
}


@pytest.mark.parametrize("bad", BAD_FORMS)
@pytest.mark.parametrize("tag", TAGS)
def test_edits_in_thoughts_are_not_applied(shop, model, tag, bad):
    opens, closes = TAGS[tag]
    text = f"{opens}\nPerhaps\n\n{BAD_FORMS[bad]}\nno: x alone.\n{closes}\n\n{GOOD}"
    model(Reply(text))
    assert do(shop).code == 0
    assert (shop.root / "other.py").read_text() == "z = 3\n"
    assert (shop.root / "app.py").read_text() == "x = 2\ny = 5\n"
    shop.codebot("undo")
    assert shop.codebot("apply", "-", "-y", given=text).code == 0
    assert (shop.root / "other.py").read_text() == "z = 3\n"


@pytest.mark.parametrize("opens", ["<think>", "<Thinking>", "[THINK]", "<|channel|>analysis<|message|>"])
def test_an_answer_that_ends_in_thoughts_is_refused(shop, model, opens):
    model(Reply(f"{opens}\nPerhaps\n\n{BAD}\n\n{GOOD}"))
    made = do(shop)
    assert made.code == 4
    assert "thinking" in made.err
    assert (shop.root / "other.py").read_text() == "z = 3\n"


@pytest.mark.parametrize(
    "text",
    [
        "prompt.md\n```markdown\n<think>\nthoughts\n</think>\nanswer\n```\n",
        "a.py\n<<<<<<< SEARCH\nx = '<think>'\n=======\n</think>\n>>>>>>> REPLACE\n",
        "--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,1 @@\n-<think>\n+</think>\n",
        '{"file_changes": [{"filepath": "a", "content": "<think>\\n</think>"}]}',
        "Use `<think>` and `</think>` in it.\n\na.py\n```\nx\n```\n",
        "a.py\n```\nno tags\n```",
    ],
)
def test_tags_that_belong_to_a_file_stay(text):
    assert strip_thinking(text) == text


def test_the_lines_of_an_answer_keep_their_numbers():
    text = f"<think>\nfirst\n</think>\n{GOOD}"
    assert strip_thinking(text).split("\n")[3:] == text.split("\n")[3:]
    with pytest.raises(UnfinishedThinkingError):
        strip_thinking("a.py\n```\nx\n</think>\n```\n")


SECRET = "sk_live_" + "a1B2c3D4" * 3


@pytest.mark.parametrize(
    ("path", "text", "answer"),
    [
        (".env", f"STRIPE_KEY={SECRET}\nPORT=80\n", ".env\n```\nSTRIPE_KEY=***\nPORT=***\nNEW=1\n```\n"),
        ("settings.py", f'KEY = "{SECRET}"\nn = 1\n', 'settings.py\n```\nKEY = "***"\nn = 2\n```\n'),
        ("settings.py", f'KEY = "{SECRET}"\nn = 1\n',
         'settings.py\n<<<<<<< SEARCH\nn = 1\n=======\nKEY = "***"\nn = 2\n>>>>>>> REPLACE\n'),
        ("settings.py", f'KEY = "{SECRET}"\nn = 1\n',
         'settings.py\n<<<<<<< SEARCH\nKEY = "***"\n=======\nKEY = "***"  # main\n>>>>>>> REPLACE\n'),
        ("settings.py", f'KEY = "{SECRET}"\nn = 1\n',
         '*** Begin Patch\n*** Update File: settings.py\n@@\n-n = 1\n+KEY = "***"\n+n = 2\n*** End Patch\n'),
        ("settings.py", f'KEY = "{SECRET}"\nn = 1\n',
         json.dumps({"file_changes": [{"filepath": "settings.py", "content": 'KEY = "***"\nn = 2\n'}]})),
        ("app.yaml", "url: postgres://u:hunter22hunter@h/x\nn: 1\n", "app.yaml\n```\nurl: postgres://u:***@h/x\nn: 2\n```\n"),
        ("c.json", f'{{"a": 1, "apiKey": "{SECRET}", "b": 2}}\n', 'c.json\n```\n{"a": 2, "apiKey": "***", "b": 2}\n```\n'),
        ("c.xml", "<password>hunter2hunter2</password>\n<a>1</a>\n", "c.xml\n```\n<password>***</password>\n<a>2</a>\n```\n"),
        ("c.yml", "db:\n  pw: zzz9k\n  port: 1\n", 'c.yml\n```\ndb:\n  pw: "***"\n  port: 2\n```\n'),
    ],
)  # fmt: skip
def test_a_mask_is_never_written(shop, path, text, answer):
    if text is not None:
        (shop.root / path).write_text(text)
    made = shop.codebot("apply", "-", "-y", given=answer)
    assert made.code == 4
    assert "***" in made.err
    assert SECRET not in made.err
    assert not (shop.root / path).exists() if text is None else (shop.root / path).read_text() == text


@pytest.mark.parametrize(
    ("path", "old", "answer", "new"),
    [
        ("settings.py", f'x = 1\nKEY = "{SECRET}"\n',
         'settings.py\n<<<<<<< SEARCH\nx = 1\nKEY = "***"\n=======\nx = 2\nKEY = "***"\n>>>>>>> REPLACE\n',
         f'x = 2\nKEY = "{SECRET}"\n'),
        ("settings.py", f'x = 1\nKEY = "{SECRET}"\n',
         'settings.py\n<<<<<<< SEARCH\nx = 1\nKEY = "***"\n=======\nx = 1\n>>>>>>> REPLACE\n', "x = 1\n"),
        (".env", "A=secretvalue1\nB=2\n", ".env\n<<<<<<< SEARCH\nA=***\n=======\nA=***\nC=3\n>>>>>>> REPLACE\n",
         "A=secretvalue1\nC=3\nB=2\n"),
        ("a.md", "***bold***\none\n", "a.md\n```\n***bold***\ntwo\n***\n```\n", "***bold***\ntwo\n***\n"),
        ("stars.py", 'rule = "***"\nn = 1\n', 'stars.py\n```\nrule = "***"\nn = 2\n```\n', 'rule = "***"\nn = 2\n'),
    ],
)  # fmt: skip
def test_a_masked_line_is_found_and_keeps_its_value(shop, path, old, answer, new):
    (shop.root / path).write_text(old)
    made = shop.codebot("apply", "-", "-y", given=answer)
    assert made.code == 0, made.err
    assert (shop.root / path).read_text() == new


def test_a_secret_is_in_no_question_and_on_no_terminal(shop, model):
    (shop.root / "settings.py").write_text(f'x = 1\nTOKEN = "{SECRET}"\n')
    stale = "settings.py\n<<<<<<< SEARCH\nx = 7\nTOKEN = None\n=======\nx = 2\n>>>>>>> REPLACE\n"
    server = model(Reply(stale))
    made = shop.codebot(
        "do",
        "settings.py",
        "--prompt",
        f"password: hunter2hunter2 {SECRET}",
        "--model",
        "ollama:m",
        "--json",
    )
    assert made.code == 4
    assert len(server.asked) == 3
    for asked in server.asked:
        assert SECRET not in json.dumps(asked.body)
        assert "hunter2" not in json.dumps(asked.body)
    assert SECRET not in made.err + made.out


@pytest.mark.parametrize(
    "first",
    [
        Reply(body={"error": {"message": "upstream is busy", "code": 403}}),
        Reply(body={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}),
        Reply(body="<html>log in</html>"),
        Reply("", finish="content_filter"),
        Reply(GOOD, finish="length"),
        Reply("busy", status=400),
    ],
    ids=["error", "no choices", "html", "filter", "length", "refused"],
)
def test_the_next_model_answers_where_one_does_not(shop, model, first):
    server = model(first, Reply(GOOD))
    made = do(shop, "ollama:m,ollama:n")
    assert made.code == 0, made.err
    assert [asked.model for asked in server.asked] == ["m", "n"]


def test_the_words_of_a_server_are_shown(shop, model):
    model(Reply(body={"error": {"message": "upstream is busy", "code": 400}}))
    made = do(shop)
    assert made.code == 6
    assert "upstream is busy" in made.err


@pytest.mark.parametrize("usage", [(), None])
def test_tokens_that_nobody_reports_are_counted(shop, model, usage):
    stale = "app.py\n<<<<<<< SEARCH\nnot there\n=======\nx = 2\n>>>>>>> REPLACE\n"
    server = model(Reply(stale, usage=usage))
    made = do(shop, "ollama:m", "--max-tokens", "400")
    assert made.code == 5
    assert len(server.asked) == 1
    [row] = shop.codebot("cost", "--json").json["items"]
    assert row["input"] > 100
    assert row.get("estimated", 0) == (usage == ())


def test_a_context_that_the_server_cut_is_told(shop, model):
    (shop.root / "big.py").write_text("\n".join(f"value_{n} = {n} * 3  # the {n}th" for n in range(1500)))
    for usage, is_told in (((2048, 9), True), ((23000, 9), False)):
        model(Reply(GOOD, usage=usage))
        made = shop.codebot("do", "app.py", "big.py", "--prompt", "x to 2", "--model", "ollama:m")
        assert ("num_ctx" in made.err) == is_told


@pytest.mark.skipif(shutil.which("script") is None, reason="script is not installed")
def test_no_banner_of_a_library_reaches_a_terminal(shop, model):
    model(Reply(GOOD))
    program = Path(sys.executable).with_name("codebot")
    command = f"{program} do app.py --prompt x --model ollama:m"
    environ = {
        name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_CURRENT_TEST"}
    }
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], cwd=shop.root, env=environ, capture_output=True, text=True
    )
    assert "pending" in done.stdout
    assert "logfire" not in done.stdout.lower()


def test_a_denial_travels_with_the_answer(shop, model):
    (shop.root / "test_app.py").write_text("from app import x\n\n\ndef test_x():\n    assert x == 2\n")
    cheat = "Removed test_x.\n\ntest_app.py\n```python\nprint('fine')\n```\n"
    model(Reply(cheat))
    check = f"{sys.executable} -m pytest -q test_app.py"
    made = shop.codebot("fix", "app.py", "--model", "ollama:m", "--check", check, "--apply")
    assert made.code == 7, made.err
    kept = made.err.split("codebot apply ")[1].split()[0]
    again = shop.codebot("apply", kept, "-y")
    assert again.code == 7
    assert "was denied" in again.err
    assert "assert x == 2" in (shop.root / "test_app.py").read_text()
