"""What a sandbox costs: starting a process in it, beside the plain process; written to bench/SANDBOX.md.

    python bench/sandbox.py [--quick]      # --quick: few rounds, writes nothing

All figures are of one run on one machine. A program that cannot make a sandbox here is named and left out.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prunejuice.environments.tree_policy import TreeAccess, make_policy
from prunejuice.sandbox.permissions import Containment, Mode, Permissions
from prunejuice.sandbox.programs.protocol import SandboxProgram
from prunejuice.sandbox.programs.registry import EXTENSIONS
from prunejuice.sandbox.sandbox import Sandbox
from prunejuice.system import process
from prunejuice.system.deletion import delete_folder
from prunejuice.system.process import ProcessSpec
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import git_quarantine

QUICK = "--quick" in sys.argv
ROUNDS = 5 if QUICK else 40
TARGET = Path(__file__).with_name("SANDBOX.md")


def measure(call: Callable[[], object]) -> tuple[float, float]:
    """Return the median and the largest milliseconds of some rounds, after one that is not counted."""
    call()
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken), max(taken)


def make_worktree(folder: Path) -> Path:
    """Make a repository with a worktree."""
    repository, worktree = folder / "shop", folder / "worktree"
    repository.mkdir()

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for number in range(200):
        (repository / f"{number}.txt").write_text("text\n")
    git("add", ".")
    git("-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "one")
    git("worktree", "add", "-q", str(worktree), "-b", "job")
    return worktree


def start(worktree: Path, environ: dict[str, str], program: SandboxProgram | None, mode: Mode) -> None:
    """Run `true` in a worktree as a step does: with its policy, its private folders and its network."""
    call = ProcessSpec(["true"], worktree, environ, 30)
    if program is not None:
        access = TreeAccess(worktree, worktree, environ)
        hosts = ("example.org",) if mode == "files+net" else ()
        policy = make_policy(Containment(mode, Permissions(hosts=hosts)), access)
        call = call._replace(sandbox=Sandbox(program, policy, worktree.parent / "folders").enter)
    assert process.capture_output(call).code == 0


def commit(worktree: Path, environ: dict[str, str]) -> None:
    """Make and take over a quarantine: what a step that can commit costs besides."""
    git = gits.open_git(str(worktree), environ).locate()
    quarantine = git_quarantine.open_quarantine(git, worktree.parent / "quarantine")
    git_quarantine.take_over(quarantine)
    delete_folder(quarantine.folder)


def table(folder: Path) -> list[str]:
    """Return the rows of the table."""
    worktree = make_worktree(folder)
    (folder / "home").mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "PRUNEJUICE_HOME": str(folder / "state"),
    }
    plain, _ = measure(lambda: start(worktree, environ, None, "off"))
    rows = [f"| the plain process | {plain:.1f} ms | |"]
    for name in EXTENSIONS.names():
        program: SandboxProgram = EXTENSIONS.load(name)()
        problem, _ = program.find_problem(os.environ)
        if problem:
            rows.append(f"| {name} | left out: {problem} | |")
            continue
        modes: tuple[Mode, ...] = ("files", "files+net") if program.network != "own" else ("files+net",)
        for mode in modes:
            middle, _ = measure(lambda program=program, mode=mode: start(worktree, environ, program, mode))
            aim = " (aim: 20)" if name == "bwrap" else ""
            rows.append(f"| {name}, `{mode}` | {middle:.1f} ms | +{middle - plain:.1f} ms{aim} |")
    middle, _ = measure(lambda: commit(worktree, environ))
    rows.append(f"| a quarantine for commits, made and taken over | {middle:.1f} ms | |")
    return rows


def main() -> None:
    """Measure, print, and write the report unless it is quick."""
    with tempfile.TemporaryDirectory(prefix="prj-bench-") as name:
        rows = table(Path(name).resolve())
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    text = "\n".join([
        "# The cost of a sandbox",
        "",
        f"`make bench-sandbox`, medians of {ROUNDS} starts of `true` in one run; {machine}.",
        "",
        "| what | time | over the plain process |",
        "|---|---|---|",
        *rows,
        "",
    ])  # fmt: skip
    print(text)
    if not QUICK:
        TARGET.write_text(text)


if __name__ == "__main__":
    main()
