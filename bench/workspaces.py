"""The figures of worktrees: how fast they are made and removed, and that none is ever lost or half made."""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import PruneJuiceError
from prunejuice.worktrees import conflicts, listing, worktree, worktree_names
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.worktree import WorktreeSpec

IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")


def git(place: Path, *words: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=place, capture_output=True, text=True, check=check
    )
    return done.stdout


def repository(place: Path, files: int) -> Path:
    """A repository with so many files in folders of a hundred."""
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main")
    for number in range(files):
        path = place / f"d{number // 100}" / f"f{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {number}\n" * 10)
    git(place, "add", "-A")
    git(place, "commit", "-qm", "first")
    return place


def door(place: Path) -> gits.Git:
    return gits.open_git(place, dict(os.environ)).locate()


def wanted(git_: gits.Git, branch: str, owner: str = "bench") -> WorktreeSpec:
    return WorktreeSpec(worktree_names.worktree_path(git_, "", branch), branch, git_.head_commit(), owner)


def creation(folder: Path, count: int) -> tuple[float, float]:
    """Seconds for so many worktrees of 5,000 files, by us and by plain git, turn by turn."""
    place = repository(folder / "large", 5000)
    found = door(place)
    ours = plain = 0.0
    for number in range(count):
        began = time.perf_counter()
        worktree.create(found, wanted(found, f"ours-{number}"))
        ours += time.perf_counter() - began
        began = time.perf_counter()
        git(place, "worktree", "add", "-q", "-b", f"plain-{number}", str(folder / f"plain-{number}"))
        plain += time.perf_counter() - began
    return ours, plain


def removal(folder: Path, count: int) -> float:
    """Median seconds until the removal of a clean worktree of 5,000 files returns."""
    found = door(folder / "large")
    taken = []
    for number in range(count):
        began = time.perf_counter()
        removed = worktree.remove(found, worktree_names.worktree_path(found, "", f"ours-{number}"))
        taken.append(time.perf_counter() - began)
        assert not removed.why, removed
    return statistics.median(taken)


def survey(folder: Path) -> tuple[float, int]:
    """Seconds for the radar over ten live worktrees of 5,000 files, warm; and how many conflicts it saw."""
    place = repository(folder / "radar", 5000)
    found = door(place)
    for number in range(10):
        made = worktree.create(found, wanted(found, f"r-{number}"))
        for name in (f"d{number}/f{number * 100}.txt", "d20/f2000.txt"):
            (Path(made.path) / name).write_text(f"changed {number}\n")
        (Path(made.path) / f"new-{number}").write_text("new\n")
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        _, clashes = conflicts.find_conflicts(found, found.head_commit())
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:]), len(clashes)


MAKER = """
import os, sys
sys.path.insert(0, {bench!r})
from pathlib import Path
import workspaces as w
from prunejuice.worktrees import worktree
found = w.door(Path({place!r}))
for number in range({first}, {last}):
    try:
        worktree.create(found, w.wanted(found, f"c-{{number}}"))
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


class Crowd(NamedTuple):
    """What became of creations at once: how many failed, and branches without a worktree."""

    made: int
    failed: int
    orphans: int


def crowd(folder: Path, count: int) -> Crowd:
    """Ten processes make worktrees of one repository at once."""
    place = repository(folder / "crowd", 20)
    each = count // 10
    bench = str(Path(__file__).parent)
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                MAKER.format(bench=bench, place=str(place), first=n * each, last=(n + 1) * each),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(10)
    ]
    failed = sum(len(child.communicate()[0].splitlines()) for child in children)
    return Crowd(count, failed, _orphans(place))


def plain_crowd(folder: Path, count: int) -> Crowd:
    """The same with plain git."""
    place = repository(folder / "plain-crowd", 20)
    each = count // 10
    script = 'for n in $(seq "$1" "$2"); do git worktree add -q -b "c-$n" "../plain-trees/c-$n" 2>/dev/null || echo failed; done'
    children = [
        subprocess.Popen(
            ["bash", "-c", script, "bash", str(n * each), str((n + 1) * each - 1)],
            cwd=place,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(10)
    ]
    failed = sum(child.communicate()[0].count("failed") for child in children)
    return Crowd(count, failed, _orphans(place))


def _orphans(place: Path) -> int:
    branches = set(git(place, "for-each-ref", "--format=%(refname:short)", "refs/heads").split())
    listed = git(place, "worktree", "list", "--porcelain", check=False).splitlines()
    out = {line.removeprefix("branch refs/heads/") for line in listed if line.startswith("branch ")}
    return len(branches - out)


WORKER = """
import sys
sys.path.insert(0, {bench!r})
from pathlib import Path
import workspaces as w
from prunejuice.worktrees import worktree
found = w.door(Path({place!r}))
print("ready", flush=True)
sys.stdin.readline()
made = worktree.create(found, w.wanted(found, {branch!r}, "killed"))
(Path(made.path) / "work").write_text("precious")
worktree.remove(found, Path(made.path), force=True)
"""


class Kills(NamedTuple):
    """What was found after processes were killed while they made and removed worktrees."""

    kills: int
    blocked: int
    debris: int
    lost: int


def kills(folder: Path, count: int, chance: random.Random) -> Kills:
    """Kill a process that makes and removes a worktree; the next command must go on without help."""
    place = repository(folder / "kills", 200)
    found = door(place)
    blocked = debris = lost = killed = number = 0
    while killed < count:
        number += 1
        branch = f"k-{number}"
        killed += _killed(place, branch, chance.uniform(0, 0.12))
        try:
            worktree.create(found, wanted(found, f"next-{number}"))
            worktree.discard(found, worktree_names.worktree_path(found, "", f"next-{number}"))
        except PruneJuiceError as error:
            print(error.message, file=sys.stderr)
            blocked += 1
        bad, gone = _state(found, branch)
        debris += bad
        lost += gone
    return Kills(killed, blocked, debris, lost)


def _killed(place: Path, branch: str, delay: float) -> int:
    """Whether the process was still at work when it was killed."""
    code = WORKER.format(bench=str(Path(__file__).parent), place=str(place), branch=branch)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    child.stdin.write("\n")
    child.stdin.flush()
    time.sleep(delay)
    at_work = child.poll() is None
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGKILL)
    child.communicate()
    return at_work


def _state(found: gits.Git, branch: str) -> tuple[int, int]:
    """Whether something half made is left, and whether work that had been written is nowhere."""
    path = worktree_names.worktree_path(found, "", branch)
    entry = next((each for each in listing.list_worktrees(found) if each.path == path), None)
    exists, ref = path.exists(), bool(found.resolve(f"refs/heads/{branch}"))
    whole = exists and entry is not None and ref and git(path, "status", "--porcelain") in {"", "?? work\n"}
    nothing = not exists and entry is None and not ref
    admin = Path(found.common)
    left = [*admin.glob("prunejuice/new-*"), *admin.glob("prunejuice/worktrees/*.making.json")]
    left += admin.glob("prunejuice/operations/*.begun.json")
    trashed = [p for p in admin.glob("prunejuice/trash/*/tree") if not (p / "work").exists()]
    return int(not (whole or nothing) or bool(left)), len(trashed)


def status_calls(env: dict[str, str], place: Path) -> dict[str, int]:
    """How many processes and queries `prj status` needs."""
    code = (
        "import json, sqlite3, subprocess, sys\n"
        "from prunejuice.cli import error_boundary\n"
        "from prunejuice.cli.prj import prj\n"
        "count = {'git': 0, 'tmux': 0, 'sql': 0}\n"
        "real = subprocess.Popen.__init__\n"
        "def start(self, argv, *rest, **more):\n"
        "    name = str(argv[0]).rsplit('/', 1)[-1]\n"
        "    count[name] = count.get(name, 0) + 1\n"
        "    real(self, argv, *rest, **more)\n"
        "subprocess.Popen.__init__ = start\n"
        "opened = sqlite3.connect\n"
        "def connect(*words, **more):\n"
        "    found = opened(*words, **more)\n"
        "    def trace(text):\n"
        "        count['sql'] += text.lstrip(' -').upper().find('SELECT ID') >= 0\n"
        "    found.set_trace_callback(trace)\n"
        "    return found\n"
        "sqlite3.connect = connect\n"
        "error_boundary.run_command_line(prj, ['status'])\n"
        "print(json.dumps(count), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=env, capture_output=True, text=True, check=True
    )
    return json.loads(done.stderr.splitlines()[-1])


def main() -> Iterator[str]:
    """The figures alone, for a quick look."""
    with tempfile.TemporaryDirectory(prefix="prj-trees-") as name:
        folder = Path(name)
        os.environ["PRUNEJUICE_HOME"] = f"{name}/state"
        ours, plain = creation(folder, 10)
        yield f"creation {ours / plain:.2f} of plain ({ours * 100:.0f} ms each)"
        yield f"removal {removal(folder, 10) * 1000:.0f} ms"
        yield f"radar {survey(folder)}"
        yield f"crowd {crowd(folder, 200)}"
        yield f"plain crowd {plain_crowd(folder, 200)}"
        yield f"kills {kills(folder, 30, random.Random(1))}"


if __name__ == "__main__":
    for line in main():
        print(line, flush=True)
