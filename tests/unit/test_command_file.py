"""Command files: every problem names its file, line, key and fix."""

import pytest

from prunejuice.errors import DefinitionError, NotFoundError
from prunejuice.workflow.catalog import Catalog, CatalogLayer
from prunejuice.workflow.schema import load_draft


@pytest.fixture
def catalog(tmp_path):
    """A catalog over three folders: write(name, text, layer) fills them."""
    folders = [tmp_path / layer for layer in ("project", "user", "built-in")]
    for folder in folders:
        folder.mkdir()
    steps = tmp_path / "steps"
    steps.mkdir()
    (steps / "deploy.sh").write_text("true")
    made = Catalog([CatalogLayer(f.name, f) for f in folders], steps, {"cleanup", "store-artifacts"})

    def write(name, text, layer=0):
        (folders[layer] / f"{name}.yaml").write_text(text)
        return made

    made.write = write
    return made


def problems(catalog, text, name="c"):
    catalog.write(name, text)
    with pytest.raises(DefinitionError) as caught:
        catalog.load(name)
    return [str(problem).split("/project/")[-1] for problem in caught.value.problems]


FULL = """
name: c
description: All keys
category: custom
arguments:
  - {name: target, required: true, type: path, description: What to process}
  - {name: count, type: integer, default: 3}
  - plain
environment: {A: "1", B: 2, TOKEN: }
pre_steps: [store-artifacts]
steps:
  - deploy
  - name: custom-step
    script: echo "$PRUNEJUICE_ARG_TARGET"
    args: {x: 1}
    timeout: 60
  - {name: Say it, run: echo, if: "${{ args.count > 1 }}", env: {X: y}, with: {k: v}, timeout-minutes: 2,
     continue-on-error: true, working-directory: src}
  - {name: on, uses: deploy, condition: true, retries: 2, retry_delay: 0.5, on_interrupt: ask}
post_steps: [store-artifacts]
cleanup_on_failure: [cleanup]
working_directory: src
timeout: 900
max_parallel: 2
stop_on_failure: false
"""


def test_every_key_is_read(catalog):
    command = catalog.write("c", FULL).load("c")
    steps = command.workflow.steps
    assert list(steps) == [
        "store-artifacts",
        "deploy",
        "custom-step",
        "Say-it",
        "on",
        "store-artifacts-2",
        "cleanup",
    ]
    assert command.arguments[1].default == 3
    assert not command.arguments[1].required
    assert command.environment == {"A": "1", "B": "2", "TOKEN": None}
    said = steps["Say-it"]
    assert (said.script, said.condition, said.environment, said.args) == (
        "echo",
        "args.count > 1",
        {"X": "y"},
        {"k": "v"},
    )
    assert (said.timeout, said.continue_on_error, said.working_directory) == (120, True, "src")
    assert steps["on"].condition == "true"
    assert steps["on"].on_interrupt == "ask"
    assert (command.timeout, command.workflow.max_parallel, command.workflow.stop_on_failure) == (
        900,
        2,
        False,
    )


def test_a_bare_name_that_comes_again_is_numbered(catalog):
    command = catalog.write("c", "steps: [deploy, deploy]").load("c")
    assert list(command.workflow.steps) == ["deploy", "deploy-2"]


def test_linked_steps_are_a_mapping(catalog):
    text = "entry_point: a\nsteps:\n  a: {script: x, on_success: b}\n  b: {script: y}\n"
    flow = catalog.write("c", text).load("c").workflow
    assert flow.entry_point == "a"
    assert flow.steps["a"].on_success == "b"
    assert flow.steps["b"].after == ()


def test_a_matrix_is_one_step_for_each_combination_all_at_once(catalog):
    text = "steps:\n- {name: test, script: x, matrix: {py: ['3.11', '3.12'], os: [a]}}\n- {name: z, script: y, needs: test}"
    flow = catalog.write("c", text).load("c").workflow
    assert flow.parallel_groups["test-3.11-a"] == ("test-3.11-a", "test-3.12-a")
    assert flow.steps["test-3.12-a"].args == {"py": "3.12", "os": "a"}
    assert flow.steps["z"].needs == ("test-3.11-a", "test-3.12-a")


def test_extends_joins_arguments_and_environment_and_replaces_the_rest(catalog):
    catalog.write("base", "arguments: [a, b]\nenvironment: {X: '1', Y: '1'}\nsteps: [deploy]\ntimeout: 5\n")
    catalog.write(
        "c",
        "extends: base\narguments: [{name: b, type: integer}, c]\nenvironment: {Y: '2'}\npost_steps: [cleanup]\n",
    )
    command = catalog.load("c")
    assert [(a.name, a.type) for a in command.arguments] == [
        ("a", "string"),
        ("b", "integer"),
        ("c", "string"),
    ]
    assert command.environment == {"X": "1", "Y": "2"}
    assert list(command.workflow.steps) == ["deploy", "cleanup"]
    assert command.timeout == 5


def test_extending_its_own_name_means_the_layer_further_away(catalog):
    catalog.write("c", "steps: [deploy]\ndescription: far", layer=2)
    catalog.write("c", "extends: c\ncategory: mine", layer=0)
    command = catalog.load("c")
    assert (command.description, command.category) == ("far", "mine")


def test_nearer_layers_hide_farther_ones_and_lists_say_where_from(catalog):
    catalog.write("c", "steps: [deploy]\ndescription: user", layer=1)
    catalog.write("c", "steps: [deploy]\ndescription: far", layer=2)
    catalog.write("bad", "steps: 3")
    listed = catalog.command_entries()
    assert [(c.name, c.source, c.description) for c in listed] == [
        ("bad", "project", ""),
        ("c", "user", "user"),
    ]
    assert "must be a list" in listed[0].problem


def test_commands_that_are_used_come_along(catalog):
    catalog.write("inner", "steps: [innermost]")
    catalog.write("innermost", "steps: [deploy]")
    catalog.write("c", "steps: [inner, {name: again, uses: inner}]")
    assert list(catalog.dependencies(catalog.load("c"))) == ["innermost", "inner"]
    catalog.write("innermost", "steps: [c]")
    with pytest.raises(DefinitionError, match="uses itself: c → inner → innermost → c"):
        catalog.dependencies(catalog.load("c"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "stepz: [a]\nsteps: [deploy]",
            "c.yaml:1: stepz: unknown key in a command (did you mean 'steps'?)",
        ),
        (
            "steps:\n  - {name: a, scrip: x}",
            "c.yaml:2: steps.0.scrip: unknown key in a step (did you mean 'script'?)",
        ),
        (
            "steps: [deploi]",
            "c.yaml:1: deploi.uses: unknown step or command 'deploi' (did you mean 'deploy'?)",
        ),
        ("steps: [zzz]", "unknown step or command 'zzz' (create .prj/steps/zzz.sh)"),
        ("steps: 3", "must be a list of steps, not a number"),
        ("steps: [3]", "steps.0: a step must be a mapping, not a number"),
        ("- a", "a command must be a mapping, not a list"),
        ("", "a command must be a mapping, not null"),
        ("description: x", "has no steps"),
        ("name: d\nsteps: [deploy]", "name: is 'd', but the file is named 'c'"),
        ("steps: [deploy]\ntimeout: soon", "c.yaml:2: timeout: must be a number"),
        ("steps: [deploy]\nmax_parallel: 1.5", "must be a whole number"),
        ("steps: [deploy]\nmax_parallel: 0", "max_parallel: must be from 1 to 256"),
        ("steps: [deploy]\nstop_on_failure: 1", "must be true or false"),
        ("steps: [deploy]\ndescription: 3", "must be text"),
        ("steps: [deploy]\nenvironment: [A]", "must be a mapping"),
        ("steps: [deploy]\nenvironment: {A-B: x}", "is not a valid variable name"),
        ("steps: [deploy]\nenvironment: {A: true}", "put it in quotes"),
        ("steps: [deploy]\narguments: x", "must be a list"),
        ("steps: [deploy]\narguments: [{type: integer}]", "an argument needs a name"),
        ("steps: [deploy]\narguments: [a b]", "may contain only letters"),
        ("steps: [deploy]\narguments: [a-b, a_b]", "sets the same variable as 'a-b'"),
        ("steps: [deploy]\narguments: [{name: a, type: int}]", "must be one of string, integer"),
        ("steps: [deploy]\narguments: [{name: a, type: integer, default: x}]", "not of type integer"),
        ("steps: [{name: a, script: x, uses: deploy}]", "has uses and script: a step takes exactly one"),
        ("steps: [{script: x}]", "a step needs a name"),
        ("steps: [{name: a, script: ' '}]", "script: is empty"),
        ("steps: [{name: a, run: x, script: y}]", "duplicates 'script'"),
        ("steps: [{name: a, script: x, needs: 3}]", "must be a step or a list of steps"),
        ("steps: [{name: a, script: x, args: 3}]", "must be a mapping"),
        ("steps: [{name: a, script: x, matrix: {k: v}}]", "must be a list of 1 to 64"),
        ("steps: [{name: a, script: x, on_interrupt: maybe}]", "must be one of rerun, skip, ask"),
        (
            "steps:\n- {name: a, script: x}\n- {name: a, script: y}",
            "c.yaml:3: steps: duplicate step 'a' (give it a unique id)",
        ),
        (
            "steps:\n- name: a\n  script: x\n  on_success: bb\n- {name: b, script: y}",
            "c.yaml:4: a.on_success: unknown step 'bb'",
        ),
        ("steps:\n- name: a\n  script: x\n  if: args.x >", "c.yaml:4: a.condition: expected a value"),
        ("steps: [deploy]\nextends: nope", "c.yaml:2: extends: unknown command 'nope'"),
    ],
)
def test_mistakes_name_file_line_key_and_fix(catalog, text, expected):
    assert any(expected in problem for problem in problems(catalog, text))


@pytest.mark.parametrize(
    "text",
    [
        "steps:\n- {name: a, script: x}\npost_steps:\n- {name: a, script: y}",
        "pre_steps: [{name: a, script: x}]\nsteps: {a: {script: y}}",
        "extends: base\ncleanup_on_failure: [{name: built, script: y}]",
    ],
)
def test_no_step_hides_another(catalog, text):
    catalog.write("base", "steps: [{name: built, script: x}]")
    assert any("duplicate step" in problem for problem in problems(catalog, text))


def test_a_matrix_can_be_linked_to_by_its_name(catalog):
    text = "steps:\n- {name: a, script: x, on_failure: t}\n- {name: t, script: x, matrix: {k: [1, 2]}}\n- {name: z, script: y}"
    flow = catalog.write("c", text).load("c").workflow
    assert {link.target for link in flow.links if link.on == "failure"} == {"t-1", "t-2"}


def test_times_are_more_than_none_and_args_are_names(catalog):
    assert "must be more than 0" in problems(catalog, "steps: [deploy]\ntimeout: 0")[0]
    assert (
        "may contain only letters"
        in problems(catalog, "steps: [{name: a, script: x, args: {'a=b': 1}}]")[0]
    )
    assert "has no steps" in problems(catalog, "steps: []")[0]


def test_several_mistakes_are_named_at_once(catalog):
    found = problems(
        catalog, "stepz: 1\ntimeout: x\nsteps:\n- {name: a, scrip: x}\n- {name: b, script: 3}\n"
    )
    assert len(found) >= 4
    assert [int(problem.split(":")[1]) for problem in found] == sorted(int(p.split(":")[1]) for p in found)


def test_circles_and_depth_of_extends_are_named(catalog):
    catalog.write("a", "extends: b\nsteps: [deploy]")
    catalog.write("b", "extends: a\nsteps: [deploy]")
    with pytest.raises(DefinitionError, match="extends itself: a → b → a"):
        catalog.load("a")
    for number in range(12):
        catalog.write(f"d{number}", f"extends: d{number + 1}\nsteps: [deploy]")
    with pytest.raises(DefinitionError, match="more than 10 levels"):
        catalog.load("d0")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "x" * 70, "a b", "-d"])
def test_a_name_never_leads_out_of_the_folder(catalog, name):
    with pytest.raises(NotFoundError):
        catalog.load(name)
    assert catalog.find_step_file(name) is None


def test_a_file_that_cannot_be_read_is_a_named_error(tmp_path):
    with pytest.raises(DefinitionError, match="No such file"):
        load_draft(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_text("a: " + "x" * 300_000)
    with pytest.raises(DefinitionError, match="larger than 256 KiB"):
        load_draft(tmp_path / "big.yaml")


def test_numbers_are_text_as_they_are_written(catalog):
    text = """
arguments:
  - {name: ver, default: 1.10}
  - {name: mode, type: path, default: 0644}
  - {name: size, type: number, default: 1.50}
environment: {V: 3.10, E: 1e3, N: 7}
steps:
  - {name: a, script: "true", args: {py: 3.10, n: 7, plus: +1}, env: {W: 0.50}}
  - {name: 007, script: "true", matrix: {py: [3.9, 3.10]}}
"""
    command = catalog.write("c", text).load("c")
    assert [argument.default for argument in command.arguments] == ["1.10", "0644", 1.5]
    assert command.environment == {"V": "3.10", "E": "1e3", "N": "7"}
    first, *others = command.workflow.steps.values()
    assert first.args == {"py": "3.10", "n": 7, "plus": "+1"}
    assert first.environment == {"W": "0.50"}
    assert [step.id for step in others] == ["007-3.9", "007-3.10"]
