"""Contexts of real repositories: listing, index, history, selection."""

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from conftest import git
from prunejuice.code import tokens
from prunejuice.context import clipboard, history
from prunejuice.context.bundle import render_bundle
from prunejuice.context.contents import parse_file
from prunejuice.context.engine import Engine
from prunejuice.context.index import CodeIndex
from prunejuice.context.request import ContextRequest
from prunejuice.errors import MissingToolError, NotFoundError, UsageError
from prunejuice.worktrees import file_listing
from prunejuice.worktrees import git as gits

SHOP = {
    "shop/cart.py": "from shop.price import total\n\n\nclass Cart:\n    def checkout(self, voucher):\n        return total(self.items) - voucher.amount\n",
    "shop/price.py": "def total(items):\n    return sum(item.price for item in items)\n\n\ndef with_tax(amount):\n    return amount * 1.2\n",
    "shop/mail.py": "def send_receipt(address):\n    connect(address)\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\n\ndef test_checkout():\n    assert Cart().checkout(None)\n",
    "README.md": "# Shop\n\nSells things.\n",
    "web/till.ts": "export function openTill(): void {\n  ring()\n}\n",
    ".env": "PASSWORD=hunter22\n",
    "logo.svg": "<svg/>\n",
}


@pytest.fixture
def shop(repository):
    for path, text in SHOP.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "add", "-f", ".")
    git(repository, "commit", "-qm", "Open the shop")
    (repository / "shop/price.py").write_text(SHOP["shop/price.py"].replace("1.2", "1.25"))
    (repository / "shop/cart.py").write_text(
        SHOP["shop/cart.py"] + "\n    def clear(self):\n        self.items = []\n"
    )
    git(repository, "commit", "-qam", "Raise the sales tax of everything")
    return repository


def engine(place):
    return Engine(Path(place), os.environ)


def gather(place, query="", **more):
    return engine(place).gather(ContextRequest(query=query, **more))


def paths(bundle):
    return [item.path for item in bundle.items]


# -- which files there are ----------------------------------------------------------------------


def test_the_listing_is_the_tree_as_it_is_now(shop):
    (shop / "new.py").write_text("x = 1\n")
    (shop / "shop/mail.py").unlink()
    (shop / "README.md").write_text("# Other\n")
    (shop / ".gitignore").write_text("hidden.py\n")
    (shop / "hidden.py").write_text("x = 2\n")
    (shop / "link.py").symlink_to("README.md")
    git(shop, "add", "link.py")
    listing = file_listing.list_files(gits.open_git(shop, dict(os.environ)).locate())
    assert {"new.py", "README.md", ".gitignore"} <= listing.changed
    assert "shop/mail.py" not in listing.files
    assert "hidden.py" not in listing.files
    assert listing.skipped["link.py"] == "a link"
    assert listing.files["web/till.ts"] == git(shop, "rev-parse", "HEAD:web/till.ts")


def test_files_that_other_tools_hide_are_left_out(shop):
    (shop / ".cursorignore").write_text("web/\n")
    found = gather(shop, "open the till")
    assert "web/till.ts" not in paths(found)
    assert "ignored by .cursorignore" in {left.reason for left in found.left_out}


def test_a_submodule_and_a_nested_repository_are_named_not_read(shop, tmp_path):
    inner = shop / "nested"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "a.py").write_text("x = 1\n")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "one")
    assert (
        file_listing.list_files(gits.open_git(shop, dict(os.environ)).locate()).skipped["nested"]
        == "a separate repository"
    )
    git(shop, "add", "nested")
    assert (
        file_listing.list_files(gits.open_git(shop, dict(os.environ)).locate()).skipped["nested"]
        == "a submodule"
    )


def test_a_sparse_checkout_shows_what_is_there(shop):
    git(shop, "sparse-checkout", "set", "--no-cone", "/shop/")
    found = file_listing.list_files(gits.open_git(shop, dict(os.environ)).locate())
    assert found.skipped["web/till.ts"] == "not checked out"
    assert "shop/cart.py" in found.files


def test_a_split_index_is_read(shop):
    git(shop, "update-index", "--split-index")
    assert "shop/cart.py" in file_listing.list_files(gits.open_git(shop, dict(os.environ)).locate()).files


def test_no_filter_of_a_repository_runs(shop, tmp_path):
    (shop / ".gitattributes").write_text("*.py filter=evil\n")
    git(shop, "config", "filter.evil.clean", f"touch {tmp_path}/ran; cat")
    (shop / "shop/cart.py").write_text("x = 1\n")
    gather(shop, "checkout", diff="HEAD")
    assert not (tmp_path / "ran").exists()


def test_object_ids_are_those_of_git(shop):
    data = (shop / "README.md").read_bytes()
    assert file_listing.object_id(data) == git(shop, "hash-object", "README.md")
    assert len(file_listing.object_id(data, "0" * 64)) == 64


def test_a_folder_without_git_works_and_ignores_as_git_would(tmp_path):
    (tmp_path / ".gitignore").write_text("out/\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.py").write_text("def never(): pass\n")
    (tmp_path / "b.py").write_text("def always():\n    return 1\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = gather(tmp_path, "always")
    assert "b.py" in paths(found)
    assert "out/a.py" not in paths(found)
    assert not (tmp_path / ".git").exists()


def test_a_repository_without_commits_works(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("def alone():\n    return 1\n")
    assert paths(gather(tmp_path, "alone")) == ["a.py"]
    with pytest.raises(UsageError, match="no commit"):
        gather(tmp_path, "alone", diff="HEAD")


def test_odd_files_do_no_harm(shop):
    (shop / "bytes.py").write_bytes(b"def caf\xe9():\n    return 1\n")
    (shop / "zero.py").write_bytes(b"\0" * 100)
    (shop / "huge.py").write_text("x = 1\n" * 200_000)
    (shop / "empty.py").write_text("")
    (shop / "one_line.py").write_text("a" * 50_000)
    (shop / "name\nwith line.py").write_text("def odd(): pass\n")
    found = gather(shop, "caf return odd")
    assert {"zero.py", "huge.py"}.isdisjoint(paths(found))
    assert "bytes.py" in paths(found)


def test_a_file_that_vanishes_while_it_is_read_is_left_out(shop):
    (shop / "new.py").write_text("def brief(): pass\n")
    first = engine(shop)
    git_ = first.git
    listing = file_listing.list_files(git_)
    (shop / "new.py").unlink()
    from prunejuice.context.corpus import Corpus

    corpus = Corpus(listing, first.index, first.index.entries(), frozenset())
    assert corpus.excluded["new.py"] == "missing or unreadable"


# -- the index ----------------------------------------------------------------------------------


def place_of(shop):
    [found] = (shop / ".git/prunejuice/context").glob("*.db")
    return found


def test_only_what_changed_is_read_again(shop):
    gather(shop, "tax")
    before = engine(shop).index.entries()
    (shop / "shop/mail.py").write_text("def send_letter(address):\n    pass\n")
    gather(shop, "letter")
    assert len(engine(shop).index.entries()) == len(before) + 1


def test_an_engine_that_stays_sees_every_change(shop):
    stays = engine(shop)
    (shop / "new.py").write_text("def first_word(): pass\n")
    (shop / "data.py").write_bytes(b"\0")
    assert "first_word" in render_bundle(stays.gather(ContextRequest(query="new")), "text")
    again = stays.corpus()
    assert stays.corpus() is again
    (shop / "new.py").write_text("def second_word(): pass\n")
    assert "second_word" in render_bundle(stays.gather(ContextRequest(query="new")), "text")
    (shop / "data.py").write_text("def third_word(): pass\n")
    assert "third_word" in render_bundle(stays.gather(ContextRequest(query="new")), "text")
    (shop / "new.py").unlink()
    assert "second_word" not in render_bundle(stays.gather(ContextRequest(query="new")), "text")


def test_worktrees_share_the_index(shop, tmp_path):
    gather(shop, "tax")
    before = engine(shop).index.entries()
    git(shop, "worktree", "add", "-q", tmp_path / "other")
    assert "shop/price.py" in paths(gather(tmp_path / "other", "tax"))
    assert engine(shop).index.entries() == before


def test_a_damaged_index_is_made_anew_and_said_so(shop):
    first = engine(shop)
    first.gather(ContextRequest(query="tax"))
    first.index.close()
    place_of(shop).write_bytes(b"this is no database, but it is long enough to be taken for one" * 100)
    found = gather(shop, "sales tax")
    assert "rebuilt" in found.notes[0]
    assert "shop/price.py" in paths(found)


def test_an_index_that_is_damaged_inside_is_made_anew(shop):
    gather(shop, "tax")
    db = sqlite3.connect(place_of(shop))
    db.execute("UPDATE detail SET parts = x'00'")
    db.commit()
    db.close()
    found = gather(shop, "sales tax")
    assert "shop/price.py" in paths(found)
    assert found.notes


def test_many_processes_fill_one_index(shop):
    script = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from prunejuice.context.request import ContextRequest
        from prunejuice.context.engine import Engine
        print(len(Engine(Path(sys.argv[1]), os.environ).gather(ContextRequest(query="sales tax")).items))
    """)
    for number in range(40):
        (shop / f"file{number}.py").write_text(f"def thing_{number}():\n    return {number}\n")
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(shop)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    answers = {each.communicate()[0] for each in started}
    assert len(answers) == 1
    assert {each.returncode for each in started} == {0}
    entries = engine(shop).index.entries()
    owned = sorted((e.first, e.first + e.length) for e in entries.values())
    assert all(one[1] <= two[0] for one, two in pairwise(owned))


def test_segments_merge_and_lose_nothing(tmp_path):
    index = CodeIndex(tmp_path / "i.db")
    for number in range(40):
        index.add([parse_file(f"{number}.python", "a.py", f"def f{number}():\n    shared()\n".encode())])
    db = sqlite3.connect(tmp_path / "i.db")
    [(segments,)] = db.execute("SELECT count(*) FROM segment")
    assert segments < 8
    assert len(index.postings("shar").files) == 40
    assert len(index.postings("f17").names) == 1


def test_an_index_in_memory_answers_the_same(shop, tmp_path):
    one, two = CodeIndex(None), CodeIndex(tmp_path / "i.db")
    for each in (one, two):
        each.add([parse_file("a.python", "a.py", SHOP["shop/cart.py"].encode())])
    assert one.entries() == two.entries()
    length = one.entries()["a.python"].length
    assert one.chunks(1, length) == two.chunks(1, length)
    assert one.postings("voucher") == two.postings("voucher")


def test_a_folder_that_cannot_be_written_keeps_its_index_elsewhere(shop, monkeypatch):
    (shop / ".git/prunejuice").mkdir(exist_ok=True)
    shutil.rmtree(shop / ".git/prunejuice")
    (shop / ".git/prunejuice").write_text("in the way")
    assert "shop/price.py" in paths(gather(shop, "sales tax"))
    assert list(Path(os.environ["PRUNEJUICE_HOME"]).glob("trees/*/context/*.db"))


def test_threads_with_engines_of_their_own_agree(shop):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(paths(gather(shop, "sales tax")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({tuple(each) for each in found}) == 1


# -- the past -----------------------------------------------------------------------------------


def test_commits_speak_for_the_files_that_they_changed(shop):
    first = engine(shop)
    line = history.load_commits(first.git, first.index, git(shop, "rev-parse", "HEAD"))
    assert line[0].paths == ("shop/cart.py", "shop/price.py")
    found = history.CommitHistory(line)
    assert (
        max(
            found.message_scores({"sal": 1.0, "tax": 1.0}),
            key=found.message_scores({"sal": 1.0, "tax": 1.0}).get,
        )
        in line[0].paths
    )
    assert "shop/price.py" in found.cochange_scores(["shop/cart.py"])
    assert history.load_commits(first.git, first.index, git(shop, "rev-parse", "HEAD")) == line


# -- what comes of a task -----------------------------------------------------------------------


def test_the_file_of_the_task_is_the_likeliest(shop):
    found = gather(shop, "Cart.checkout ignores the voucher")
    assert max(found.items, key=lambda item: item.chance).path == "shop/cart.py"
    assert {
        reason.signal for item in found.items if item.path == "shop/cart.py" for reason in item.reasons
    } >= {"parts"}


def test_reasons_name_what_was_seen(shop):
    found = gather(shop, "Cart.checkout in shop/cart.py ignores the voucher")
    [item] = [each for each in found.items if each.path == "shop/cart.py"]
    said = {reason.signal: reason.evidence for reason in item.reasons}
    assert "Cart.checkout" in said["parts"]
    assert said["path"].endswith("cart, shop")
    assert said["mention"].endswith("shop/cart.py")
    [item] = [each for each in gather(shop, "send_receipt fails").items if each.path == "shop/mail.py"]
    assert "send_receipt" in {reason.signal: reason.evidence for reason in item.reasons}["symbol"]


@pytest.mark.parametrize("style", ["text", "markdown", "xml"])
@pytest.mark.parametrize("budget", [200, 260, 400, 1_000])
@pytest.mark.parametrize("strategy", ["ranked", "static"])
def test_token_budget_covers_the_whole_rendered_text(shop, style, budget, strategy):
    (shop / "shop/cart.py").write_text(SHOP["shop/cart.py"] * 20)
    ask = {
        "style": style,
        "budget": budget,
        "strategy": strategy,
        "diff": "HEAD",
        "given": "E  boom\n" * 400,
    }
    found = gather(shop, "sales tax of the cart", **ask)
    text = render_bundle(found, style)
    assert tokens.count(text) <= budget
    assert found.used == tokens.count(text)


def test_given_path_is_pinned_with_its_full_text(shop):
    found = gather(shop, "tax", paths=("shop/mail.py",), budget=300)
    [item] = [item for item in found.items if item.path == "shop/mail.py"]
    assert item.mode == "pinned"
    assert item.text == SHOP["shop/mail.py"]
    assert item.reasons[0].signal == "given"


def test_changed_file_is_pinned_with_its_matching_parts(shop):
    text = SHOP["shop/price.py"].replace("1.2", "1.3")
    (shop / "shop/price.py").write_text("import os\n\n" + text)
    found = gather(shop, "receipt")
    [item] = [item for item in found.items if item.path == "shop/price.py"]
    assert item.mode == "pinned"
    assert "with_tax" in item.text


def test_folder_limits_the_context_and_exclamation_mark_excludes_paths(shop):
    found = gather(shop, "sales tax", paths=("shop", "!shop/mail.py"))
    assert set(paths(found)) <= {"shop/cart.py", "shop/price.py"}
    assert paths(gather(shop, "", paths=("**/*.ts",), only=True)) == ["web/till.ts"]


def test_only_limits_the_context_and_tests_adds_matching_tests(shop):
    assert paths(gather(shop, "", paths=("shop/cart.py",), only=True)) == ["shop/cart.py"]
    found = gather(shop, "", paths=("shop/cart.py",), only=True, tests=True)
    assert paths(found) == ["shop/cart.py", "tests/test_cart.py"]


def test_static_weights_are_the_words_of_its_explanation(shop):
    found = gather(shop, "", paths=("shop/cart.py", "."), strategy="static")
    of = {item.path: item for item in found.items}
    assert of["shop/cart.py"].score == pytest.approx(12.0)
    assert [reason.signal for reason in of["tests/test_cart.py"].reasons] == ["test", "recent"]
    assert {reason.signal for reason in of["shop/price.py"].reasons} == {"import", "recent"}


def test_secrets_stay_out_unless_they_are_named_and_then_are_masked(shop):
    assert ".env" not in paths(gather(shop, "the password"))
    [item] = gather(shop, "", paths=(".env",), only=True).items
    assert item.text == "PASSWORD=***\n"


def test_a_file_that_git_ignores_can_be_named(shop):
    (shop / ".gitignore").write_text("*.log\n")
    (shop / "run.log").write_text("it went wrong\n")
    assert "run.log" not in paths(gather(shop, "wrong"))
    assert paths(gather(shop, "", paths=("run.log",), only=True)) == ["run.log"]


def test_files_without_commits_are_not_treated_as_changed(tmp_path):
    for number in range(30):
        (tmp_path / f"f{number}.py").write_text(f"def thing_{number}():\n    return {number}\n")
    found = gather(tmp_path, "thing_17 is wrong", budget=300)
    assert {item.mode for item in found.items} <= {"full", "slice", "signatures"}
    assert max(found.items, key=lambda item: item.chance).path == "f17.py"


def test_paths_are_from_where_one_is(shop):
    found = Engine(shop / "shop", os.environ).gather(ContextRequest(paths=("mail.py",), only=True))
    assert paths(found) == ["shop/mail.py"]
    with pytest.raises(UsageError, match="outside"):
        gather(shop, paths=("../elsewhere.py",))


def test_missing_path_is_reported_with_the_nearest_name(shop):
    with pytest.raises(NotFoundError, match="no such file: 'shop/crat") as error:
        gather(shop, paths=("shop/crat.py",))
    assert "shop/cart.py" in error.value.fix


def test_budget_too_small_for_any_file_is_refused(shop):
    with pytest.raises(UsageError, match="is too small"):
        gather(shop, "tax", budget=10)


def test_a_bare_repository_is_refused(tmp_path):
    git(tmp_path, "init", "-q", "--bare", "b.git")
    with pytest.raises(UsageError):
        gather(tmp_path / "b.git", "tax")


# -- tokens -------------------------------------------------------------------------------------


def test_both_tokenizers_count_the_same(monkeypatch):
    text = Path(__file__).read_text()
    fast = tokens.count(text)
    monkeypatch.setitem(sys.modules, "splintr", None)
    tokens._encoder.cache_clear()
    try:
        assert tokens.count(text) == fast
        assert tokens.count("a" * 20_000) >= 2_500
    finally:
        tokens._encoder.cache_clear()


@pytest.mark.parametrize(
    ("model", "factor"),
    [
        ("", 1),
        ("openai:gpt-5", 1),
        ("anthropic:claude-sonnet-4-5", 1.2),
        ("ollama:codellama", 1.4),
        ("new:thing", 1.2),
    ],
)
def test_the_budget_is_in_the_tokens_of_the_model(shop, model, factor):
    (shop / "shop/cart.py").write_text(SHOP["shop/cart.py"] * 20)
    found = gather(shop, "voucher", budget=600, model=model)
    assert tokens.count(render_bundle(found, "text")) * factor <= found.used <= found.budget == 600


# -- the clipboard ------------------------------------------------------------------------------


def tool(folder, name, script):
    place = folder / name
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


@pytest.fixture
def desk(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    tool(folder, "wl-copy", f"exec /bin/cat > {tmp_path}/held")
    tool(folder, "wl-paste", f"exec /bin/cat {tmp_path}/held")
    return {"PATH": str(folder), "WAYLAND_DISPLAY": "wayland-0"}


def test_the_clipboard_of_a_desktop(desk):
    assert clipboard.write("tüt", desk) == "wl-clipboard"
    assert clipboard.read(desk) == "tüt"


def test_reading_an_empty_clipboard_is_refused(desk, tmp_path):
    (tmp_path / "held").write_text(" \n")
    with pytest.raises(UsageError, match="holds no text"):
        clipboard.read(desk)


def test_terminal_receives_the_copied_text_over_ssh(desk, tmp_path):
    screen = tmp_path / "tty"
    screen.touch()
    assert clipboard.write("hello", {**desk, "SSH_TTY": "/dev/pts/1"}, screen) == "the terminal"
    assert screen.read_bytes() == b"\033]52;c;aGVsbG8=\a"
    with pytest.raises(MissingToolError, match="a terminal accepts at most"):
        clipboard.write("x" * 80_000, {"PATH": "/nowhere"}, screen)


def test_missing_clipboard_and_terminal_are_reported(tmp_path):
    with pytest.raises(MissingToolError, match="no clipboard"):
        clipboard.read({"PATH": "/nowhere"})
    with pytest.raises(MissingToolError, match="no terminal"):
        clipboard.write("x", {"PATH": "/nowhere"}, tmp_path / "none/tty")


def test_a_merge_that_has_not_ended_is_shown_as_it_is(shop):
    git(shop, "checkout", "-qb", "other", "HEAD~1")
    (shop / "shop/price.py").write_text(SHOP["shop/price.py"].replace("1.2", "1.9"))
    git(shop, "commit", "-qam", "Other tax")
    subprocess.run(["git", "merge", "-q", "main"], cwd=shop, capture_output=True, check=False)
    [item] = [each for each in gather(shop, "tax").items if each.path == "shop/price.py"]
    assert "<<<<<<<" in item.text
