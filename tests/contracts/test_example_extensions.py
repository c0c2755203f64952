"""The example package of docs/extending.md: every kind of extension is found, listed and used."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from conftest import git

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "acme"
COMMAND = """\
name: greet
description: Greet
steps: [{name: hello, uses: acme-greet, args: {name: you}}]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the example is installed in."""
    target = tmp_path_factory.mktemp("site")
    uv = Path(sys.executable).with_name("uv")
    argv = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--offline",
        "--target",
        target,
    ]
    subprocess.run([*argv, EXAMPLE, "--python", sys.executable], check=True, capture_output=True)
    return target


@pytest.fixture
def call(installed, repository):
    """Call one of our programs where the example is installed."""

    def run(program, *words, given="", code=0, **variables):
        done = subprocess.run(
            [sys.executable, "-c", f"from prunejuice.cli.{program} import main; main()", *words],
            cwd=repository,
            input=given,
            env={**os.environ, "PYTHONPATH": str(installed), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout if code == 0 else done.stderr

    return run


def test_doctor_lists_every_extension(call):
    checks = json.loads(call("prj", "doctor", "--json"))["items"]
    listed = {check["name"]: check for check in checks if "acme-prunejuice 1.0" in check["found"]}
    assert set(listed) == {
        "agents acme-echo",
        "forges acme",
        "stores acme-log",
        "formats acme-lines",
        "languages kt",
        "steps acme-greet",
        "gates acme-no-todo",
    }
    assert all(check["ok"] for check in listed.values())


def test_the_agent_answers_a_verb(call, repository):
    call("codebot", "@write the greeting", "--agent", "acme-echo:notes.txt", "--apply")
    assert (repository / "notes.txt").read_text() == "hello\n"


def test_the_format_is_detected_and_can_be_named(call, repository):
    call("codebot", "apply", "-", "--yes", given="SET b.txt: one\n")
    call("codebot", "apply", "-", "--yes", "--format", "acme-lines", given="SET c.txt: two\n")
    assert ((repository / "b.txt").read_text(), (repository / "c.txt").read_text()) == ("one\n", "two\n")
    assert "acme-lines" in call("codebot", "apply", "-", "--format", "acme-line", given="x", code=2)


def test_the_gate_refuses(call, repository):
    (repository / "script.yaml").write_text('answers: [{text: "a.txt\\n```\\nTODO\\n```\\n"}]\n')
    words = ("codebot", "@write it", "a.txt", "--agent", "scripted", "--script", "script.yaml")
    assert "a TODO in a.txt" in call(*words, code=3, PRUNEJUICE_GATES="acme-no-todo")
    assert "unknown gate" in call(*words, code=2, PRUNEJUICE_GATES="acme-todo")
    call(*words)


def test_the_step_and_the_store_serve_a_run(call, repository):
    (repository / ".prj/commands").mkdir(parents=True)
    (repository / ".prj/commands/greet.yaml").write_text(COMMAND)
    call("prj", "trust", PRUNEJUICE_STORE="acme-log")
    run = json.loads(call("prj", "run", "greet", "--json", PRUNEJUICE_STORE="acme-log"))
    assert run["steps"][0]["outputs"] == {"greeting": "hello, you"}
    state = Path(os.environ["PRUNEJUICE_HOME"])
    assert run["id"] in (state / "acme.log").read_text()
    assert run["id"] in call("prj", "history", "--json", PRUNEJUICE_STORE="acme-log")
    assert "unknown store" in call("prj", "history", code=2, PRUNEJUICE_STORE="nothing")


def test_the_forge_and_the_language_keep_their_contracts(installed, repository):
    git(repository, "remote", "add", "origin", "acme://shop/cart")
    code = """
        from prunejuice.testing.contracts import check_agent, check_forge, check_language, check_store
        from acme_prunejuice import agent, forge, store
        from prunejuice.agents.protocol import AgentRequest
        from prunejuice.code.languages import language_for_path
        from prunejuice.forges.registry import find_forge
        import pathlib, sys
        check_forge(forge.connect, "acme://shop/cart", {"ACME_TOKEN": "x"}, 3)
        assert find_forge("acme://shop/cart", {}).login_fix == "set ACME_TOKEN"
        assert find_forge("https://github.com/o/n", {}).title.startswith("o/n at")
        assert language_for_path("src/Main.kt") == "kt"
        check_language("Main.kt", "import kotlin.io.println\\nfun main() {}\\n", [], ["kotlin.io.println"])
        check_agent(lambda: agent.create(AgentRequest("", {})))
        check_store(lambda: store.open_store(pathlib.Path(sys.argv[1]), {}))
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), repository / "state"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
    )
