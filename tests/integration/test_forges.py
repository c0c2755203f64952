"""Pull requests on GitHub, GitLab and Gitea or Forgejo, each against a local server that speaks its API."""

from pathlib import Path

import pytest
import yaml

from conftest import git
from prunejuice.errors import PublishError, UsageError
from prunejuice.forges import gitea, github, gitlab, registry
from prunejuice.forges.remote_url import parse_remote_url
from prunejuice.testing import Forge, Gitea, GitLab

CART = "def total(prices):\n    return 0\n"
GOLD = "Add up the prices.\n\ncart.py\n<<<<<<< SEARCH\n    return 0\n=======\n    return sum(prices)\n>>>>>>> REPLACE\n"
ISSUES = {11: ("Totals are wrong", "The sum of [1, 2] is 0.")}
SERVERS = {"github": Forge, "gitlab": GitLab, "gitea": Gitea}


@pytest.fixture(params=SERVERS)
def forge(request, monkeypatch):
    with SERVERS[request.param](issues=ISSUES) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def shop(project, forge, remote, tmp_path, monkeypatch):
    """A clone of a repository on the forge, whose pushes go to a folder."""
    project.commit("shop", cart=CART)
    git(project.root, "remote", "add", "origin", f"{forge.url}/shop/cart.git")
    git(project.root, "remote", "set-url", "--push", "origin", str(remote))
    git(project.root, "push", "-q", "origin", "main")
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump({"answers": [{"text": GOLD}] * 3}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    monkeypatch.setenv("PRUNEJUICE_CHECK", "python3 -B -c 'import cart; assert cart.total([1, 2]) == 3'")
    return project


def solve(shop):
    answer = shop.prj("solve", "11")
    assert answer.code == 0, answer.err
    assert shop.prj("review", "11", "-y").code == 0


def test_an_issue_becomes_a_pull_request(shop, forge, remote):
    solve(shop)
    answer = shop.prj("submit", "11", "--json")
    assert answer.code == 0, answer.err
    [item] = answer.json["items"]
    [request] = forge.pull_requests
    assert (request["title"], request["head"], request["base"]) == (
        "Add up the prices",
        item["branch"],
        "main",
    )
    assert "Closes #11: Totals are wrong" in request["body"]
    assert item["url"] == request["html_url"]
    assert git(remote, "show", f"{item['branch']}:cart.py").endswith("return sum(prices)")
    line = shop.prj("status", "--json").json["items"][0]
    assert (line["group"], line["submitted"]) == ("done", item["url"])
    assert f"submitted  {item['url']}" in shop.prj("show", "11").out
    run = line["id"]
    Path(line["worktree"], "more.py").write_text("x = 1\n")
    assert shop.prj("submit", run).out == f"run {run[:8]} updated: {item['url']}\n"
    assert len(forge.pull_requests) == 1


def test_a_fork_asks_upstream(shop, forge, remote, tmp_path):
    """The branch is pushed to the fork, and the pull request is opened where the fork came from."""
    git(shop.root, "remote", "rename", "origin", "upstream")
    git(tmp_path, "init", "-q", "--bare", "fork.git")
    git(shop.root, "remote", "add", "origin", f"{forge.url}/me/cart.git")
    git(shop.root, "remote", "set-url", "--push", "origin", str(tmp_path / "fork.git"))
    git(remote, "update-ref", "refs/heads/main", "main")
    solve(shop)
    answer = shop.prj("submit", "11", "--json")
    assert answer.code == 0, answer.err
    [item] = answer.json["items"]
    [request] = forge.pull_requests
    owner = "me/cart" if isinstance(forge, GitLab) else "me"
    assert request["head"] == f"{owner}:{item['branch']}"
    assert git(tmp_path / "fork.git", "branch", "--format=%(refname:short)") == item["branch"]
    assert item["branch"] not in git(remote, "branch")
    assert shop.prj("submit", "11").code == 2, "nothing is new"
    assert len(forge.pull_requests) == 1


def test_upstream_on_another_host_is_not_asked(shop, forge):
    git(shop.root, "remote", "add", "upstream", "https://forge.example/vendor/cart.git")
    solve(shop)
    assert shop.prj("submit", "11").code == 0
    assert len(forge.pull_requests) == 1


def test_a_remote_that_is_named_is_the_one(shop, forge, remote):
    git(shop.root, "remote", "add", "upstream", f"{forge.url}/vendor/cart.git")
    solve_by_name = shop.codebot("implement", "cart.py", "--prompt", "x")
    assert solve_by_name.code == 0, solve_by_name.err
    answer = shop.codebot("submit-pr", "--remote", "origin", "--title", "x")
    assert answer.code == 0, answer.err
    assert ":" not in forge.pull_requests[0]["head"]


def test_drafts_are_drafts(shop, forge):
    solve(shop)
    answer = shop.prj("submit", "11", "--draft", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["items"][0]["draft"] is True
    [request] = forge.pull_requests
    assert request["draft"] is True
    assert request["title"] == "Add up the prices"


@pytest.mark.parametrize(
    ("status", "message", "code", "said"),
    [
        (401, "401 Unauthorized", 2, "rejected the token for shop/cart: 401 Unauthorized"),
        (403, "insufficient scope", 2, "insufficient scope"),
        (404, "", 2, "did not find shop/cart"),
        (500, "boom", 1, "refused the request (500): boom"),
    ],
)
def test_a_refusal_is_told_and_nothing_is_lost(shop, forge, remote, status, message, code, said):
    solve(shop)
    forge.refuses = status, message
    answer = shop.prj("submit", "11")
    assert answer.code == code, answer
    assert said in answer.err
    assert "is pushed" in answer.err
    forge.refuses = None
    assert shop.prj("submit", "11").code == 0
    assert len(forge.pull_requests) == 1


def test_an_issue_that_is_not_there_is_named(shop, forge):
    answer = shop.codebot("implement", "--issue", "99")
    assert answer.code == 2
    assert "issue 99 not found in shop/cart" in answer.err


def test_a_wrong_token_is_told(shop, forge, monkeypatch):
    forge.token = "another"
    answer = shop.codebot("implement", "--issue", "11")
    assert answer.code == 2
    assert "rejected the token for shop/cart" in answer.err


# -- which forge a URL is on --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://github.com/o/n.git", "github.com", "o/n"),
        ("git@GitLab.com:group/sub/n.git", "gitlab.com", "group/sub/n"),
        ("ssh://git@git.example:2222/o/n", "git.example", "o/n"),
        ("https://user:pass@git.example:8443/o/n/", "git.example:8443", "o/n"),
        ("http://127.0.0.1:99/o/n.git", "127.0.0.1:99", "o/n"),
    ],
)
def test_the_parts_of_a_url(url, host, path):
    remote = parse_remote_url(url)
    assert (remote.host, remote.path) == (host, path)


@pytest.mark.parametrize(
    "url", ["", "x", "/srv/o/n.git", "file:///srv/o/n", "https://host/", "https://host/n", "-u"]
)
def test_what_names_no_repository(url):
    assert parse_remote_url(url) is None


@pytest.mark.parametrize(
    ("url", "environ", "title"),
    [
        ("https://github.com/o/n", {}, "o/n at https://api.github.com"),
        ("https://ghe.example/o/n", {}, "o/n at https://ghe.example/api/v3"),
        ("git@gitlab.com:g/s/n.git", {}, "g/s/n at https://gitlab.com/api/v4"),
        ("git@gitlab.example:g/n", {}, "g/n at https://gitlab.example/api/v4"),
        ("https://git.example/g/n", {"GITLAB_HOST": "git.example"}, "g/n at https://git.example/api/v4"),
        (
            "http://git.example:8080/g/n",
            {"GITLAB_HOST": "http://git.example:8080"},
            "g/n at http://git.example:8080/api/v4",
        ),
        ("https://codeberg.org/o/n", {}, "o/n at https://codeberg.org/api/v1"),
        ("ssh://git@forgejo.example/o/n.git", {}, "o/n at https://forgejo.example/api/v1"),
        (
            "https://git.example/o/n",
            {"GITEA_SERVER_URL": "https://git.example"},
            "o/n at https://git.example/api/v1",
        ),
        ("https://git.example/o/n", {"FORGEJO_URL": "git.example"}, "o/n at https://git.example/api/v1"),
    ],
)
def test_the_forge_of_a_url(url, environ, title):
    found = registry.find_forge(url, {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", **environ})
    assert found.title == title
    assert found.login_fix


def test_a_url_on_no_forge_is_named():
    with pytest.raises(UsageError, match="is not on a known forge"):
        registry.find_forge("/srv/n.git", {})


# -- logins -------------------------------------------------------------------------------------------


def test_gitlab_takes_its_token_from_variables_or_glab(tmp_path):
    program = tmp_path / "glab"
    program.write_text(
        '#!/bin/sh\ntest "$*" = "config get token --host git.example" && test -z "$GITLAB_TOKEN" && echo of-glab\n'
    )
    program.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"

    def login(url, **environ):
        return gitlab.connect(url, {"PATH": path, **environ}).api.headers.get("Authorization")

    own = "https://git.example/g/n"
    assert login(own, GITLAB_HOST="git.example", GITLAB_TOKEN="a") == "Bearer a"
    assert login(own, GITLAB_HOST="git.example") == "Bearer of-glab"
    assert login("https://gitlab.com/g/n", GITLAB_TOKEN="a") == "Bearer a"
    assert login("https://gitlab.com/g/n", GITLAB_TOKEN="a", GITLAB_HOST="git.example") is None
    assert login("https://gitlab.other.example/g/n", GITLAB_TOKEN="a") is None


def test_gitea_takes_its_token_from_variables_or_tea(tmp_path):
    config = tmp_path / "tea/config.yml"
    config.parent.mkdir()
    config.write_text("logins:\n  - {name: a, url: 'https://git.example', token: of-tea}\n  - broken\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}

    def login(url, **more):
        found = gitea.connect(url, {**environ, **more})
        return found and found.api.headers.get("Authorization")

    assert login("git@git.example:o/n") == "token of-tea"
    assert (
        login("git@git.example:o/n", GITEA_SERVER_URL="https://git.example", GITEA_SERVER_TOKEN="b")
        == "token b"
    )
    assert (
        login("https://codeberg.org/o/n", GITEA_SERVER_URL="https://git.example", GITEA_SERVER_TOKEN="b")
        is None
    )
    assert login("https://elsewhere.example/o/n") is None
    config.write_text("logins: [")
    assert login("git@git.example:o/n") is None
    config.unlink()
    assert login("git@gitea.example:o/n") is None


@pytest.mark.parametrize("client", [github, gitlab, gitea])
def test_a_forge_that_is_not_there_is_told(client):
    environ = {
        "GITHUB_API_URL": "http://127.0.0.1:9",
        "GITLAB_HOST": "http://127.0.0.1:9",
        "GITEA_SERVER_URL": "http://127.0.0.1:9",
        "PATH": "/usr/bin:/bin",
    }
    found = client.connect("http://127.0.0.1:9/o/n", environ)
    with pytest.raises(PublishError, match="could not reach"):
        found.fetch_issue(1)
