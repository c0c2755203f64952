"""Change sets, cut off: killed at every system call that changes a disk, beside `git apply` and a loop of writes.

The states that a power failure or a second kill may leave are those of `tests/hostile/test_transaction.py`.
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "hostile"))

import test_transaction as model  # noqa: E402

from prunejuice.changes import transaction  # noqa: E402
from prunejuice.changes.staging import FileWrite  # noqa: E402
from prunejuice.errors import StoreError  # noqa: E402

CALLS = (
    "write", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "fsync", "syncfs",
    "fchmod", "chmod", "link", "linkat", "ftruncate",
)  # fmt: skip
APPLY = """
import sys
sys.path[:0] = {paths!r}
import test_transaction as model
from pathlib import Path
from prunejuice.changes import transaction
state = Path(sys.argv[1]) / "git" / "changes"
transaction.apply(model.TreeState(Path(sys.argv[1]) / "tree", state, state / "lock", b"k" * 32), model.WANTED)
"""
LOOP = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
import test_transaction as model
for want in model.WANTED:
    path = Path(sys.argv[1]) / "tree" / want.path
    if want.data is None:
        path.unlink()
        continue
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(want.data)
    if want.mode:
        path.chmod(want.mode)
"""


class Killed(NamedTuple):
    """Of `points` kills, how many left a torn tree, before and after what the next command does."""

    points: int
    torn: int
    after: int


def killed(words: list[str], recover: bool) -> Killed:
    """Kill a program after each of its calls that change a disk, one run for each."""
    points = torn = after = 0
    for call in CALLS:
        for at in range(1, 60):
            with tempfile.TemporaryDirectory(prefix="prj-kill-") as folder:
                place = Path(folder)
                house = model.tree(place)
                if "git" in words[0]:
                    (place / "patch").write_text(patch())
                inject = [
                    "strace",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    f"inject={call}:signal=SIGKILL:when={at}",
                ]
                filled = [word.replace("PLACE", folder) for word in words]
                done = subprocess.run(
                    [*inject, *filled], cwd=place / "tree", capture_output=True, check=False
                )
                if done.returncode in {0, 1}:
                    break
                points += 1
                torn += model.which(house) == "torn"
                if recover:
                    transaction.recover(house)
                after += model.which(house) == "torn"
    return Killed(points, torn, after)


def patch() -> str:
    """What the change set does, as git reads it."""
    from prunejuice.edits import diff

    found = []
    for want in model.WANTED:
        old = model.OLD.get(want.path)
        new = diff.Version(want.data, want.mode or 0o644)
        found.append(diff.format_diff(diff.FileDiff(want.path, diff.Version(old), new)))
    return "".join(found)


def everyone() -> Iterator[tuple[str, Killed]]:
    """Who was killed, and what was left."""
    paths = [str(ROOT / "src"), str(ROOT / "tests" / "hostile")]
    python = [sys.executable, "-S", "-c"]
    site = next(path for path in sys.path if path.endswith("site-packages"))
    paths.append(site)
    yield "a change set", killed([*python, APPLY.format(paths=paths), "PLACE"], recover=True)
    yield "`git apply`", killed([shutil.which("git") or "git", "apply", "PLACE/patch"], recover=False)
    yield "a loop of writes", killed([*python, LOOP.format(paths=paths), "PLACE"], recover=False)


def at_every_call() -> tuple[int, int]:
    """Moments before and after every call at which it was killed, and how many left a torn tree."""
    points = torn = 0
    for variant in model.VARIANTS.values():
        at = 0
        more = True
        while more:
            at += 1
            with tempfile.TemporaryDirectory(prefix="prj-kill-") as folder:
                house = model.tree(Path(folder))
                disk = model.Each(model.Killer(at), **variant)
                more = model.forked(lambda: transaction.apply(house._replace(disk=disk), model.WANTED))
                transaction.recover(house)
                points += more
                torn += model.which(house) == "torn"
    return points, torn


def errors() -> tuple[int, int, int]:
    """Calls that failed; how many left a torn tree, and how many said that nothing was changed when something was."""
    points = torn = wrong = 0
    for number in model.ERRORS:
        for stays in (False, True):
            at, more = 0, True
            while more:
                at += 1
                with tempfile.TemporaryDirectory(prefix="prj-errno-") as folder:
                    house = model.tree(Path(folder))
                    failing = model.Failing(at, number, stays=stays)
                    try:
                        transaction.apply(house._replace(disk=model.Each(failing)), model.WANTED)
                    except StoreError as error:
                        wrong += "nothing was changed" in error.message and model.which(house) != "old"
                    transaction.recover(house)
                    more = failing.seen >= at
                    points += more
                    torn += model.which(house) == "torn"
    return points, torn, wrong


def twice(rounds: int) -> tuple[int, int]:
    """Killed, and killed again while that is repaired: how many times, and how many left a torn tree."""
    rng = random.Random(11)
    seen = torn = 0
    while seen < rounds:
        with tempfile.TemporaryDirectory(prefix="prj-kill-") as folder:
            house = model.tree(Path(folder))
            first, second = model.Killer(rng.randint(1, 42)), model.Killer(rng.randint(1, 30))
            synced = rng.random() < 0.5
            model.forked(
                lambda: transaction.apply(
                    house._replace(disk=model.Each(first, synced=synced)), model.WANTED
                )
            )
            again = model.forked(
                lambda: transaction.recover(house._replace(disk=model.Each(second, synced=synced)))
            )
            transaction.recover(house)
            seen += again
            torn += model.which(house) == "torn"
    return seen, torn


def power() -> tuple[int, int, int]:
    """States after a power failure, how many are torn, and how many of five waits left out were found out."""
    with tempfile.TemporaryDirectory(prefix="prj-power-") as folder:
        place, rng = Path(folder), random.Random(5)
        bad = [
            is_bad
            for synced in (True, False)
            for is_bad in model.outcomes(place, model.recorded(place, synced), rng, 20)
        ]
        left_out = [model.recorded(place, False, dropped) for dropped in model.REMOVED.values()]
        noticed = sum(any(model.outcomes(place, log, rng, 2)) for log in left_out)
    return len(bad), sum(bad), noticed


def times(folder: Path) -> dict[int, tuple[float, float]]:
    """Median milliseconds to change one file and 100: a change set, and a loop of writes."""
    found = {}
    for count in (1, 100):
        house = model.tree(folder / str(count))
        ours, plain = [], []
        for turn in range(11):
            wanted = [FileWrite(f"src/f{n}.py", f"x = {turn}\n".encode() * 40) for n in range(count)]
            began = time.perf_counter()
            transaction.apply(house, wanted)
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            for want in wanted:
                (house.root / want.path).write_bytes(want.data or b"")
            os.sync()
            plain.append(time.perf_counter() - began)
        found[count] = (statistics.median(ours) * 1000, statistics.median(plain) * 1000)
    return found
