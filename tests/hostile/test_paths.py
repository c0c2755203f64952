"""Forbidden names, and trees that change while they are written."""

import os
import random

import pytest

from prunejuice.changes.change_set import ChangeSet, FileChange
from prunejuice.edits import path_rules, protected_files
from prunejuice.errors import ConflictError, DeniedError, PruneJuiceError

REFUSED = [
    "", "/", "/etc/passwd", "//x", "/x", "~/x", "~root/x", "../x", "a/../x", "a/../../x", "..", ".", "./x", "a/./x", "a//b", "a/", "a/..",
    "..\\x", "a\\b", "\\\\srv\\x", "C:\\x", "C:/x", "c:x", "a:b", "x::$DATA", "a*b", "a?b", 'a"b', "a<b", "a>b", "a|b",
    ".git", ".git/config", ".git/hooks/pre-commit", ".GIT/config", ".Git/x", "a/.git/config", "a/b/.git", ".git/", ".git.", ".git /config",
    ".git./x", ".git ./x", "git~1/config", "GIT~1/config", "GITMOD~1", "gi7eba~1", "sub/gitmod~2", "git~2/x", ".gi\u200ct/config", ".g\u200dit/x", ".git\u200b/x", "\ufeff.git/x",
    ".git\u00ad/x", ".\u2060git/x", ".git::$INDEX_ALLOCATION/x", ".git\u3000/x", "．git/config", ".ｇit/config", ".gⁱt/x",
    ".gitmodules", "a/.gitmodules", ".GITMODULES",
    "a\0b", "a\nb", "a\rb", "a\tb", "a\x1bb", "a\x7fb", "a\x80b", "a\x9bb", "\u202ea", "a\u202eb", "a\u2066b", "a\u200eb", "a\u2028b", "a\ufff9b",
    "a\U000e0041b", "\ud800", "a\udc80b", "\ue000", "a\uffffb", "a\u0378b",
    "CON", "con", "con.txt", "PRN", "aux", "aux.c", "NUL", "nul.tar.gz", "COM1", "com9.x", "LPT1", "lpt9", "COM¹", "lpt³.x", "CONIN$", "conout$", "a/con/b", "CON.",
    "a ", "a.", "a /b", "a./b", "...", ". .", "a/ ", " ", "\u00a0 ",
    "x" * 256, "é" * 128, "a/" * 2100 + "b", "x" * 5000, "a/" + "y" * 256 + "/b",
]  # fmt: skip

ACCEPTED = [
    "a", "a.py", "src/a.py", "a b.txt", "a-b_c+d@e.txt", ".gitignore", ".gitattributes2", "git", "git/x", "agit", ".gitx", "a.git", "x.git/config",
    "é.txt", "日本語/ファイル.md", "[id].tsx", "(group)/page.tsx", "$name.ts", "a~1", "x~", "a#b", "a%20b", "a&b", "a;b", "a'b", "a`b", "a{b}", "a=b",
    "console.py", "comma", "auxiliary.c", "x" * 255, "-rf", "--help", "a/-x", ".env", "Makefile", "..a", "a..b", "a...",
]  # fmt: skip
ACCEPTED = [name for name in ACCEPTED if name != "a..."]


def test_refused_names_are_unique_and_at_least_a_hundred():
    assert len(REFUSED) >= 100
    assert len(set(REFUSED)) == len(REFUSED)


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: ascii(name)[:40])
def test_hostile_names_are_refused_before_anything_is_looked_at(name, repository):
    before = sorted(repository.rglob("*"))
    for change in (FileChange(name, "x"), FileChange("a.txt", operation="rename", to=name)):
        with pytest.raises((DeniedError, ConflictError)):
            change.apply(repository)
    assert sorted(p for p in repository.rglob("*") if "prunejuice" not in str(p)) == before
    assert (repository / "a.txt").read_text() == "one\n"


@pytest.mark.parametrize("name", ACCEPTED, ids=lambda name: ascii(name)[:40])
def test_good_names_are_written(name, repository):
    ChangeSet((FileChange(name, "x"),)).apply(repository, grant=["*"])
    assert (repository / name).read_text() == "x"


def test_random_names_never_lead_out(tmp_path, repository):
    """What is not refused lies below the top, under just that name."""
    rng = random.Random(3)
    signs = [
        "a",
        "b",
        "/",
        "/",
        ".",
        "..",
        "~",
        "\\",
        ":",
        " ",
        "\u200c",
        ".git",
        "git~1",
        "é",
        "A",
        "\0",
        "\n",
        "con",
        "*",
    ]
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / "link").symlink_to(outside)
    written = 0
    for _ in range(int(os.environ.get("PRUNEJUICE_TEST_EXAMPLES", "400"))):
        name = "".join(rng.choices(signs, k=rng.randint(1, 7)))
        name = rng.choice([name, f"link/{name}", f"a.txt/{name}"])
        try:
            FileChange(name, "x").apply(repository)
        except PruneJuiceError:
            continue
        written += 1
        assert (repository / name).is_file()
        assert (repository / name).resolve().is_relative_to(repository)
    assert written >= 5
    assert list(outside.iterdir()) == []
    assert not (repository / ".git/x").exists()


COLLIDING = [
    ("a.txt", "A.txt"),
    ("straße", "strasse"),
    ("é", "e\u0301"),
    ("x", "x/y"),
    ("d/x", "D/y"),
    ("ﬁle", "file"),
]


@pytest.mark.parametrize("names", COLLIDING, ids=lambda names: ascii(names))
def test_names_that_are_one_file_somewhere_are_refused_together(names, repository):
    with pytest.raises((DeniedError, ConflictError)):
        ChangeSet(tuple(FileChange(name, "x") for name in names)).apply(repository)
    assert path_rules.find_collision(names)


CARE = {
    ".github/workflows/ci.yml": "granted", ".GitHub/Workflows/x": "granted", "a/.claude/settings.json": "granted", ".prj/commands/x.yaml": "granted", ".envrc": "granted",
    ".codebot/config": "granted", ".codebot/summaries/latest.md": "", ".codebot/reports/.envrc": "granted", ".githooks/pre-commit": "granted", ".mcp.json": "granted", "sub/.vscode/tasks.json": "granted", ".husky/pre-commit": "granted",
    "Makefile": "shown", "AGENTS.md": "shown", "CLAUDE.md": "shown", "package.json": "shown", "pkg/conftest.py": "shown", ".github/CODEOWNERS": "shown",
    "src/a.py": "", "vscode/x": "", "makefile.txt": "",
}  # fmt: skip


@pytest.mark.parametrize("name", CARE)
def test_files_that_decide_what_runs(name):
    assert protected_files.protection_level(name) == CARE[name]


def test_protected_files_are_only_changed_when_allowed(repository):
    change = ChangeSet((FileChange(".github/workflows/ci.yml", "on: push\n"), FileChange("b.txt", "x")))
    with pytest.raises(DeniedError, match=r"workflows/ci\.yml") as caught:
        change.apply(repository)
    assert "--allow" in caught.value.fix
    assert not (repository / "b.txt").exists()
    change.apply(repository, grant=[".github/*"])
    assert (repository / "b.txt").exists()


# -- trees ------------------------------------------------------------------------------------------


def links(place, outside):
    (place / "to-outside").symlink_to(outside)
    (place / "to-file").symlink_to(outside / "precious")
    (place / "to-git").symlink_to(".git")
    (place / "loop").symlink_to("loop")
    (place / "dangling").symlink_to("nowhere")
    (place / "to-root").symlink_to("/")


@pytest.mark.parametrize(
    "name",
    [
        "to-outside/new",
        "to-outside/precious",
        "to-file",
        "to-git/hooks/x",
        "to-git/config",
        "loop",
        "loop/x",
        "dangling",
        "dangling/x",
        "to-root/tmp/x",
    ],
)
@pytest.mark.parametrize("operation", ["write", "delete"])
def test_links_are_never_followed(name, operation, repository, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    links(repository, outside)
    config = (repository / ".git/config").read_bytes()
    with pytest.raises(PruneJuiceError) if operation == "write" or "/" in name else _either():
        FileChange(name, "x", operation).apply(repository)
    assert (outside / "precious").read_text() == "precious"
    assert sorted(p.name for p in outside.iterdir()) == ["precious"]
    assert (repository / ".git/config").read_bytes() == config
    assert not (repository / ".git/hooks/x").exists()


class _either:
    """A link itself may be deleted."""

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return False


def test_git_is_known_by_what_it_is_not_by_its_name(repository):
    (repository / ".git").rename(repository / "store")
    (repository / ".git").write_text("gitdir: store\n")
    with pytest.raises(DeniedError, match="belongs to git"):
        FileChange("store/hooks/x", "x").apply(repository)


def test_a_file_that_may_not_be_read_is_an_error_not_a_loss(repository):
    (repository / "dir").mkdir()
    with pytest.raises(PruneJuiceError):
        FileChange("dir", "x").apply(repository)
    os.mkfifo(repository / "pipe")
    for operation in ("write", "delete"):
        with pytest.raises(DeniedError, match="pipe"):
            FileChange("pipe", "x", operation).apply(repository)
    (repository / "zero").symlink_to("/dev/zero")
    with pytest.raises(DeniedError, match="link"):
        FileChange("zero", "x").apply(repository)
