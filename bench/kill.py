"""SIGKILL the driver at random moments; nothing may be lost, repeated, left over or stuck.

python bench/kill.py [RUNS] [SEED]
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import Run
from prunejuice.engine.stores.sqlite import SqliteStore
from prunejuice.system import process_tags

COMMAND = """
description: Six steps with two parallel branches and a loop
steps:
  - {name: one, script: &do 'sleep 0.02; echo "$PRUNEJUICE_STEP_NAME" >>trace'}
  - {name: left, script: *do}
  - {name: right, script: *do, parallel_with: [left]}
  - name: check
    script: 'n=$(grep -c mend trace || true); sleep 0.02; echo check >>trace; test "$n" -ge 2'
    on_failure: mend
  - {name: mend, script: *do, on_success: check, max_visits: 5}
  - {name: last, script: *do}
"""
EXPECTED = Counter(one=1, left=1, right=1, check=3, mend=2, last=1)


class Tally(NamedTuple):
    """What was found over all runs."""

    runs: int
    kills: int
    lost: int
    repeated: int
    left_over: int
    stuck: int


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10_000
    print(f"seed {seed}", file=sys.stderr)
    print(json.dumps(torture(runs, random.Random(seed))._asdict()))


def torture(runs: int, chance: random.Random) -> Tally:
    """Make runs one after the other, each killed up to five times before it may end."""
    found = Counter()
    with tempfile.TemporaryDirectory(prefix="prj-kill-") as folder:
        project = Path(folder)
        commands = project / "config" / "commands"
        commands.mkdir(parents=True)
        (commands / "six.yaml").write_text(COMMAND)
        env = {**os.environ, "PRUNEJUICE_HOME": str(project / "state")}
        env["PRUNEJUICE_CONFIG"] = str(commands.parent)
        for number in range(runs):
            place = project / f"work{number}"
            place.mkdir()
            found.update(one_run(place, env, chance))
    return Tally(runs, found["kills"], found["lost"], found["repeated"], found["left_over"], found["stuck"])


def prj(place: Path, env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "prunejuice", *args]
    return subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, timeout=60)


def one_run(place: Path, env: dict[str, str], chance: random.Random) -> Counter[str]:
    found: Counter[str] = Counter()
    history = runs_of(env)
    argv = ["run", "six", "--json"]
    for _ in range(chance.randint(1, 5)):
        found["kills"] += killed(place, env, argv, chance.uniform(0.08, 0.4))
        fresh = history.list_runs(str(place), (), 10)
        argv = ["resume", fresh[0].id, "--json"] if fresh else argv
    done = prj(place, env, *argv)
    fresh = history.list_runs(str(place), (), 10)
    found["stuck"] += len(fresh) != 1 or fresh[0].status != "completed"
    if found["stuck"]:
        print(f"stuck: {argv} {done.returncode} {done.stderr} {fresh}", file=sys.stderr)
        return found
    return found + judged(place, history.load_run(fresh[0].id))


def killed(place: Path, env: dict[str, str], args: list[str], after: float) -> int:
    """Whether the driver was still there to be killed."""
    argv = [sys.executable, "-m", "prunejuice", *args]
    child = subprocess.Popen(argv, cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    gone = child.poll() is not None
    child.kill()
    child.wait()
    return not gone


def runs_of(env: dict[str, str]) -> RunHistory:
    home = Path(env["PRUNEJUICE_HOME"])
    return RunHistory(home, SqliteStore(home / "prunejuice.db"))


def judged(place: Path, run: Run) -> Counter[str]:
    """Compare what the steps wrote with what the history says."""
    ended = Counter(visit.step for visit in run.visits)
    wrote = Counter((place / "trace").read_text().split())
    found: Counter[str] = Counter()
    found["lost"] += ended != EXPECTED or any(wrote[step] < EXPECTED[step] for step in EXPECTED)
    found["repeated"] += sum(max(0, wrote[step] - EXPECTED[step]) for step in EXPECTED)
    found["left_over"] += len(process_tags.tagged_pids(run.id))
    if found["repeated"] or found["lost"]:
        print(f"wrong: {run.id} wrote {wrote} history {ended}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
