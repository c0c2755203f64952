"""Every figure of the spine in one run, as ratios, beside other runners; written to bench/RESULTS.md.

    python bench/run.py [MEASURE…]             # the named measurements only, such as worktrees
    python bench/run.py --quick [MEASURE…]     # fewer rounds; prints the figures and writes nothing

A measurement that fails is named in the report, the others go on, and the exit code is 1.

Other runners are installed into bench/.venv from requirements/bench.txt; one that cannot be is left out.
"""

import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import changes as sets
import contexts as clips
import workspaces as trees

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
PEERS = ROOT / "bench" / ".venv"
QUICK = "--quick" in sys.argv
FAILED = "failed"


class Figure(NamedTuple):
    """One line of the table; `limit` is what the issue asks for."""

    what: str
    value: str
    limit: str = ""
    ok: bool | None = None


class Place(NamedTuple):
    """A working directory of its own; the history and the commands are outside of it."""

    folder: Path
    env: dict[str, str]

    @property
    def state(self) -> Path:
        return Path(self.env["PRUNEJUICE_HOME"])

    def command(self, name: str, text: str) -> None:
        commands = Path(self.env["PRUNEJUICE_CONFIG"]) / "commands"
        commands.mkdir(parents=True, exist_ok=True)
        (commands / f"{name}.yaml").write_text(text)

    def prj(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "prj", *args], cwd=self.folder, env=self.env, capture_output=True, text=True, check=True
        )


def make_place(folder: Path) -> Place:
    """A place for one measurement, so that none sees the files or the history of another."""
    (folder / "work").mkdir(parents=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PRUNEJUICE_")}
    env |= {"PRUNEJUICE_HOME": f"{folder}/state", "PRUNEJUICE_CONFIG": f"{folder}/config"}
    return Place(folder / "work", env)


def main() -> None:
    named = [word for word in sys.argv[1:] if not word.startswith("-")]
    chosen = [measure for measure in MEASUREMENTS if not named or measure.__name__ in named]
    if unknown := set(named) - {measure.__name__ for measure in chosen}:
        sys.exit(f"unknown measurement: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="prj-bench-") as folder:
        figures = [figure for measure in chosen for figure in measured(measure, Path(folder))]
    if not QUICK:
        target = ROOT / "bench" / "RESULTS.md"
        target.write_text(report(figures) if not named else merged(target.read_text(), figures))
    sys.exit(any(figure.value == FAILED for figure in figures))


def measured(measure: Callable[[Place], Iterator[Figure]], folder: Path) -> Iterator[Figure]:
    """The figures of one measurement, printed as they come, and the place where it failed."""
    print(f"{measure.__name__} …", file=sys.stderr)
    try:
        for figure in measure(make_place(folder / measure.__name__)):
            print(row(figure), flush=True)
            yield figure
    except Exception:  # whatever one measurement does, the others have to be made
        traceback.print_exc()
        yield Figure(measure.__name__, FAILED, "", False)


def merged(text: str, figures: list[Figure]) -> str:
    """The report with some figures measured again."""
    new = {figure.what: row(figure) for figure in figures}
    lines = [new.pop(line.split(" | ")[0].removeprefix("| "), line) for line in text.splitlines()]
    last = max(at for at, line in enumerate(lines) if line.startswith("| "))
    return "\n".join([*lines[: last + 1], *new.values(), *lines[last + 1 :]]) + "\n"


def row(figure: Figure) -> str:
    met = {True: "yes", False: "**no**", None: ""}[figure.ok]
    return f"| {figure.what} | {figure.value} | {figure.limit} | {met} |"


def report(figures: list[Figure]) -> str:
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    at = f"{time.strftime('%Y-%m-%d')}, commit {commit.stdout.strip() or 'unknown'}"
    head = ["# Figures", "", f"`make bench` on {at}: {machine}.", ""]
    head += ["Absolute times depend on the machine; read the ratios, which were taken side by side.", ""]
    head += ["| what | measured | asked for | met |", "|---|---|---|---|"]
    return "\n".join([*head, *map(row, figures)]) + "\n"


def interleaved(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; a round makes every call once."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def start_up(place: Place) -> Iterator[Figure]:
    """The commands that people wait for, against a bare interpreter."""
    place.command("noop", "steps: [{name: a, script: ':'}]")
    place.prj("run", "noop")

    def bare() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True)

    words = (["--version"], ["--help"], ["list"], ["status"])
    calls = {"bare": bare} | {w[0]: (lambda w=w: place.prj(*w) and None) for w in words}
    medians = interleaved(calls, 9 if QUICK else 25)
    for name, limit in (("--version", 6), ("--help", 15), ("list", 15), ("status", 15)):
        ratio = medians[name] / medians["bare"]
        yield Figure(f"`prj {name}` / `python -c pass`", f"{ratio:.1f}×", f"≤ {limit}×", ratio <= limit)
    yield from start_of_codebot(place, bare)


def start_of_codebot(place: Place, bare: Callable[[], None]) -> Iterator[Figure]:
    """The commands of codebot that ask nobody."""
    subprocess.run(["git", "init", "-q"], cwd=place.folder, check=True)

    def codebot(*words: str) -> None:
        subprocess.run(
            [BIN / "codebot", *words], cwd=place.folder, env=place.env, capture_output=True, check=True
        )

    words = (("--version", 6), ("--help", 15), ("list", 15), ("pending", 15))
    calls = {"bare": bare} | {word: (lambda word=word: codebot(word)) for word, _ in words}
    medians = interleaved(calls, 9 if QUICK else 25)
    for word, limit in words:
        ratio = medians[word] / medians["bare"]
        yield Figure(f"`codebot {word}` / `python -c pass`", f"{ratio:.1f}×", f"≤ {limit}×", ratio <= limit)


def first_step(place: Place) -> Iterator[Figure]:
    """From exec of `prj run` to the step's own process."""
    place.command("stamp", f'steps: [{{name: a, script: "date +%s.%N >{place.folder}/stamp"}}]')
    taken = []
    for _ in range(5 if QUICK else 15):
        began = time.time()
        place.prj("run", "stamp")
        taken.append(float((place.folder / "stamp").read_text()) - began)
    value = statistics.median(taken) * 1000
    yield Figure("exec of `prj run` to the step's process", f"{value:.0f} ms", "≤ 400 ms", value <= 400)


def many_steps(place: Place) -> Iterator[Figure]:
    """200 no-op steps, each event durable, beside runners that keep nothing."""
    count = 200
    steps = "\n".join(f"  - {{name: s{n}, script: ':'}}" for n in range(count))
    place.command("many", f"steps:\n{steps}\n")
    place.command("one", "steps: [{name: a, script: ':'}]")
    (place.folder / "dodo.py").write_text(
        f"def task_s():\n    for n in range({count}):\n"
        "        yield {'name': str(n), 'actions': ['bash -c :'], 'task_dep': [f's:{n - 1}'] if n else []}\n"
    )
    names = " ".join(f"s{n}" for n in range(count))
    recipes = "\n".join(f"s{n}:\n    @bash -c :" for n in range(count))
    (place.folder / "justfile").write_text(f"all: {names}\n{recipes}\n")
    (place.folder / "bare.sh").write_text("bash --noprofile --norc -c :\n" * count)
    (place.folder / "shells.sh").write_text("sh -c 'bash --noprofile --norc -c :'\n" * count)
    calls: dict[str, Callable[[], None]] = {
        "prj, 200 steps": lambda: place.prj("run", "many", "--json") and None,
        "prj, 1 step": lambda: place.prj("run", "one", "--json") and None,
        "the same processes started by a shell": lambda: sh(place, "sh", "shells.sh"),
    }
    if peers_ready():
        calls["doit (keeps only what succeeded)"] = lambda: sh(
            place, str(PEERS / "bin" / "doit"), "run", "s"
        )
        calls["just (keeps nothing)"] = lambda: sh(place, str(PEERS / "bin" / "just"), "all")
    medians = interleaved(calls, 3 if QUICK else 7)
    base = medians["the same processes started by a shell"]
    per = (
        (medians["prj, 200 steps"] - medians["prj, 1 step"] - base * (count - 1) / count)
        / (count - 1)
        * 1000
    )
    yield Figure("a no-op step over the cost of its process", f"{per:.1f} ms", "≤ 5 ms", per <= 5)
    for name, seconds in medians.items():
        if "1 step" not in name:
            yield Figure(f"200 no-op steps: {name}", f"{seconds / base:.1f}× the shell ({seconds:.2f} s)")


def sh(place: Place, *argv: str) -> None:
    subprocess.run(argv, cwd=place.folder, env=place.env, capture_output=True, check=True)


def peers_ready() -> bool:
    """Whether the other runners are installed; tried once."""
    if not (PEERS / "bin" / "doit").exists():
        pinned = ROOT / "requirements" / "bench.txt"
        subprocess.run([BIN / "uv", "venv", "-q", PEERS], check=False)
        install = [
            BIN / "uv",
            "pip",
            "install",
            "-q",
            "--python",
            PEERS / "bin" / "python",
            "--compile-bytecode",
        ]
        subprocess.run([*install, "--require-hashes", "-r", pinned], check=False)
    return (PEERS / "bin" / "doit").exists() and (PEERS / "bin" / "just").exists()


def large_output(place: Place) -> Iterator[Figure]:
    """A step that writes 1 GiB, against a plain redirect of the same."""
    size = 1 << 30
    write = f"head -c {size} /dev/zero | tr '\\\\0' x"
    place.command("large", f'steps: [{{name: a, script: "{write}"}}]')
    redirect = f"head -c {size} /dev/zero | tr '\\0' x >{place.folder}/redirected"
    calls: dict[str, Callable[[], None]] = {
        "redirect": lambda: sh(place, "bash", "-c", redirect),
        "prj": lambda: place.prj("run", "large", "--json") and None,
    }
    medians = interleaved(calls, 2 if QUICK else 3)
    ratio = medians["prj"] / medians["redirect"]
    yield Figure("a step that writes 1 GiB / a redirect to a file", f"{ratio:.1f}×", "≤ 3×", ratio <= 3)
    peak = largest_child(place)
    yield Figure("resident memory of that run", f"{peak:.0f} MB", "≤ 64 MB", peak <= 64)


def largest_child(place: Place) -> float:
    """The high-water mark of a `prj run large`, measured by a process that has no other children."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    argv = [sys.executable, "-c", code, str(BIN / "prj"), "run", "large", "--json"]
    done = subprocess.run(argv, cwd=place.folder, env=place.env, capture_output=True, text=True, check=True)
    return int(done.stdout) / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def many_runs(place: Place) -> Iterator[Figure]:
    """Eight `prj run` at once on one history, 100 steps each."""
    steps = "\n".join(f"  - {{name: s{n}, script: ':'}}" for n in range(100))
    place.command("hundred", f"steps:\n{steps}\n")
    argv = [str(BIN / "prj"), "run", "hundred", "--json"]
    children = [
        subprocess.Popen(
            argv, cwd=place.folder, env=place.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(8)
    ]
    answers = [(child.communicate(), child.returncode) for child in children]
    failed = sum(code != 0 for _, code in answers)
    from prunejuice.engine.stores.sqlite import SqliteStore

    store = SqliteStore(place.state / "prunejuice.db")
    lost = sum(
        203 - len(store.read_events(json.loads(out)["id"])) for (out, _), code in answers if code == 0
    )
    yield Figure("8 runs of 100 steps at once: lock errors", str(failed), "0", failed == 0)
    yield Figure("8 runs of 100 steps at once: lost events", str(lost), "0", lost == 0)


def status_of_many(place: Place) -> Iterator[Figure]:
    """`prj status` with 50 runs in a repository, some with worktrees and sessions."""
    repository = trees.repository(place.folder / "fifty", 20)
    steps = "[{name: a, script: 'echo $PRUNEJUICE_RUN_ID > b.txt'}]"
    place.command("fifty", f"pre_steps: [create-worktree, start-session]\nsteps: {steps}")
    inside = place._replace(env={**place.env, "PRUNEJUICE_TMUX_SOCKET": "prj-bench"})
    argv = [BIN / "prj", "run", "fifty", "-n", "50", "--json"]
    subprocess.run(argv, cwd=repository, env=inside.env, capture_output=True, check=True)

    def status() -> None:
        subprocess.run(
            [BIN / "prj", "status"], cwd=repository, env=inside.env, capture_output=True, check=True
        )

    def bare() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True)

    medians = interleaved({"bare": bare, "status": status}, 9 if QUICK else 25)
    ratio = medians["status"] / medians["bare"]
    yield Figure("`prj status` of 50 runs / `python -c pass`", f"{ratio:.1f}×", "≤ 20×", ratio <= 20)
    for name, count in trees.status_calls(inside.env, repository).items():
        yield Figure(f"its calls of {name}", str(count), "≤ 1", count <= 1)
    subprocess.run(["tmux", "-L", "prj-bench", "kill-server"], capture_output=True, check=False)


def steps_in_a_repository(place: Place) -> Iterator[Figure]:
    """What a step costs in a git repository, beside its process alone."""
    count = 20 if QUICK else 100
    (place.folder / "bare.sh").write_text("bash --noprofile --norc -c :\n" * count)
    for name, script in (("same", ":"), ("changing", "echo $RANDOM > counted.txt")):
        steps = "\n".join(f"  - {{name: s{n}, script: '{script}'}}" for n in range(count))
        place.command(name, f"steps:\n{steps}\n")
        place.command(f"{name}-once", f"steps: [{{name: s, script: '{script}'}}]\n")
    for name, files, wanted, what in (
        ("same", 20, 3, "that changed nothing"),
        ("changing", 20, 8, "that changed a file of 20"),
        ("changing", 5000, 12, "that changed a file of 5,000"),
    ):
        where = place._replace(folder=trees.repository(place.folder / f"{name}-{files}", files))
        calls: dict[str, Callable[[], None]] = {
            "steps": lambda name=name, where=where: where.prj("run", name) and None,
            "step": lambda name=name, where=where: where.prj("run", f"{name}-once") and None,
            "bare": lambda: sh(place, "bash", "bare.sh"),
        }
        medians = interleaved(calls, 2 if QUICK else 5)
        ratio = (medians["steps"] - medians["step"]) / (count - 1) / (medians["bare"] / count)
        yield Figure(f"a step {what} / its process", f"{ratio:.1f}×", f"≤ {wanted}×", ratio <= wanted)


def worktrees(place: Place) -> Iterator[Figure]:
    """Creation, removal, survey, crowds and deaths."""
    os.environ["PRUNEJUICE_HOME"] = place.env["PRUNEJUICE_HOME"]
    folder = place.folder / "trees"
    count = 10 if QUICK else 50
    ours, plain = trees.creation(folder, count)
    what = f"{count} worktrees of 5,000 files / plain `git worktree add`"
    yield Figure(what, f"{ours / plain:.2f}×", "≤ 1.1×", ours / plain <= 1.1)
    removed = trees.removal(folder, count) * 1000
    yield Figure("removal of one returns after", f"{removed:.0f} ms", "≤ 50 ms", removed <= 50)
    seconds, _ = trees.survey(folder)
    yield Figure("radar over 10 of them", f"{seconds:.2f} s", "≤ 0.5 s", seconds <= 0.5)
    crowd = trees.crowd(folder, 100 if QUICK else 1000)
    yield Figure(f"{crowd.made} creations, 10 at a time: failed", str(crowd.failed), "0", crowd.failed == 0)
    yield Figure("branches without a worktree after them", str(crowd.orphans), "0", crowd.orphans == 0)
    other = trees.plain_crowd(folder, 100 if QUICK else 300)
    yield Figure(f"{other.made} with plain git: failed, branches left", f"{other.failed}, {other.orphans}")
    killed = trees.kills(folder, 20 if QUICK else 200, random.Random(time.time_ns()))
    yield Figure(
        "SIGKILLs while one is made and removed", str(killed.kills), "≥ 200", killed.kills >= 200 or QUICK
    )
    for name, words in (
        ("blocked", "commands that did not go on"),
        ("debris", "half-made left"),
        ("lost", "work lost"),
    ):
        value = getattr(killed, name)
        yield Figure(f"{words} after them", str(value), "0", value == 0)


def changes(place: Place) -> Iterator[Figure]:
    """Several files at once, all or none; beside `git apply` and a loop of writes."""
    for count, (ours, plain) in sets.times(place.folder / "changes").items():
        limit = 60 if count == 1 else 400
        what = f"a change set of {count} file{'s' if count > 1 else ''}"
        yield Figure(
            what,
            f"{ours:.0f} ms ({ours / plain:.1f}× writing them and sync)",
            f"≤ {limit} ms",
            ours <= limit,
        )
    if shutil.which("strace"):
        for who, found in sets.everyone():
            ok = found.after == 0 if "set" in who else None
            told = f"{found.torn} torn, {found.after} after the next command"
            yield Figure(
                f"{found.points} SIGKILLs, one at each call of {who}",
                told,
                "0 after" if ok is not None else "",
                ok,
            )
    points, torn = sets.at_every_call()
    yield Figure(
        "killed before and after each call, in four ways to sync and rename",
        f"{torn} torn of {points}",
        "0 of ≥ 150",
        torn == 0,
    )
    points, torn, told = sets.errors()
    yield Figure(
        "each call fails once, or from then on, with five errors",
        f"{torn} torn of {points}, {told} told wrongly",
        "0",
        torn + told == 0,
    )
    seen, torn = sets.twice(50 if QUICK else 500)
    yield Figure(
        "killed, and killed again while that is repaired", f"{torn} torn of {seen}", "0 of ≥ 500", torn == 0
    )
    states, bad, noticed = sets.power()
    yield Figure(
        "states that a power failure may leave", f"{bad} torn or lost of {states}", "0 of ≥ 400", bad == 0
    )
    yield Figure(
        "waits for the disk left out on purpose, and found out", f"{noticed} of 5", "5 of 5", noticed == 5
    )


def kills(_place: Place) -> Iterator[Figure]:
    """SIGKILL the driver at random moments."""
    runs = 20 if QUICK else 150
    argv = [sys.executable, str(ROOT / "bench" / "kill.py"), str(runs)]
    found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    many = found["kills"]
    yield Figure("SIGKILLs of a driver at random moments", str(many), "≥ 200", many >= 200 or QUICK)
    for key, words in (
        ("lost", "runs lost"),
        ("repeated", "finished steps repeated"),
        ("left_over", "processes left over"),
        ("stuck", "runs stuck"),
    ):
        yield Figure(f"{words} after them", str(found[key]), "0", found[key] == 0)


def contexts(place: Place) -> Iterator[Figure]:
    """Contexts of a large repository; how good they are is measured by bench/contexts.py."""
    yield from (Figure(*figure) for figure in clips.figures(place.folder, place.env))


MEASUREMENTS = (
    start_up,
    first_step,
    many_steps,
    large_output,
    many_runs,
    status_of_many,
    steps_in_a_repository,
    worktrees,
    changes,
    kills,
    contexts,
)

if __name__ == "__main__":
    shutil.which("bash") or sys.exit("bash is needed")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
