"""Agent steps of a run, with a scripted agent or a model server on this machine."""

import json

import pytest
import yaml

from prunejuice.testing import ModelServer, Reply

CART = "def total(prices):\n    return 0\n"


def block(path, old, new):
    return f"It was wrong.\n\n{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


GOLD = block("cart.py", "    return 0\n", "    return sum(prices)\n")
WRONG = block("cart.py", "    return 0\n", "    return 1\n")
THEN_GOLD = block("cart.py", "    return 1\n", "    return sum(prices)\n")


@pytest.fixture
def shop(project):
    return project.commit("Open the shop", cart=CART)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Let a script stand in for every model."""

    def said(*answers):
        path = tmp_path / "answers.yaml"
        path.write_text(
            yaml.safe_dump({"answers": [a if isinstance(a, dict) else {"text": a} for a in answers]})
        )
        monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))

    return said


BUILD = """
    steps:
      - create-worktree
      - {name: build, agent: implement, args: {prompt: "${{ args.what }}", paths: [cart.py]}}
      - {name: verify, script: "python3 -c 'import cart; assert cart.total([1, 2]) == 3'"}
    arguments: [{name: what}]
"""


def test_an_agent_step_changes_the_worktree_of_the_run(shop, script):
    script(GOLD)
    shop.command("build", BUILD)
    answer, run = shop.run("build", "what=sum them")
    assert run["status"] == "completed", answer.err
    assert (shop.root / "cart.py").read_text() == CART, "the checkout is not touched"
    [step] = [each for each in run["steps"] if each["step"] == "build"]
    assert step["outputs"]["files"] == ["cart.py"]
    assert step["outputs"]["rounds"] == 1
    kept = {each["name"] for each in run["artifacts"]}
    assert any(name.endswith("-answer.md") for name in kept)
    assert any(name.endswith("-context.md") for name in kept)
    assert any(name.endswith("-changes.diff") for name in kept)
    assert "+    return sum(prices)" in shop.prj("diff", run["id"]).out
    log = shop.log(run, "build")
    assert "asked: " in log


def test_the_tokens_and_the_cost_of_agent_steps_are_those_of_the_run(shop, script):
    script({"text": GOLD, "input_tokens": 900, "output_tokens": 100})
    shop.command("build", BUILD.replace("python3 -c", "echo tokens=7 >> $PRUNEJUICE_OUTPUT; python3 -c"))
    _answer, run = shop.run("build", "what=sum them")
    assert run["status"] == "completed"
    assert run["tokens"] == 1000  # without the number that a script put out
    [line] = shop.prj("status", "--json").json["items"]
    assert line["tokens"] == 1000


def test_the_template_of_a_feature_needs_no_description(shop, script):
    script(GOLD)
    shop.prj("init")
    answer, run = shop.run("feature-branch", "branch_name=feat/totals")
    assert run["status"] == "completed", answer.err
    assert "+    return sum(prices)" in shop.prj("diff", run["id"]).out


LOOP = """
    steps:
      - {name: work, uses: create-worktree}
      - {name: verify, script: "python3 -c 'import cart; assert cart.total([1, 2]) == 3, \\"not 3\\"'", needs: [work], on_failure: debug}
      - {name: debug, agent: "@fix", args: {input: "${{ steps.verify.output }}"}, on_success: verify, max_visits: 3}
"""


def test_loop_repeats_until_the_check_passes(shop, script, monkeypatch):
    asked = []

    def answer(request):
        asked.append(request.prompt)
        return Reply(WRONG if len(asked) == 1 else THEN_GOLD)

    folder = shop.root / ".prj/verbs"
    folder.mkdir(parents=True)
    (folder / "mend.md").write_text("Mend what the output shows.\n")
    shop.command("fix", LOOP.replace("@fix", "mend"))
    with ModelServer(answer) as server:
        for name, value in {**server.environment, "PRUNEJUICE_MODEL": "openai-chat:gpt-5.6-luna"}.items():
            monkeypatch.setenv(name, value)
        answer, run = shop.run("fix")
    assert run["status"] == "completed", (answer.err, run.get("error"))
    assert len(asked) == 2
    assert "AssertionError: not 3" in asked[0], "it sees what failed"
    assert "return 1" in asked[1], "and the files as they are by now"
    assert "Mend what the output shows." in asked[0]


def test_without_a_model_a_person_is_waited_for_and_a_model_can_be_set_later(shop, script):
    shop.command("build", BUILD)
    answer = shop.prj("run", "build", "what=x", "--json")
    assert answer.code == 8
    assert "PRUNEJUICE_MODEL" in answer.err + answer.out
    script(GOLD)
    run = json.loads(shop.prj("status", "--json").out)["items"][0]["id"]
    assert shop.prj("resume", run).code == 0


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ([{"error": "overloaded"}], 6, "overloaded"),
        ([{"text": block("cart.py", "    return 7\n", "x\n"), "times": 0}], 4, "after 3 rounds"),
        (
            [{"text": block(".github/workflows/x.yml", "", "run: evil\n"), "times": 0}],
            7,
            "decide what runs",
        ),
        ([{"text": "no", "times": 0, "input_tokens": 600}], 5, "token limit reached"),
    ],
)
def test_failed_agent_step_sets_the_exit_code_and_changes_nothing(shop, script, answers, code, said):
    script(*answers)
    shop.command("build", BUILD.replace("paths: [cart.py]", "max_tokens: 1000"))
    answer = shop.prj("run", "build", "what=x")
    assert answer.code == code, answer.err
    run = shop.prj("history", "--json").json["items"][0]["id"]
    shown = shop.prj("show", run, "--json").json
    assert said in json.dumps(shown)
    assert "diff --git" not in shop.prj("diff", run).out


@pytest.mark.parametrize("args", ["{prompt: x, budget: many}", "{prompt: x, max_cost: -1}", "{}"])
def test_invalid_agent_arguments_are_refused(shop, script, args):
    script(GOLD)
    shop.command("build", f"steps: [{{name: build, agent: implement, args: {args}}}]")
    answer = shop.prj("run", "build")
    assert answer.code != 0
    assert "number" in answer.out or "needs a prompt" in answer.out


def test_unknown_verb_is_reported_before_any_step_runs(shop):
    shop.command("build", "steps: [{name: a, script: 'touch ran'}, {name: b, agent: implment, needs: [a]}]")
    for words in (["build"], ["build", "--dry-run"]):
        answer = shop.prj("run", *words)
        assert (answer.code, "step b: unknown verb 'implment'" in answer.err) == (2, True), answer.err
        assert "did you mean 'implement'?" in answer.err
    assert not (shop.root / "ran").exists()


def test_nothing_to_do_is_a_success(shop, script):
    script("NO CHANGES: fine.")
    shop.command("build", "steps: [{name: build, agent: refactor, args: {paths: cart.py}}]")
    _, run = shop.run("build")
    assert run["status"] == "completed"
    assert (shop.root / "cart.py").read_text() == CART


def test_a_report_is_handed_on_and_kept(shop, script):
    script({
        "output": {
            "summary": "It is wrong.",
            "findings": [{"path": "cart.py", "line": 2, "severity": "high", "message": "always 0"}],
        }
    })
    shop.command(
        "look",
        """
        steps:
          - {name: look, agent: review, args: {paths: cart.py}}
          - {name: tell, script: 'echo "$PRUNEJUICE_ARG_WHAT"', args: {what: "${{ steps.look.result.findings[0].message }}"}}
        """,
    )
    answer, run = shop.run("look")
    assert answer.code == 0, answer.err + answer.out
    assert "always 0" in shop.log(run, "tell")
    assert any(each["name"].endswith("-report.md") for each in run["artifacts"])
    assert "`cart.py:2` (high) always 0" in shop.log(run, "look")
