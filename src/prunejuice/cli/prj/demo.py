"""Run a demonstration: from a backlog to landed work, with one run killed and resumed.

Everything happens in a temporary folder with its own history. Scripted answers stand in for a coding
agent, one of them wrong at first; the repository, the worktrees, the tests and the kill are real.
"""

import os
import shlex
import signal
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click

from prunejuice.cli import render
from prunejuice.engine.history import RunHistory
from prunejuice.engine.stores.registry import open_store
from prunejuice.errors import PruneJuiceError
from prunejuice.system import lock, process, settings
from prunejuice.text import safe_text
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.git import Git

_BACKLOG = """\
1. Round half a cent up: with_tax(50, 19) is 59, and should be 60.
2. Limit a discount to everything: discounted(1000, 120) is negative.
"""
_REFUND = "Refund as much as was paid: with_tax(-50, 19) is -59, and should be -60."


@click.command("demo")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Create everything in this new folder and keep it.",
)
def demo_command(*, keep: Path | None) -> None:
    if keep is not None:
        keep.mkdir(parents=True)
        _Demo(keep.resolve()).play()
        return
    with tempfile.TemporaryDirectory(prefix="prunejuice-demo-") as folder:
        _Demo(Path(folder).resolve()).play()


class _Demo(NamedTuple):
    """A demonstration in a folder, with its own repository and run history."""

    folder: Path

    @property
    def repository(self) -> Path:
        return self.folder / "shop"

    @property
    def environ(self) -> dict[str, str]:
        # GIT_DIR and the like would point the demonstration at the caller's repository.
        variables = {
            name: value
            for name, value in settings.environment().items()
            if not name.startswith(("GIT_", "PRUNEJUICE_"))
        }
        own = {
            "PRUNEJUICE_HOME": str(self.folder / "state"),
            "PRUNEJUICE_CONFIG": str(self.folder / "config"),
            "PRUNEJUICE_AGENT": "scripted",
            "PRUNEJUICE_SCRIPT": str(Path(__file__).with_name("demo-answers.yaml")),
        }
        return {**variables, **own}

    @property
    def history(self) -> RunHistory:
        home = self.folder / "state"
        return RunHistory(home, open_store(home, {}))

    def open_git(self) -> Git:
        return gits.open_git(self.repository, self.environ)

    def play(self) -> None:
        """Create the repository, solve three tasks, kill and resume one, review, and land the work."""
        start = time.monotonic()
        _show_title("A small repository with a backlog")
        self.make_repository()
        self.run_prj("init")
        _show_title("An agent for each task, each in its own worktree, checked by the tests")
        runs = self.run_prj("solve", "--from", "../backlog.md", "--detach").split()
        killed = self.run_prj("solve", "--prompt", _REFUND, "--detach").strip()
        _show_title("Kill one of them on purpose (SIGKILL), in the middle of a step")
        self.kill_driver(killed)
        self.run_prj("status")
        _show_title("Resume it where it was: completed steps are not repeated")
        self.run_prj("resume", killed)
        self.wait_for_runs([*runs, killed])
        _show_title("Three change sets wait for a review; two of them would conflict")
        self.run_prj("status")
        self.run_prj("compare", *runs, killed)
        self.run_prj("conflicts")
        _show_title("Review one, and land two: merged, tested, and only then on the branch")
        self.run_prj("diff", runs[1])
        self.run_prj("review", runs[1], "--yes")
        self.run_prj("land", *runs, "--yes")
        self.run_prj("status")
        render.print_line(self.open_git().run("log", "--oneline", "--format=%h %s").rstrip())
        render.print_message(f"finished in {render.format_duration(time.monotonic() - start)}")

    def make_repository(self) -> None:
        self.repository.mkdir()
        git = self.open_git()
        git.run("init", "--quiet", "--initial-branch=main")
        git.run("apply", "--index", str(Path(__file__).with_name("demo-project.patch")))
        for name, value in (("user.name", "demo"), ("user.email", "demo@localhost")):
            git.run("config", name, value)
        author = ("-c", "user.name=demo", "-c", "user.email=demo@localhost")
        git.try_run(*author, "commit", "--quiet", "--message", "A shop with three open tasks")
        render.print_line(git.run("log", "--oneline", "--stat", "--format=%h %s").rstrip())
        (self.folder / "backlog.md").write_text(_BACKLOG)
        render.print_line(f"\nbacklog.md:\n{_BACKLOG.rstrip()}")

    def run_prj(self, *args: str) -> str:
        """Run `prj` as a user would; print its stdout and return it."""
        render.print_line(click.style(f"$ prj {shlex.join(args)}", fg="cyan"))
        argv = [*process.SELF_ARGV, *args]
        result = process.capture_output(
            process.ProcessSpec(argv, self.repository, self.environ, timeout=60)
        )
        render.print_line(safe_text(result.stdout).rstrip())
        if result.code:
            raise PruneJuiceError(f"prj {args[0]} exited with {result.code}: {safe_text(result.stderr)}")
        return result.stdout.decode()

    def kill_driver(self, run_id: str) -> None:
        """Kill the driver with SIGKILL while the step `solve` is running."""
        history = self.history
        deadline = time.monotonic() + 20
        while not any(visit.step == "solve" for visit in history.load_run(run_id).running_visits()):
            if time.monotonic() > deadline:
                raise PruneJuiceError(f"run {run_id} did not reach step 'solve'")
            time.sleep(0.02)
        pid = lock.holder_pid(history.lock_path(run_id))
        if pid:
            render.print_line(click.style(f"$ kill -9 {pid}", fg="cyan"))
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def wait_for_runs(self, run_ids: list[str]) -> None:
        deadline = time.monotonic() + 60
        while any(self.history.load_run(run_id).status == "running" for run_id in run_ids):
            if time.monotonic() > deadline:
                raise PruneJuiceError("the runs did not end in time")
            time.sleep(0.1)


def _show_title(text: str) -> None:
    render.print_line("")
    render.print_line(click.style(text, bold=True))
