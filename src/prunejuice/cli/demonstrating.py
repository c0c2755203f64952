"""`prj demo`: three runs at once on a real repository, one killed and resumed; no key, no network."""

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click

from prunejuice import git as gits
from prunejuice import lock, process, settings
from prunejuice.cli import render
from prunejuice.errors import PruneJuiceError
from prunejuice.git import Git
from prunejuice.history import History
from prunejuice.stores.sqlite import SqliteStore
from prunejuice.text import safe_text

BUGS = ("rounding", "discount", "empty")


@click.command("demo")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Make everything in this new folder, and leave it there.",
)
def demo_command(*, keep: Path | None) -> None:
    """See it work: three runs at once, one killed on purpose and resumed.

    Everything happens in a folder of its own, with a history of its own. A recorded patch stands in
    for a coding agent; the repository, the worktrees, the tests and the kill are real.
    """
    if keep is not None:
        keep.mkdir(parents=True)
        _Demo(keep.resolve()).play()
        return
    with tempfile.TemporaryDirectory(prefix="prunejuice-demo-") as folder:
        _Demo(Path(folder).resolve()).play()


class _Demo(NamedTuple):
    folder: Path

    @property
    def repository(self) -> Path:
        return self.folder / "shop"

    @property
    def environ(self) -> dict[str, str]:
        plain = {k: v for k, v in settings.environment().items() if not k.startswith("GIT_")}
        return {**plain, "PRUNEJUICE_HOME": str(self.folder / "state")}

    @property
    def history(self) -> History:
        home = self.folder / "state"
        return History(home, SqliteStore(home / "prunejuice.db"))

    def git(self) -> Git:
        return gits.git(self.repository, self.environ)

    def play(self) -> None:
        began = time.monotonic()
        _title("A small repository with three failing tests")
        self.make_repository()
        self.prj("trust")
        self.prj("list")
        _title("Three runs at once, each in its own worktree")
        runs = {bug: self.start(bug) for bug in BUGS}
        _title("One of them is killed on purpose (SIGKILL) in the middle of a step")
        self.kill(runs["discount"])
        self.prj("status")
        _title("It goes on where it was: finished steps are not repeated")
        self.prj("resume", runs["discount"])
        self.wait(list(runs.values()))
        _title("What came of it")
        self.prj("status")
        for bug in BUGS:
            self.show_diff(bug, runs[bug])
        render.say(f"that took {render.seconds(time.monotonic() - began)}")

    def make_repository(self) -> None:
        self.repository.mkdir()
        git = self.git()
        git.run("init", "--quiet", "--initial-branch=main")
        git.run("apply", "--index", str(Path(__file__).parents[1] / "demo" / "project.patch"))
        who = ("-c", "user.name=demo", "-c", "user.email=demo@localhost")
        git.try_(*who, "commit", "--quiet", "--message", "A shop with three bugs")
        render.out(git.run("log", "--oneline", "--stat", "--format=%h %s").rstrip())

    def prj(self, *args: str) -> str:
        """Run `prj` as a user would; show what it says on stdout, and return it."""
        render.out(click.style(f"$ prj {' '.join(args)}", fg="cyan"))
        argv = [*process.OURSELVES, *args]
        done = process.capture(process.Call(argv, self.repository, self.environ, timeout=60))
        render.out(safe_text(done.out).rstrip())
        if done.code:
            raise PruneJuiceError(f"prj {args[0]} ended with {done.code}: {safe_text(done.err)}")
        return done.out.decode()

    def start(self, bug: str) -> str:
        python = f"python={process.python()}"
        return self.prj("run", "fix-bug", f"bug={bug}", python, "--detach").strip()

    def kill(self, run_id: str) -> None:
        """SIGKILL the driver while the step `fix` is at work."""
        history = self.history
        until = time.monotonic() + 20
        while not any(v.step == "fix" for v in history.load(run_id).running()):
            if time.monotonic() > until:
                raise PruneJuiceError(f"run {run_id} never came to its step 'fix'")
            time.sleep(0.02)
        pid = lock.holder(history.lock(run_id))
        if pid:
            render.out(click.style(f"$ kill -9 {pid}", fg="cyan"))
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def wait(self, run_ids: list[str]) -> None:
        until = time.monotonic() + 60
        while any(self.history.load(r).status == "running" for r in run_ids):
            if time.monotonic() > until:
                raise PruneJuiceError("the runs did not end")
            time.sleep(0.1)

    def show_diff(self, bug: str, run_id: str) -> None:
        run = self.history.load(run_id)
        if run.status != "completed":
            raise PruneJuiceError(f"run {run_id} is {run.status}: {run.error}")
        base, branch = run.workspace.base, run.workspace.branch
        render.out(click.style(f"{bug} on branch {branch}", bold=True))
        changes = ("diff", "--no-ext-diff", "--unified=0", base, branch, "--")
        for line in safe_text(self.git().run(*changes)).splitlines():
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
                render.out(click.style(line, fg="green" if line[0] == "+" else "red"))


def _title(text: str) -> None:
    render.out("")
    render.out(click.style(text, bold=True))
