"""Codebot as a Python library."""

import asyncio
import json
import os
import textwrap
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

import codebot
from codebot import (
    COMMANDS,
    Command,
    CommandOutput,
    ContextManager,
    ExecutionContext,
    FileChange,
    GateError,
    InteractiveReviewer,
    OptimizationResult,
    PipelineComposer,
    PRSubmission,
    RunTestsCommand,
    SubmitPRCommand,
    SummaryCache,
    UsageError,
    Workflow,
    WorkflowExecutor,
    WorkflowStep,
    chain_commands,
    execute_agent,
    get_command,
    register_command,
)
from codebot import (
    TestCase as Case,
)
from codebot import (
    TestGenerationResult as Tests,
)
from conftest import git
from prunejuice.testing import Forge
from prunejuice.verbs import plugins

CART = '"""The cart."""\n\n\ndef total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    return result\n'
LOOP = "    result = 0\n    for price in prices:\n        result += price\n    return result\n"
BLOCK = f"A sum.\n\ncart.py\n<<<<<<< SEARCH\n{LOOP}=======\n    return sum(prices)\n>>>>>>> REPLACE\n"


@pytest.fixture
def shop(project):
    return project.commit("Open the shop", cart=CART)


@pytest.fixture
def script(shop, tmp_path, monkeypatch):
    """A script that stands in for every model."""

    def written(*answers):
        path = tmp_path / "answers.yaml"
        path.write_text(yaml.safe_dump({"answers": list(answers)}))
        monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))

    yield written
    for name in list(plugins._registered_commands):
        del plugins._registered_commands[name]


def run(work):
    return asyncio.run(work)


def test_every_name_of_the_library_is_there():
    for name in codebot.__all__:
        assert getattr(codebot, name) is not None or name == "TDD_WORKFLOW"
    with pytest.raises(AttributeError):
        _ = codebot.nothing_like_it


def test_a_command_answers_with_file_changes_and_writes_nothing(shop, script):
    script({"text": BLOCK})
    output = run(get_command("optimize-perf").execute(ExecutionContext(paths=("cart.py",))))
    assert [each.filepath for each in output.file_changes] == ["cart.py"]
    assert output.summary.startswith("A sum.")
    assert (shop.root / "cart.py").read_text() == CART
    assert "+    return sum(prices)" in output.file_changes[0].preview()
    output.change_set().apply()
    assert "sum(prices)" in (shop.root / "cart.py").read_text()


def test_tests_are_file_changes_with_a_verdict_on_each(shop, script):
    code = "def test_total():\n    assert total([1, 2]) == 3\n"
    case = {"test_name": "test_total", "test_type": "unit", "test_code": code}
    case["imports_needed"] = ["from cart import total"]
    script({"output": {"test_cases": [case], "setup_code": "", "imports": []}})
    output = run(get_command("test").execute(ExecutionContext(paths=("cart.py",))))
    assert [each.filepath for each in output.file_changes] == ["test_cart.py"]
    assert output.metadata["tests"][0]["kept"]


OPTIMIZATIONS = {
    "summary": "One loop.",
    "optimizations": [
        {
            "title": "Use sum",
            "risk_level": "low",
            "auto_applicable": True,
            "changes": [
                {"file_path": "cart.py", "new_content": "def total(prices):\n    return sum(prices)\n"}
            ],
        },
        {"title": "Rewrite in C", "risk_level": "high"},
    ],
}


def test_a_command_of_ones_own_with_a_result_type(shop, script):
    @register_command
    class PerformanceOptimizer(Command):
        name = "speed-up"
        prompt_template = """Analyze code for performance bottlenecks and suggest optimizations."""
        result_type = OptimizationResult

        async def post_process(self, result):
            changes = [
                change
                for each in result.optimizations
                if each.risk_level == "low" and each.auto_applicable
                for change in each.generate_changes()
            ]
            found = f"Found {len(result.optimizations)} optimizations"
            report = FileChange(".codebot/reports/performance.md", result.to_report())
            return CommandOutput([*changes, report], found)

    script({"output": OPTIMIZATIONS})
    output = run(COMMANDS["speed-up"].execute(ExecutionContext(paths=("cart.py",))))
    assert output.summary == "Found 2 optimizations"
    assert [each.filepath for each in output.file_changes] == ["cart.py", ".codebot/reports/performance.md"]
    assert "speed-up" in set(COMMANDS)
    assert "Rewrite in C" in output.file_changes[1].content


def test_a_result_that_does_not_fit_its_model_is_asked_for_again(shop, script):
    class Count(BaseModel):
        n: int

    script({"output": {"n": "many"}}, {"output": {"n": 3}})
    found = run(execute_agent("How many?", {"paths": ("cart.py",)}, Count, "oneshot"))
    assert found == Count(n=3)


def test_chained_commands_receive_the_previous_summary(shop, script):
    script(
        {"when": "Look for", "output": {"summary": "The loop is slow.", "findings": []}},
        {"when": "What came before: The loop is slow.", "text": BLOCK},
        {"when": "What came before: A sum.", "text": "NO CHANGES"},
    )
    outputs = run(
        chain_commands(
            ("review", {"paths": ["cart.py"]}),
            ("optimize-perf", {"threshold": 0.1, "paths": ["cart.py"]}),
            ("document", {"only_changed": True}),
        )
    )
    assert [each.summary.split("\n")[0] for each in outputs] == [
        "The loop is slow.",
        "A sum.",
        "NO CHANGES",
    ]


def test_a_chain_names_what_it_cannot_find(shop, script):
    with pytest.raises(UsageError, match="unknown verb 'nothing-like-it'"):
        run(chain_commands(("nothing-like-it", {})))


def test_tests_as_values():
    made = Tests(
        test_cases=(
            Case(
                test_name="Adds up",
                imports_needed=("import cart",),
                test_code="def test_adds_up():\n    pass\n",
            ),
            Case(test_name="test_b", imports_needed=("import cart",), test_code="def test_b():\n    pass"),
        ),
        setup_code="X = 1",
    )
    assert [each.test_name for each in made.test_cases] == ["test_adds_up", "test_b"]
    text = made.to_test_file()
    assert text.startswith("import cart\nimport pytest\n\n\nX = 1\n\n\ndef test_adds_up")
    compile(text, "x", "exec")


def test_a_context_by_hand(shop):
    context = ContextManager().gather_context(["cart.py"], only=True)
    assert context.files == {"cart.py": CART}
    assert context.token_count > 10


def test_a_context_by_hand_has_the_uncommitted_changes(shop):
    (shop.root / "cart.py").write_text(CART + "\nRATE = 2\n")
    context = ContextManager().gather_context(["cart.py"])
    assert "+RATE = 2" in context.git_diff
    assert ContextManager().gather_context(["cart.py"], diff="").git_diff == ""


def test_a_summary_is_kept_and_made_once(shop):
    first = run(SummaryCache().get_or_create_summary(["cart.py"], token_limit=500))
    assert "cart.py" in first
    assert run(SummaryCache().get_or_create_summary(["cart.py"], token_limit=500)) == first
    named = SummaryCache(Path(".codebot/summaries"))
    assert run(named.get_or_create_summary(["cart.py"], token_limit=500)) == first


def test_running_tests(shop):
    (shop.root / "test_cart.py").write_text(
        "from cart import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
    )
    assert "1 passed" in run(RunTestsCommand().execute()).summary
    (shop.root / "cart.py").write_text("def total(prices):\n    return 0\n")
    with pytest.raises(GateError, match="the tests fail"):
        run(RunTestsCommand().execute())


def test_workflows_of_commands_run_as_runs(shop, script):
    script({"when": "faster", "text": BLOCK}, {"when": "Write the documentation", "text": "NO CHANGES"})
    steps = {
        "quick": WorkflowStep(name="Make it fast", command=COMMANDS["optimize-perf"], on_success="look"),
        "look": WorkflowStep(name="Look", script="grep -c sum cart.py"),
    }
    flow = Workflow(name="fast", steps=steps, entry_point="quick")
    result = run(WorkflowExecutor().execute(PipelineComposer().sequence(flow, flow)))
    assert result.success is False, "the second time the loop is gone"
    assert result.outputs["fast_quick"]["status"] == "completed"
    assert result.outputs["fast_look"]["status"] == "completed"
    assert "sum(prices)" in (shop.root / "cart.py").read_text()
    assert codebot.TDD_WORKFLOW.entry_point == "write_test"


def test_handing_in_from_python(shop, tmp_path, monkeypatch):
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    git(shop.root, "remote", "add", "origin", f"file://{tmp_path}/remote.git")
    git(shop.root, "push", "-q", "origin", "main")
    with Forge() as forge:
        for name, value in forge.environment.items():
            monkeypatch.setenv(name, value)
        context = ExecutionContext(pending_changes=(FileChange("new.txt", "x\n"),))
        output = run(SubmitPRCommand().execute(context, title="Add tests", description="Improves coverage"))
    assert output.metadata == {
        "pr_url": "https://forge.test/shop/cart/pull/1",
        "branch": "codebot/add-tests",
    }
    assert output.summary == "Created PR: https://forge.test/shop/cart/pull/1"
    sent = PRSubmission("t", "d", "b", (FileChange("a", "b"),))
    assert sent.base_branch == "main"


def test_a_reviewer_needs_a_terminal(shop):
    with pytest.raises(codebot.PruneJuiceError, match="terminal"):
        run(InteractiveReviewer().review_change(FileChange("cart.py", "x = 1\n")))


def test_an_agent_of_pydantic_ai_for_a_command():
    made = (
        get_command("speed").build_agent()
        if False
        else Command(name="x", prompt_template="Do.").build_agent("test")
    )
    assert type(made).__name__ == "Agent"


@pytest.mark.parametrize("given", [{"nmae": "x"}, {"name": "not a name"}, {}])
def test_invalid_command_definition_is_refused(given):
    with pytest.raises(UsageError):
        Command(**given)


# -- in a project -------------------------------------------------------------------------------------

CODE = """
    from codebot import Command, CommandOutput, FileChange, register_command
    from pydantic import BaseModel


    class Names(BaseModel):
        names: list[str]


    @register_command
    class ListNames(Command):
        '''Write the names of functions into a file.'''

        name = "list-names"
        prompt_template = "Name the functions."
        result_type = Names

        async def post_process(self, result):
            text = "\\n".join(result.names) + "\\n"
            return CommandOutput([FileChange("NAMES", text)], f"{len(result.names)} names", {"count": len(result.names)})
"""


@pytest.fixture
def extended(shop):
    folder = shop.root / ".prj/commands"
    folder.mkdir(parents=True)
    (folder / "names.py").write_text(textwrap.dedent(CODE))
    return shop


def test_a_trusted_project_brings_commands_along(extended, script):
    script({"output": {"names": ["total"]}})
    refused = extended.codebot("list-names", "cart.py")
    assert refused.code == 2
    assert "prj trust" in refused.err
    extended.prj("trust")
    assert "list-names" in extended.codebot("list").out
    answer = extended.codebot("list-names", "cart.py", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["summary"] == "1 names"
    assert answer.json["metadata"] == {"count": 1}
    assert extended.codebot("apply", answer.json["id"]).code == 0
    assert (extended.root / "NAMES").read_text() == "total\n"
    assert extended.prj("history", "--json").json["items"][0]["command"] == "list-names"


def test_such_a_command_is_a_step_of_a_run(extended, script):
    script({"output": {"names": ["total"]}})
    extended.command(
        "name", "name: name\ndescription: Names\nsteps:\n  - {name: names, agent: list-names}\n"
    )
    answer, made = extended.run("name")
    assert answer.code == 0, made
    assert Path(made["directory"], "NAMES").read_text() == "total\n"


def test_code_that_fails_names_its_line(extended, script):
    script({"text": "x"})
    (extended.root / ".prj/commands/names.py").write_text("import codebot\n\n1 / 0\n")
    extended.prj("trust")
    answer = extended.codebot("list-names")
    assert answer.code == 2
    assert "names.py:3" in answer.err
    assert "ZeroDivisionError" in answer.err


def test_an_untrusted_project_does_not_change_what_verbs_mean(extended, script):
    (extended.root / ".prj/commands/names.py").write_text(
        textwrap.dedent(CODE).replace('"list-names"', '"fix"') + "\nopen('mark', 'w')\n"
    )
    script({"text": "NO CHANGES"})
    answer = extended.codebot("fix", "--check", "false", "--json")
    assert answer.code == 5
    assert not Path("mark").exists()
    assert json.loads(answer.out)["schema"] == "prunejuice.error/1"
    assert os.environ["PRUNEJUICE_SCRIPT"]


def test_a_broken_file_keeps_nobody_from_the_verbs_there_are(extended, script):
    (extended.root / ".prj/commands/bad.py").write_text('raise RuntimeError("boom")\n')
    extended.prj("trust")
    listed = extended.codebot("list")
    assert listed.code == 0
    assert "boom" in listed.err
    assert "list-names" in listed.out
    script({"text": "NO CHANGES"})
    assert extended.codebot("do", "cart.py", "--prompt", "x").code == 0
    other = extended.codebot("nothing-like-it", "cart.py")
    assert other.code == 2
