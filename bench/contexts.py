"""Contexts beside what else there is: which of the lines that a commit changed does its message find?

    python bench/contexts.py REPOSITORY… [--cases 30] [--aider PYTHON]     # writes bench/CONTEXTS.md

Each case is a commit of a repository: its parent is checked out in a clone, the message is the task, and what
counts is the share of the changed files that are shown at all (present) and of the changed places whose lines
are shown (hunk), for budgets of 4k, 8k, 16k and 32k tokens. Score is the mean of both over the budgets.

codeclip             what it is
BM25, packed         the words of files and paths alone, packed by definition as codeclip does
BM25, whole files    the same order, whole files as long as they fit
static               codeclip --strategy static: changed, tests, imports, lately, small
repomix              everything, in its own order, as far as the budget goes (npx repomix)
aider                its map of the repository, with the words of the message as mentions (--aider names a Python)
"""

import gc
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

BUDGETS = (4_000, 8_000, 16_000, 32_000)
ROOT = Path(__file__).parents[1]
CODE = re.compile(r"\.(py|pyi|js|mjs|jsx|ts|tsx|go|rs|java|c|h|cc|cpp|hpp|rb|cs|php)$")
DULL = re.compile(r"(?i)^(merge|revert|bump|release|version|format|lint|\[pre-commit|chore\(deps)")
Lines = list[tuple[int, int]]
Shown = dict[str, Lines | None]
"""Paths to the lines that are shown; None for all of them."""


class Case(NamedTuple):
    """A commit: what it said, and which old lines it changed."""

    parent: str
    message: str
    hunks: Mapping[str, Lines]


def git(place: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(place), *args], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def cases(place: Path, wanted: int) -> Iterator[Case]:
    """Commits that changed two to eight files of code, spread over the last ones."""
    found = []
    for entry in git(
        place,
        "log",
        "--no-merges",
        "-n",
        "3000",
        "--diff-filter=M",
        "--name-only",
        "--format=%x01%H %P%x02%B%x03",
    ).split("\x01")[1:]:
        head, _, rest = entry.partition("\x03")
        ids, _, message = head.partition("\x02")
        paths = [path for path in rest.split("\n") if CODE.search(path)]
        if (
            2 <= len(paths) <= 8
            and len(ids.split()) == 2
            and len(message.split()) > 2
            and not DULL.match(message)
        ):
            found.append((*ids.split(), message.strip()))
    for commit, parent, message in found[:: max(1, len(found) // wanted)][:wanted]:
        hunks: dict[str, Lines] = {}
        path = ""
        for line in git(
            place,
            "-c",
            "core.quotePath=false",
            "diff",
            "-U0",
            "--no-renames",
            "--diff-filter=M",
            parent,
            commit,
        ).split("\n"):
            if line.startswith("--- a/"):
                path = line[6:]
            elif path and CODE.search(path) and (match := re.match(r"@@ -(\d+)(?:,(\d+))? ", line)):
                first, count = int(match[1]), int(match[2] or 1)
                hunks.setdefault(path, []).append((max(first, 1), max(first + max(count, 1) - 1, 1)))
        if hunks:
            yield Case(parent, message, hunks)


def measured(case: Case, shown: Shown) -> tuple[float, float]:
    """The shares of the changed files and of the changed places that are shown."""
    present = sum(path in shown for path in case.hunks) / len(case.hunks)
    places = [(path, hunk) for path, hunks in case.hunks.items() for hunk in hunks]
    seen = sum(
        path in shown
        and (shown[path] is None or any(a <= first and last <= b for a, b in shown[path] or ()))
        for path, (first, last) in places
    )
    return present, seen / len(places)


# -- what selects -------------------------------------------------------------------------------------

Selector = Callable[[Path, str], Mapping[int, Shown]]


def _engine(place: Path):
    from prunejuice.context.engine import Engine

    return Engine(place, os.environ)


def _items(found: Mapping[int, Sequence[object]]) -> dict[int, Shown]:
    def lines(item) -> Lines | None:
        return None if item.mode == "full" else list(item.ranges)

    return {budget: {item.path: lines(item) for item in items} for budget, items in found.items()}


def codeclip(place: Path, query: str) -> Mapping[int, Shown]:
    return _items(_engine(place).select_items(query, (), BUDGETS))


def bm25_packed(place: Path, query: str) -> Mapping[int, Shown]:
    """codeclip with every weight but those of words in files and paths at 0."""
    from prunejuice.context import retrieval
    from prunejuice.context.ranking import Signals

    kept = retrieval.WEIGHTS
    every = sum(kept)
    retrieval.WEIGHTS = Signals(**{
        name: {"text": 0.7, "path": 0.3}.get(name, 0.0) * every for name in Signals._fields
    })
    try:
        return codeclip(place, query)
    finally:
        retrieval.WEIGHTS = kept


def bm25_whole(place: Path, query: str) -> Mapping[int, Shown]:
    from prunejuice.code import tokens
    from prunejuice.context import retrieval
    from prunejuice.context.history import CommitHistory

    engine = _engine(place)
    corpus = engine.corpus()
    found = retrieval.search(corpus, CommitHistory([]), query, ())
    order = sorted(
        found.signals, key=lambda file: -(found.signals[file].text + 0.4 * found.signals[file].path)
    )
    texts = {file: (place / corpus.paths[file]).read_text(errors="replace") for file in order[:120]}
    counts = {file: tokens.count(text) + 12 for file, text in texts.items()}
    made: dict[int, Shown] = {}
    for budget in BUDGETS:
        left = budget
        made[budget] = {}
        for file in counts:
            if counts[file] <= left:
                left -= counts[file]
                made[budget][corpus.paths[file]] = None
    return made


def static(place: Path, query: str) -> Mapping[int, Shown]:
    from prunejuice.context.request import ContextRequest

    engine = _engine(place)
    return _items({
        budget: engine.gather(ContextRequest(query=query, budget=budget, strategy="static")).items
        for budget in BUDGETS
    })


def repomix(place: Path, query: str) -> Mapping[int, Shown]:
    from prunejuice.code import tokens

    words = ["npx", "--yes", "repomix@1", "--stdout", "--quiet", "--style", "xml", "--no-security-check"]
    done = subprocess.run(words, cwd=place, capture_output=True, check=True, text=True, errors="replace")
    made: dict[int, Shown] = {budget: {} for budget in BUDGETS}
    used = 0
    for match in re.finditer(r'<file path="([^"]*)">\n(.*?)</file>\n', done.stdout, re.S):
        used += tokens.count(match[2]) + 12
        for budget in BUDGETS:
            if used <= budget:
                made[budget][match[1]] = None
        if used > max(BUDGETS):
            break
    return made


AIDER = r"""
import json, os, re, sys, warnings
out = os.fdopen(os.dup(1), "w")  # it talks on stdout too
os.dup2(2, 1)
warnings.simplefilter("ignore")
from aider.repomap import RepoMap
from aider.io import InputOutput
class Model:
    def token_count(self, text): return len(text) // 4
root, query, budgets, files = json.load(sys.stdin)
words = set(re.findall(r"\w{3,}", query))
made = {}
for budget in budgets:
    maps = RepoMap(map_tokens=budget, root=root, main_model=Model(), io=InputOutput(yes=True, pretty=False), max_context_window=10**9, map_mul_no_files=1)
    names = {f for f in files if f.rsplit("/", 1)[-1].rsplit(".", 1)[0] in words or f in query}
    made[budget] = maps.get_repo_map([], [f"{root}/{f}" for f in files], mentioned_fnames=names, mentioned_idents=words) or ""
json.dump(made, out)
"""


def aider(python: str) -> Selector:
    def selected(place: Path, query: str) -> Mapping[int, Shown]:
        names = [path for path in git(place, "ls-files").split("\n") if CODE.search(path)]
        asked = json.dumps([str(place), query, BUDGETS, names])
        done = subprocess.run(
            [python, "-c", AIDER], input=asked, capture_output=True, check=True, text=True
        )
        made = {}
        for budget, text in json.loads(done.stdout).items():
            made[int(budget)] = _mapped(place, text)
        return made

    return selected


def _mapped(place: Path, text: str) -> Shown:
    """The files of a map, with the lines whose text it shows."""
    shown: Shown = {}
    for section in re.split(r"\n(?=\S[^\n]*:\n)", "\n" + text):
        path, _, body = section.lstrip("\n").partition(":\n")
        if (place / path).is_file():
            lines = {line.lstrip("│█⋮ ").strip() for line in body.split("\n")} - {""}
            own = (place / path).read_text(errors="replace").split("\n")
            shown[path] = [(n, n) for n, line in enumerate(own, 1) if line.strip() in lines]
    return shown


# -- the run ------------------------------------------------------------------------------------------


def quality(
    repository: Path, number: int, selectors: Mapping[str, Selector], place: Path
) -> dict[str, list[float]]:
    """Of each selector its score, then present and hunk for each budget; means over the cases."""
    tree = Path(tempfile.mkdtemp(dir=place))
    git(Path("/"), "clone", "-q", "--shared", str(repository.resolve()), str(tree))
    taken: dict[str, list[list[float]]] = {name: [] for name in selectors}
    for case in cases(tree, number):
        git(tree, "checkout", "-q", "-f", "--detach", case.parent)
        for name, select in selectors.items():
            found = select(tree, case.message)
            pairs = [measured(case, found[budget]) for budget in BUDGETS]
            score = statistics.mean((present + hunk) / 2 for present, hunk in pairs)
            taken[name].append([score, *(value for pair in pairs for value in pair)])
    return {
        name: [100 * statistics.mean(column) for column in zip(*rows, strict=True)] + [len(rows)]
        for name, rows in taken.items()
        if rows
    }


class Cost(NamedTuple):
    """Seconds of processor and of the clock, and megabytes of memory."""

    cpu: float
    wall: float
    megabytes: int


def cost(words: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> Cost:
    """What a process took, with those that it started."""
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)"
    )
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=cwd,
        env=env,
        capture_output=True,
        check=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.perf_counter() - began, int(done.stdout) // 1024)


QUERIES = (
    "Fixed QuerySet.bulk_create() crash with db_default fields on Oracle",
    "Prevent template loaders from following symlinks",
    "Admin list filter for empty relations",
    "Add JSON aggregates to PostgreSQL",
    "Fix migration autodetector for renamed fields with db_column",
    "Session cookies with partitioned attribute",
)


def figures(folder: Path, env: Mapping[str, str]) -> Iterator[tuple[str, str, str, bool | None]]:
    """What a large repository takes: cold, with its index, warm in a process, and after 50 files changed."""
    place = large(folder)
    if place is None:
        yield "codeclip on Django 5.2", "left out: its source could not be had", "", None
        return
    words = [Path(sys.executable).parent / "codeclip", "-q", QUERIES[0], "-b", "8k"]
    files = len(git(place, "ls-files").split("\n")) - 1
    first = cost(words, place, env)
    yield (
        f"codeclip on Django 5.2 ({files:,} files), no index: CPU",
        f"{first.cpu:.1f} s",
        "≤ 6 s",
        first.cpu <= 6,
    )
    yield "its memory", f"{first.megabytes} MB", "≤ 200 MB", first.megabytes <= 200
    if shutil.which("npx"):
        other = cost(["npx", "--yes", "repomix@1", "-o", "/dev/null", "--quiet"], place, env)
        yield "repomix on the same: CPU, memory", f"{other.cpu:.1f} s, {other.megabytes} MB", "", None
    again = statistics.median(cost(words, place, env).wall for _ in range(5))
    yield "the same with its index, a new process", f"{again * 1000:.0f} ms", "≤ 600 ms", again <= 0.6
    gc.set_threshold(200_000, 20, 20)  # as codeclip serve does
    engine = _engine(place)
    for query in QUERIES:
        engine.select_items(query, (), (8_000,))
    warm = statistics.median(
        seconds(lambda q=query: engine.select_items(q, (), (8_000,))) for query in QUERIES * 4
    )
    yield "in a process that stays, median", f"{warm * 1000:.0f} ms", "≤ 120 ms", warm <= 0.12
    unchanged = seconds(engine.corpus)
    sources = sorted(place.rglob("*.py"))
    for path in sources[:: len(sources) // 50][:50]:
        path.write_text(path.read_text() + "# changed\n")
    caught = seconds(engine.corpus) - unchanged
    what = "to catch up with 50 changed files, beyond looking at unchanged ones"
    yield what, f"{caught * 1000:.0f} ms", "≤ 150 ms", caught <= 0.15


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def large(folder: Path) -> Path | None:
    """Django's source distribution with a commit made of it; None where it cannot be had."""
    place = folder / "django"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
        "django==5.2",
    ]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        return None
    [archive] = folder.glob("[dD]jango-*.tar.gz")
    subprocess.run(["tar", "--no-same-owner", "-xf", archive, "-C", folder], check=True)
    next(folder.glob("[dD]jango-5.2")).rename(place)
    for words in (
        ("init", "-q"),
        ("add", "-f", "."),
        ("-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "Django"),
    ):
        git(place, *words)
    return place


def main() -> None:
    words = sys.argv[1:]
    number = int(words.pop(words.index("--cases") + 1)) if "--cases" in words else 30
    python = words.pop(words.index("--aider") + 1) if "--aider" in words else ""
    repositories = [Path(word) for word in words if not word.startswith("--")] or [ROOT]
    selectors: dict[str, Selector] = {
        "codeclip": codeclip,
        "BM25, packed": bm25_packed,
        "BM25, whole files": bm25_whole,
        "static": static,
    }
    if shutil.which("npx"):
        selectors["repomix"] = repomix
    if python:
        selectors["aider"] = aider(python)
    _, _, case, names = (__doc__ or "").split("\n\n")
    lines = ["# Contexts", "", case, "", "```text", names.rstrip(), "```", ""]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRUNEJUICE_HOME"] = f"{folder}/state"
        for repository in repositories:
            found = quality(repository, number, selectors, Path(folder))
            count = int(next(iter(found.values()))[-1]) if found else 0
            lines += [
                f"## {repository.name}: {count} commits",
                "",
                "| | score | present 4k/8k/16k/32k | hunk 4k/8k/16k/32k |",
                "|---|---|---|---|",
            ]
            for name, values in found.items():
                present, hunk = (" / ".join(f"{value:.0f}" for value in values[at:-1:2]) for at in (1, 2))
                lines.append(f"| {name} | {values[0]:.1f} | {present} | {hunk} |")
                print(lines[-1])
            lines.append("")
    (ROOT / "bench" / "CONTEXTS.md").write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
