"""Proxies of the environment stand in the way of no server on this machine."""

import pytest

from prunejuice.agents.model_environment import prepare_model_environment
from prunejuice.testing import ModelServer, Reply

ANSWER = "app.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_local_model_is_asked_directly(project, monkeypatch, name, proxy):
    project.commit("base", app="x = 1\n")
    with ModelServer(lambda _: Reply(ANSWER)) as server:
        for key, value in {**server.environment, name: proxy}.items():
            monkeypatch.setenv(key, value)
        made = project.codebot("do", "app.py", "--prompt", "x to 2", "--model", "ollama:m", "--apply")
    assert made.code == 0, made.err
    assert (project.root / "app.py").read_text() == "x = 2\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"NO_PROXY": "localhost,127.0.0.1,::1"}),
        ({"NO_PROXY": "a.test, localhost"}, {"NO_PROXY": "a.test,localhost,127.0.0.1,::1"}),
        (
            {"no_proxy": "b.test"},
            {"NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "b.test,localhost,127.0.0.1,::1"},
        ),
        ({"NO_PROXY": "*"}, {"NO_PROXY": "*"}),
    ],
)
def test_hosts_without_a_proxy_are_kept(before, after):
    environ = dict(before)
    prepare_model_environment(environ, "m")
    assert environ == after
