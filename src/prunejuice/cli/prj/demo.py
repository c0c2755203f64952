"""Run a demonstration: three runs at once, one killed and resumed.

Everything happens in a temporary folder with its own history. A recorded patch stands in for a coding
agent; the repository, the worktrees, the tests and the kill are real.
"""

import os
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

BUGS = ("rounding", "discount", "empty")


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
            name: value for name, value in settings.environment().items() if not name.startswith("GIT_")
        }
        return {**variables, "PRUNEJUICE_HOME": str(self.folder / "state")}

    @property
    def history(self) -> RunHistory:
        home = self.folder / "state"
        return RunHistory(home, open_store(home, {}))

    def open_git(self) -> Git:
        return gits.open_git(self.repository, self.environ)

    def play(self) -> None:
        """Create the repository, start the runs, kill and resume one, and show the results."""
        start = time.monotonic()
        _show_title("A small repository with three failing tests")
        self.make_repository()
        self.run_prj("trust")
        self.run_prj("list")
        _show_title("Three runs at once, each in its own worktree")
        runs = {bug: self.start_run(bug) for bug in BUGS}
        _show_title("Kill one of them on purpose (SIGKILL), in the middle of a step")
        self.kill_driver(runs["discount"])
        self.run_prj("status")
        _show_title("Resume it where it was: completed steps are not repeated")
        self.run_prj("resume", runs["discount"])
        self.wait_for_runs(list(runs.values()))
        _show_title("The result")
        self.run_prj("status")
        for bug in BUGS:
            self.show_diff(bug, runs[bug])
        render.print_message(f"finished in {render.format_duration(time.monotonic() - start)}")

    def make_repository(self) -> None:
        self.repository.mkdir()
        git = self.open_git()
        git.run("init", "--quiet", "--initial-branch=main")
        git.run("apply", "--index", str(Path(__file__).with_name("demo-project.patch")))
        author = ("-c", "user.name=demo", "-c", "user.email=demo@localhost")
        git.try_run(*author, "commit", "--quiet", "--message", "A shop with three bugs")
        render.print_line(git.run("log", "--oneline", "--stat", "--format=%h %s").rstrip())

    def run_prj(self, *args: str) -> str:
        """Run `prj` as a user would; print its stdout and return it."""
        render.print_line(click.style(f"$ prj {' '.join(args)}", fg="cyan"))
        argv = [*process.SELF_ARGV, *args]
        result = process.capture_output(
            process.ProcessSpec(argv, self.repository, self.environ, timeout=60)
        )
        render.print_line(safe_text(result.stdout).rstrip())
        if result.code:
            raise PruneJuiceError(f"prj {args[0]} exited with {result.code}: {safe_text(result.stderr)}")
        return result.stdout.decode()

    def start_run(self, bug: str) -> str:
        python = f"python={process.python_executable()}"
        return self.run_prj("run", "fix-bug", f"bug={bug}", python, "--detach").strip()

    def kill_driver(self, run_id: str) -> None:
        """Kill the driver with SIGKILL while the step `fix` is running."""
        history = self.history
        deadline = time.monotonic() + 20
        while not any(visit.step == "fix" for visit in history.load_run(run_id).running_visits()):
            if time.monotonic() > deadline:
                raise PruneJuiceError(f"run {run_id} did not reach step 'fix'")
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

    def show_diff(self, bug: str, run_id: str) -> None:
        run = self.history.load_run(run_id)
        if run.status != "completed":
            raise PruneJuiceError(f"run {run_id} is {run.status}: {run.error}")
        base, branch = run.workspace.base, run.workspace.branch
        render.print_line(click.style(f"{bug} on branch {branch}", bold=True))
        changes = ("diff", "--no-ext-diff", "--unified=0", base, branch, "--")
        for line in safe_text(self.open_git().run(*changes)).splitlines():
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
                render.print_line(click.style(line, fg="green" if line[0] == "+" else "red"))


def _show_title(text: str) -> None:
    render.print_line("")
    render.print_line(click.style(text, bold=True))
