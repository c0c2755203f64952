"""`prj config`: where settings come from, and how the user's own are changed."""

import pytest


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
    assert config.read_text().startswith("# mine\nsecret_names:\n")
    assert "\n\n# end\ntrash_days: 3\n" in config.read_text()
    monkeypatch.setenv("PRUNEJUICE_MODEL", "env:m")
    assert "PRUNEJUICE_MODEL overrides it here" in project.prj("config", "set", "model", "e:f").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["modle", "a:b"], "did you mean 'model'"),
        (["trash_days", "many"], "trash_days must be of type int"),
        (["home", "/x"], "set PRUNEJUICE_HOME"),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_is_written(project, surroundings, words, said):
    answer = project.prj("config", "set", *words)
    assert (answer.code, said in answer.err) == (2, True)
    assert not (surroundings / "config" / "config.yaml").exists()
