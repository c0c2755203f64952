"""`prj config`: where settings come from, and how the user's own are changed."""

import os
import shutil
import time

import pytest

from prunejuice.system.lock import hold_lock


@pytest.fixture
def config(surroundings):
    """The user's own config.yaml, which does not exist yet."""
    path = surroundings / "config" / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    return path


def test_each_setting_names_its_source(project, surroundings, monkeypatch):
    config = surroundings / "config" / "config.yaml"
    assert project.prj("config", "path").out.strip() == str(config)
    config.parent.mkdir(exist_ok=True)
    config.write_text("model: mine:a\nagent: oneshot\ntrash_days: 3\n")
    (project.root / ".prj").mkdir()
    (project.root / ".prj" / "config.yaml").write_text("agent: claude\ntrash_days: 4\n")
    assert "which is not trusted" in project.prj("config").err
    project.prj("trust")
    monkeypatch.setenv("PRUNEJUICE_TRASH_DAYS", "5")
    sources = {
        s["name"]: (s["value"], s["source"]) for s in project.prj("config", "list", "--json").json["items"]
    }
    assert sources["model"] == ("mine:a", str(config))
    assert sources["agent"] == ("claude", str(project.root / ".prj" / "config.yaml"))
    assert sources["trash_days"] == (5, "PRUNEJUICE_TRASH_DAYS")
    assert sources["apply"] == (False, "default")
    assert project.prj("config", "get", "agent").out == "claude\n"
    assert project.prj("config", "get", "apply", "--json").json["value"] is False


def test_a_setting_is_set_and_the_rest_of_the_file_stays(project, surroundings, monkeypatch):
    config = surroundings / "config" / "config.yaml"
    assert project.prj("config", "set", "model", "a:b").code == 0
    assert config.read_text() == 'model: "a:b"\n'
    config.write_text("# mine\nsecret_names:\n  - A\n  - B\nmodel: x:y  # old\n\n# end\ntrash_days: 3\n")
    project.prj("config", "set", "secret_names", "C_*,D")
    project.prj("config", "set", "model", "c:d")
    project.prj("config", "set", "apply", "yes")
    assert project.prj("config", "get", "secret_names").out == "C_*,D\n"
    assert project.prj("config", "get", "model").out == "c:d\n"
    assert project.prj("config", "get", "apply").out == "true\n"
    kept = '# mine\nsecret_names: ["C_*", "D"]\nmodel: "c:d"  # old\n\n# end\ntrash_days: 3\napply: true\n'
    assert config.read_text() == kept
    monkeypatch.setenv("PRUNEJUICE_MODEL", "env:m")
    assert "PRUNEJUICE_MODEL overrides it here" in project.prj("config", "set", "model", "e:f").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["modle", "a:b"], "did you mean 'model'"),
        (["trash_days", "many"], "trash_days must be of type int"),
        (["home", "/x"], "set PRUNEJUICE_HOME"),
        (["model", "\udcff"], "the value of model is not UTF-8"),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_is_written(project, surroundings, words, said):
    answer = project.prj("config", "set", *words)
    assert (answer.code, said in answer.err) == (2, True)
    assert not (surroundings / "config" / "config.yaml").exists()


@pytest.mark.parametrize(
    ("before", "name", "value", "after"),
    [
        (
            "agent: a\nsecret_names: [A,\n  B]  # x\n",
            "secret_names",
            "C",
            'agent: a\nsecret_names: ["C"]  # x\n',
        ),
        ("setup: |  # why\n  a\n\n  b\n\n# end\n", "setup", "c", '# why\nsetup: "c"\n\n# end\n'),
        (
            "secret_names:\n  - A  # one\n# two\n  - B  # three\nagent: a\n",
            "secret_names",
            "C",
            '# one\n# two\nsecret_names: ["C"]  # three\nagent: a\n',
        ),
        ('{model: "x:y"}\n', "model", "c:d", '{model: "c:d"}\n'),
        ("agent: a\n...\n", "model", "c:d", 'agent: a\nmodel: "c:d"\n...\n'),
        ("agent: a\r\nmodel: x\r\n", "model", "c:d", 'agent: a\r\nmodel: "c:d"\r\n'),
        ("model:  # none\nagent: a", "model", "c:d", 'model: "c:d"  # none\nagent: a'),
    ],
)
def test_an_entry_of_any_form_is_replaced_and_nothing_else(project, config, before, name, value, after):
    config.write_bytes(before.encode())
    config.chmod(0o640)
    answer = project.prj("config", "set", name, value)
    assert answer.code == 0, answer.err
    assert config.read_bytes().decode() == after
    assert config.stat().st_mode & 0o777 == 0o640
    assert os.listdir(config.parent) == ["config.yaml"]
    assert project.prj("config", "get", name).out == f"{value}\n"


@pytest.mark.parametrize(
    "before", ['{agent: "x"}\n', "check: &m x\nmodel: *m\n", "? model\n: x\n", "  agent: a\n"]
)
def test_a_file_that_cannot_be_changed_safely_stays_and_the_line_to_write_is_named(project, config, before):
    config.write_text(before)
    answer = project.prj("config", "set", "model", "c:d")
    assert (answer.code, answer.out) == (2, "")
    assert str(config) in answer.err
    assert 'write `model: "c:d"`' in answer.err
    assert config.read_text() == before


def test_a_link_to_the_file_stays_a_link(project, config, tmp_path):
    (tmp_path / "dotfiles.yaml").write_text("agent: a\n")
    config.symlink_to(tmp_path / "dotfiles.yaml")
    assert project.prj("config", "set", "agent", "b").code == 0
    assert config.is_symlink()
    assert (tmp_path / "dotfiles.yaml").read_text() == 'agent: "b"\n'


def test_a_folder_that_cannot_be_created_is_named_with_its_fix(project, config):
    shutil.rmtree(config.parent)
    config.parent.symlink_to("/proc/nowhere/config")
    answer = project.prj("config", "set", "model", "c:d")
    assert (answer.code, answer.out) == (2, "")
    assert "unexpected" not in answer.err
    assert str(config) in answer.err
    assert "set PRUNEJUICE_CONFIG" in answer.err


def test_two_changes_at_once_are_both_kept(project, config):
    config.write_text("agent: a\n")
    project.home.mkdir(exist_ok=True)
    with hold_lock(project.home / "config.lock", 5):
        child = project.spawn("config", "set", "model", "c:d")
        time.sleep(0.5)  # the other process would have written by now
        config.write_text("agent: b\n")
    assert child.wait() == 0
    child.communicate()
    assert config.read_text() == 'agent: b\nmodel: "c:d"\n'


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list"], {"schema": "prunejuice.settings/1"}),
        (["get", "model"], {"schema": "prunejuice.setting/1", "name": "model"}),
        (["path"], {"schema": "prunejuice.path/1"}),
        (["set", "model", "c:d"], {"schema": "prunejuice.setting/1", "name": "model", "value": "c:d"}),
    ],
)
def test_json_is_printed_wherever_the_option_stands(project, words, expected):
    for arguments in (["--json", *words], [*words, "--json"]):
        answer = project.prj("config", *arguments)
        assert answer.code == 0, answer.err
        assert expected.items() <= answer.json.items()


@pytest.mark.parametrize(
    ("own", "given", "counts"),
    [
        ("0.3", "5", 0.3),
        ("0.3", "0", 0.3),
        ("0.3", "0.1", 0.1),
        ("", "5", 5.0),
        ("", "0", 0.0),
        ("0", "5", 5.0),
    ],
)
def test_a_project_can_only_lower_what_its_user_may_spend(project, own, given, counts):
    if own:
        assert project.prj("config", "set", "max_cost", own).code == 0
    (project.root / ".prj").mkdir(exist_ok=True)
    (project.root / ".prj/config.yaml").write_text(f"max_cost: {given}\n")
    project.prj("trust")
    assert float(project.prj("config", "get", "max_cost").out.split()[0]) == counts
