"""Edits that name a file without its folder."""

import json

import pytest

from conftest import git

BLOCK = "util.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
WHOLE = "util.py\n```python\nx = 2\n```\n"
ADDED = "*** Begin Patch\n*** Add File: util.py\n+x = 2\n*** End Patch\n"


@pytest.fixture
def shop(project):
    for path in ("app.py", "lib/util.py", "web/[a]/here.py"):
        (project.root / path).parent.mkdir(parents=True, exist_ok=True)
        (project.root / path).write_text("x = 1\n")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Begin")
    return project


def changed(shop):
    return git(shop.root, "status", "--porcelain", "-uall").split()


@pytest.mark.parametrize("answer", [BLOCK, WHOLE])
def test_a_name_that_one_file_in_another_folder_has_is_refused_with_its_path(shop, answer):
    applied = shop.codebot("apply", "-", "-y", given=answer)
    assert applied.code == 4
    assert "no such file: util.py; there is lib/util.py" in applied.err
    assert changed(shop) == []


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (ADDED, "util.py"),
        (WHOLE.replace("util.py", "lib/other/util.py"), "lib/other/util.py"),
        (WHOLE.replace("util.py", "fresh.py"), "fresh.py"),
    ],
)
def test_a_second_file_of_a_name_is_made_where_the_answer_says_so(shop, answer, path):
    applied = shop.codebot("apply", "-", "-y", given=answer)
    assert applied.code == 0, applied.err
    assert changed(shop) == ["??", path]


def test_names_that_many_folders_have_are_new_files(shop):
    (shop.root / "lib/__init__.py").write_text("")
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "Make it a package")
    answer = "__init__.py\n```python\nx = 2\n```\n"
    assert shop.codebot("apply", "-", "-y", given=answer).code == 0
    assert changed(shop) == ["??", "__init__.py"]


@pytest.mark.parametrize(
    ("folder", "answer", "paths"),
    [
        ("lib", BLOCK, ["M", "lib/util.py"]),
        ("lib", WHOLE, ["M", "lib/util.py"]),
        ("web", WHOLE.replace("util.py", "fresh.py"), ["??", "web/fresh.py"]),
        ("web/[a]", ADDED, ["??", "web/[a]/util.py"]),
        ("lib", BLOCK.replace("util.py", "app.py"), ["M", "app.py"]),
        ("lib", WHOLE.replace("util.py", "docs/new.py"), ["??", "docs/new.py"]),
    ],
)
def test_a_name_without_a_folder_is_in_the_folder_of_the_caller(shop, monkeypatch, folder, answer, paths):
    monkeypatch.chdir(shop.root / folder)
    applied = shop.codebot("apply", "-", "-y", given=answer)
    assert applied.code == 0, applied.err
    assert changed(shop) == paths


def test_a_verb_makes_new_files_where_it_is_called(shop, tmp_path, monkeypatch):
    script = tmp_path / "script.yaml"
    text = WHOLE.replace("util.py", "fresh.py")
    script.write_text(json.dumps({"answers": [{"times": 0, "text": text}]}))
    words = ["do", "here.py", "--prompt", "x", "--agent", "scripted", "--script", script, "--apply"]
    monkeypatch.chdir(shop.root / "web/[a]")
    made = shop.codebot(*words)
    assert made.code == 0, made.err
    assert changed(shop) == ["??", "web/[a]/fresh.py"]
