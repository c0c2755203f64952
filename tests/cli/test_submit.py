"""`codebot submit-pr` against a bare repository and a local forge."""

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest
import yaml

from conftest import git
from prunejuice.forges import github, submit
from prunejuice.forges.request_template import fill_template, find_template
from prunejuice.testing import Forge
from prunejuice.worktrees import git as gits

CART = "def total(prices):\n    return 0\n"


@pytest.fixture
def shop(project, remote):
    (project.root / "cart.py").write_text(CART)
    (project.root / "run.sh").write_text("#!/bin/sh\n")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Open the shop")
    git(project.root, "remote", "add", "origin", f"file://{remote}")
    git(project.root, "push", "-q", "origin", "main")
    return project


def wait(shop, *changes, summary="", command=""):
    """Let a change set wait; its id."""
    text = json.dumps({"file_changes": list(changes), "summary": summary, "command": command})
    answer = shop.codebot("pending", "add", "-", "--json", given=text)
    assert answer.code == 0, answer.err
    return answer.json["id"]


@pytest.fixture
def two(shop):
    one = wait(
        shop,
        {"filepath": "cart.py", "content": "def total(prices):\n    return sum(prices)\n"},
        summary="Add up the prices.\n\nThe total was always 0.",
        command="fix",
    )
    other = wait(
        shop,
        {
            "filepath": "cart.py",
            "content": '"""The cart."""\n\n\ndef total(prices):\n    return sum(prices)\n',
        },
        {"filepath": "run.sh", "operation": "mode", "mode": "755"},
        {"filepath": "docs/cart.md", "content": "# Cart\n"},
        command="document",
    )
    return one, other


def state(shop):
    return (
        git(shop.root, "status", "--porcelain"),
        git(shop.root, "rev-parse", "HEAD"),
        git(shop.root, "symbolic-ref", "HEAD"),
        git(shop.root, "stash", "list"),
    )


def test_pending_changes_become_a_branch_and_a_pull_request(shop, remote, forge, two):
    before = state(shop)
    answer = shop.codebot("submit-pr", "--title", "Totals", "--description", "Closes #12.", "--draft")
    assert answer.code == 0, answer.err
    assert answer.out == "https://forge.test/shop/cart/pull/1\n"
    assert state(shop) == before
    log = git(
        remote, "log", "--format=%s|%an|%(trailers:key=Codebot-Command,valueonly)", "main..codebot/totals"
    )
    assert log.splitlines() == [
        "Document cart.py, run.sh, docs/cart.md|tester|document",
        "",
        "Add up the prices.|tester|fix",
    ]
    assert git(remote, "show", "codebot/totals:cart.py").startswith('"""The cart."""')
    assert git(remote, "ls-tree", "codebot/totals", "run.sh").startswith("100755")
    [sent] = forge.sent
    assert sent.body["head"] == "codebot/totals"
    assert sent.body["base"] == "main"
    assert sent.body["draft"] is True
    assert sent.body["body"].startswith("Closes #12.\n\n## fix (c-")
    assert "- `docs/cart.md` +1 -0" in sent.body["body"]
    assert shop.codebot("pending", "--json").json["items"] == []
    [*_, last] = shop.codebot("pending", "list", "--all", "--json").json["items"]
    assert last["state"] == "submitted"


def test_a_dry_run_shows_all_of_it_and_does_nothing(shop, remote, forge, two):
    answer = shop.codebot("submit-pr", "--dry-run")
    assert answer.code == 0
    assert "Add up the prices" in answer.out
    assert "codebot/add-up-the-prices" in answer.out
    assert "+    return sum(prices)" in answer.out
    assert git(shop.root, "branch", "--format=%(refname:short)").split() == ["main"]
    assert forge.sent == []
    assert shop.codebot("submit-pr", "--dry-run", "--json").json["files"] == [
        "cart.py",
        "docs/cart.md",
        "run.sh",
    ]


def test_only_some_and_those_that_are_applied(shop, remote, forge, two):
    assert shop.codebot("apply", two[0], "--yes").code == 0
    answer = shop.codebot("submit-pr", "--only", two[0], "--branch", "fix-totals", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["files"] == ["cart.py"]
    assert answer.json["url"].endswith("/1")
    assert "return sum" in git(remote, "show", "fix-totals:cart.py")
    [left] = shop.codebot("pending", "--json").json["items"]
    assert left["id"] == two[1]


def test_retried_submit_reuses_the_pushed_branch(shop, remote, forge, two):
    forge.refuses = (502, "bad gateway")
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 1
    assert "bad gateway" in answer.err
    assert git(remote, "rev-parse", "codebot/totals")
    assert len(shop.codebot("pending", "--json").json["items"]) == 2
    forge.refuses = None
    forge.sent.clear()
    time.sleep(1.1)  # commits of another second have other names
    again = shop.codebot("submit-pr", "--title", "Totals")
    assert again.code == 0, again.err
    assert git(remote, "branch", "--format=%(refname:short)").split() == ["codebot/totals", "main"]


def test_without_a_login_the_branch_stays_and_all_still_waits(shop, remote, forge, two, monkeypatch):
    monkeypatch.delenv("GH_TOKEN")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 2
    assert "no login for shop/cart" in answer.err
    assert "GH_TOKEN" in answer.err
    assert git(shop.root, "rev-parse", "codebot/totals")
    assert git(remote, "branch", "--format=%(refname:short)").split() == ["main"]
    assert len(shop.codebot("pending", "--json").json["items"]) == 2


def test_a_login_that_is_refused(shop, forge, two, monkeypatch):
    monkeypatch.setenv("GH_TOKEN", "wrong")
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 2
    assert "Bad credentials" in answer.err
    assert "branch codebot/totals is pushed, and the pending change sets are kept" in answer.err
    assert "wrong" not in answer.err


def test_without_a_remote(shop, two):
    git(shop.root, "remote", "remove", "origin")
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 2
    assert "no remote" in answer.err
    assert git(shop.root, "rev-parse", "codebot/totals")


def test_a_remote_of_no_known_forge(shop, remote, two):
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 2
    assert "--no-pr" in answer.err
    pushed = shop.codebot("submit-pr", "--title", "Totals", "--no-pr")
    assert (pushed.code, pushed.out) == (0, "codebot/totals\n")
    assert git(remote, "rev-parse", "codebot/totals")


def test_a_push_that_is_refused_loses_nothing(shop, remote, forge, two):
    git(remote, "update-ref", "refs/heads/codebot/totals", "main")
    git(shop.root, "commit", "--allow-empty", "-qm", "elsewhere")
    git(shop.root, "push", "-q", "--force", "origin", "HEAD:codebot/totals")
    git(shop.root, "reset", "-q", "--hard", "HEAD^")
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 1
    assert "could not push branch codebot/totals" in answer.err
    assert "the local branch codebot/totals and the pending change sets are kept" in answer.err
    assert len(shop.codebot("pending", "--json").json["items"]) == 2
    assert forge.sent == []


def test_a_change_that_does_not_fit_the_base(shop, forge):
    (shop.root / "cart.py").write_text("def total(prices, tax):\n    return 0 + tax\n")
    git(shop.root, "commit", "-qam", "Taxes, not pushed")
    wait(
        shop, {"filepath": "cart.py", "content": "def total(prices, tax):\n    return sum(prices) + tax\n"}
    )
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 4
    assert "--onto HEAD" in answer.err
    assert forge.sent == []
    assert shop.codebot("submit-pr", "--title", "Totals", "--onto", "HEAD").code == 0


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Größe prüfen", "große-prufen"),
        ("Add up the prices!", "add-up-the-prices"),
        ("Корзина и ваучеры", "корзина-и-ваучеры"),
        ("カートを直す", "カートを直す"),
        ("…", "changes"),
    ],
)
def test_a_branch_is_named_after_the_title_in_any_script(shop, remote, forge, two, title, slug):
    answer = shop.codebot("submit-pr", "--title", title, "--no-pr", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["branch"] == f"codebot/{slug}"
    git(remote, "rev-parse", "--verify", f"refs/heads/codebot/{slug}")


def test_a_draft_that_is_not_allowed_becomes_an_open_request(shop, forge, two):
    forge.drafts = False
    answer = shop.codebot("submit-pr", "--draft", "--title", "Totals")
    assert answer.code == 0, answer.err
    assert "does not allow drafts" in answer.err
    assert [sent.body["draft"] for sent in forge.sent] == [True, False]


TEMPLATE = "<!-- Thanks! -->\n\n## What does it change?\n\n## Checklist\n\n- [ ] tests\n"


@pytest.mark.parametrize(
    "path",
    [".github/PULL_REQUEST_TEMPLATE.md", "pull_request_template.md", "docs/pull_request_template.md"],
)
def test_the_template_of_the_repository_is_filled(shop, forge, two, path):
    (shop.root / path).parent.mkdir(exist_ok=True)
    (shop.root / path).write_text(TEMPLATE)
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "Ask for a description")
    git(shop.root, "push", "-q", "origin", "main")
    answer = shop.codebot("submit-pr", "--title", "Totals", "--description", "Closes #12.")
    assert answer.code == 0, answer.err
    body = forge.sent[0].body["body"]
    assert body.startswith("<!-- Thanks! -->\n\n## What does it change?\n\nCloses #12.\n\n## fix (c-")
    assert body.endswith("## Checklist\n\n- [ ] tests\n")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("---\nname: Change\nlabels:\n  - bug\n---\n## Summary\n", "## Summary"),
        ("---\r\ntitle: x\r\n---\r\n# What\r\n", "# What"),
        ("---\nname: only\n---", ""),
        ("---\n\nNo settings.\n\n---\n", "---\n\nNo settings.\n\n---"),
        ("## Summary\n---\nname: x\n---\n", "## Summary\n---\nname: x\n---"),
    ],
)
@pytest.mark.parametrize("folder", [".github", ".forgejo", ".gitea"])
def test_the_settings_of_a_template_are_no_part_of_a_body(shop, folder, given, kept):
    (shop.root / folder).mkdir(exist_ok=True)
    (shop.root / folder / "pull_request_template.md").write_bytes(given.encode())
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "Ask")
    found = gits.open_git(shop.root, dict(os.environ)).locate()
    assert find_template(found, found.head_commit()) == kept


def test_a_template_without_a_place_for_a_description_follows_it():
    assert fill_template("- [ ] tests", "Closes #12.") == "Closes #12.\n\n- [ ] tests\n"
    assert fill_template("", "Closes #12.\n") == "Closes #12.\n"


@pytest.mark.parametrize(
    ("template", "before"),
    [
        ("<!--\n## Description\n-->\n## Summary\n\n- [ ] tests\n", "<!--\n## Description\n-->\n## Summary"),
        ("~~~\n# What\n```\n# What\n~~~\n# Changes\n", "~~~\n# What\n```\n# What\n~~~\n# Changes"),
        ("## Summary <!-- say\nwhy -->\n", "## Summary <!-- say\nwhy -->"),
        ("<!-- ## Description\n", ""),
        ("```md\n## Description\n", ""),
    ],
)
def test_a_heading_that_nobody_sees_takes_no_description(template, before):
    filled = fill_template(template, "Closes #12.")
    assert filled.startswith(f"{before}\n\nCloses #12.\n".lstrip())


def test_a_file_of_a_submodule_is_not_said_to_be_gone(shop, forge, tmp_path):
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    (other / "app.py").write_text("x = 1\n")
    git(other, "add", ".")
    git(other, "commit", "-qm", "Begin")
    git(shop.root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib/mod")
    git(shop.root, "commit", "-qm", "Use the other")
    git(shop.root, "push", "-q", "origin", "main")
    wait(shop, {"filepath": "lib/mod/app.py", "content": "x = 2\n"})
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 4
    assert "belongs to the submodule lib/mod" in answer.err
    assert "--onto" not in answer.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--base", "nowhere"], "branch 'nowhere' does not exist"),
        (["--remote", "nowhere"], "remote 'nowhere' does not exist"),
        (["--branch", "a..b"], "is not a valid branch name"),
        (["--branch", "main"], "--branch"),
        (["--only", "c-00000000"], "unknown change set"),
        (["--onto", "nowhere"], "commit 'nowhere' does not exist"),
    ],
)
def test_invalid_submit_arguments_are_refused(shop, forge, two, args, said):
    answer = shop.codebot("submit-pr", *args)
    assert answer.code == 2
    assert said in answer.err
    assert forge.sent == []


def test_nothing_waits(shop, forge):
    answer = shop.codebot("submit-pr")
    assert answer.code == 2
    assert "no change sets are pending" in answer.err


def test_nothing_that_the_repository_names_is_run(shop, remote, forge, two, tmp_path):
    mark = tmp_path / "mark"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\necho $0 >> {mark}\n")
    evil.chmod(0o755)
    for key in ("core.sshCommand", "credential.helper", "core.askPass", "core.gitProxy", "gpg.program"):
        git(shop.root, "config", key, str(evil))
    git(shop.root, "config", "remote.origin.receivepack", str(evil))
    git(shop.root, "config", "push.gpgSign", "if-asked")
    hook = shop.root / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(evil.read_text())
    hook.chmod(hook.stat().st_mode | stat.S_IEXEC)
    assert shop.codebot("submit-pr", "--title", "Totals").code == 0
    assert not mark.exists()
    git(shop.root, "remote", "set-url", "origin", f"ext::{evil}")
    wait(shop, {"filepath": "new.txt", "content": "x\n"})
    answer = shop.codebot("submit-pr", "--title", "Other")
    assert answer.code == 1
    assert not mark.exists()


def test_the_login_in_an_address_is_not_shown(shop, forge, two):
    git(shop.root, "remote", "set-url", "origin", "https://me:s3cret@127.0.0.1:9/shop/cart.git")
    os.environ.pop("GITHUB_REPOSITORY", None)
    answer = shop.codebot("submit-pr", "--dry-run")
    assert "s3cret" not in answer.out
    answer = shop.codebot("submit-pr", "--title", "Totals")
    assert answer.code == 1
    assert "s3cret" not in answer.err


# -- issues -------------------------------------------------------------------------------------------


def test_an_issue_is_what_is_to_be_done(shop, forge, tmp_path, monkeypatch):
    script = tmp_path / "answers.yaml"
    block = "cart.py\n<<<<<<< SEARCH\n    return 0\n=======\n    return sum(prices)\n>>>>>>> REPLACE\n"
    script.write_text(yaml.safe_dump({"answers": [{"when": "The sum of [1, 2] is 0.", "text": block}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(script))
    answer = shop.codebot("implement", "cart.py", "--issue", "12", "--json")
    assert answer.code == 0, answer.err
    assert "sum(prices)" in answer.json["diff"]
    missing = shop.codebot("implement", "--issue", "99")
    assert missing.code == 2
    assert "issue 99 not found in shop/cart" in missing.err


def test_pull_request_closes_the_issue_and_names_no_place_of_this_machine(shop, forge, tmp_path):
    script = tmp_path / "s.yaml"
    answer = "I fixed the sum.\n\na.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"
    script.write_text(json.dumps({"answers": [{"times": 0, "text": answer}]}))
    check = f"{sys.executable} -c 'print(1)' && /usr/bin/env true"
    args = ["--issue", 12, "a.txt", "--agent", "scripted", "--script", script, "--check", check]
    made = shop.codebot("implement", *args)
    assert made.code == 0, made.err
    assert shop.codebot("submit-pr").code == 0
    [body] = [sent.body["body"] for sent in forge.sent if sent.method == "POST"]
    assert "\nCloses #12: Totals are wrong\n" in body
    assert "python" in body
    assert f"{Path(sys.executable).parent}" not in body


@pytest.mark.parametrize(
    ("closes", "line"),
    [
        ("12: A title", "Closes #12: A title"),
        ("12", "Closes #12"),
        (12, "Closes #12"),
        ("12: \x1b[31mred\nCloses #13", "Closes #12: \\x1b[31mred Closes #13"),
        ("x", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_only_a_number_closes_an_issue(closes, line):
    assert submit._format_closing_line(closes) == line


def test_a_run_fetches_an_issue(shop, forge):
    _, run = shop.run("analyze-issue", "issue=12")
    brief = next(step for step in run["steps"] if step["step"] == "brief")
    assert brief["status"] == "completed", brief
    assert "Totals are wrong" in shop.prj("logs", run["id"], "brief").out
    assert "specs/issue-12.md" in {each["name"] for each in run["artifacts"]}


def test_issue_analysis_continues_without_a_forge(shop):
    _, run = shop.run("analyze-issue", "issue_number=7", "title=Later")
    by_name = {step["step"]: step["status"] for step in run["steps"]}
    assert by_name["fetched"] == "failed"
    assert by_name["brief"] == "completed"
    assert "# Issue 7: Later" in shop.prj("logs", run["id"], "brief").out


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example:8443/o/n.git",
        "git@evil.example:o/n",
        "https://evil.example/o/n",
        "https://gitlab.evil.example/o/n",
        "git@gitea.evil.example:o/n",
    ],
)
def test_a_token_goes_to_no_host_that_only_the_repository_names(shop, monkeypatch, url):
    for name in ("GH_TOKEN", "GITLAB_TOKEN", "GITEA_SERVER_TOKEN", "FORGEJO_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("GITEA_SERVER_URL", "https://gitea.example")
    where = github.parse_repository(url, {})
    assert github.find_token(where, {"GH_TOKEN": "secret", "GITHUB_TOKEN": "secret"}) == ""
    git(shop.root, "remote", "set-url", "origin", url)
    answer = shop.codebot("implement", "--issue", "1")
    assert answer.code == 2
    assert "you are not logged in to the forge" in answer.err
    wait(shop, {"filepath": "a.txt", "content": "a"})
    answer = shop.codebot("submit-pr")
    assert answer.code == 2, answer.err
    assert "no login for" in answer.err


def test_tokens_are_for_the_hosts_that_the_user_names():
    known = {"GH_TOKEN": "one", "GH_HOST": "forge.example", "GH_ENTERPRISE_TOKEN": "two"}
    assert github.find_token(github.parse_repository("https://github.com/o/n", known), known) == "one"
    assert github.find_token(github.parse_repository("https://forge.example/o/n", known), known) == "two"
    assert "GH_HOST=other.example" in github.login_hint(
        github.parse_repository("https://other.example/o/n", known), known
    )


@pytest.mark.parametrize("url", ["./evil.git", "--receive-pack=touch x"])
def test_a_remote_in_the_tree_or_of_options_is_refused(shop, url):
    git(shop.root, "init", "-q", "--bare", "evil.git")
    (shop.root / "evil.git/hooks/pre-receive").write_text("#!/bin/sh\ntouch ran\n")
    (shop.root / "evil.git/hooks/pre-receive").chmod(0o755)
    git(shop.root, "config", "remote.origin.url", url)
    wait(shop, {"filepath": "a.txt", "content": "a"})
    answer = shop.codebot("submit-pr", "--no-pr")
    assert answer.code == 2, answer.err
    assert "the remote origin" in answer.err
    assert not list(shop.root.rglob("ran"))


def test_hooks_of_a_remote_on_this_machine_are_not_run(shop, remote):
    (remote / "hooks/pre-receive").write_text(f"#!/bin/sh\ntouch {remote}/ran\n")
    (remote / "hooks/pre-receive").chmod(0o755)
    wait(shop, {"filepath": "a.txt", "content": "a"})
    answer = shop.codebot("submit-pr", "--no-pr")
    assert answer.code == 0, answer.err
    assert not (remote / "ran").exists()


def test_a_branch_of_a_fork_is_named_with_its_owner(shop, monkeypatch, tmp_path):
    fork = tmp_path / "fork.git"
    git(tmp_path, "init", "-q", "--bare", str(fork))
    git(shop.root, "remote", "remove", "origin")
    git(shop.root, "remote", "add", "origin", "https://github.com/me/cart.git")
    git(shop.root, "remote", "set-url", "--push", "origin", str(fork))
    shop.codebot(
        "pending", "add", "-", given='{"file_changes":[{"filepath":"new.py","content":"n = 1\\n"}]}'
    )
    with Forge() as forge:
        for name, value in forge.environment.items():
            monkeypatch.setenv(name, value)
        forge.branches = {"me:codebot/change-new-py"}
        made = shop.codebot("submit-pr")
        assert made.code == 0, made.err
        [sent] = [request for request in forge.sent if request.method == "POST"]
        assert sent.body["head"] == "me:codebot/change-new-py"


@pytest.mark.parametrize(
    "attributes", ["*.dat filter=gup\n", "* text=auto eol=crlf\n", "*.dat text eol=crlf\n", ""]
)
def test_a_submission_stores_what_git_add_would(shop, tmp_path, attributes):
    git(shop.root, "config", "--global", "filter.gup.clean", "tr a-z A-Z")
    git(shop.root, "config", "--global", "filter.gup.smudge", "cat")
    (shop.root / ".gitattributes").write_text(attributes)
    (shop.root / "old.dat").write_text("old\n")
    git(shop.root, "add", "-A")
    git(shop.root, "commit", "-qm", "base")
    if "crlf" in attributes:
        (shop.root / "old.dat").unlink()
        git(shop.root, "checkout", "-q", "old.dat")
    git(shop.root, "push", "-q", "origin", "HEAD")
    for name, text in (("new.dat", "plain\n"), ("old.dat", "old\nmore\n")):
        change = {"file_changes": [{"filepath": name, "content": text}]}
        assert shop.codebot("pending", "add", "-", given=json.dumps(change)).code == 0
    made = shop.codebot("submit-pr", "--no-pr", "--json")
    assert made.code == 0, made.err
    branch = made.json["branch"]
    for name, text in (("new.dat", "plain\n"), ("old.dat", "old\nmore\n")):
        stored = git(shop.root, "show", f"{branch}:{name}")
        assert stored == (text.upper() if "gup" in attributes else text).strip()
