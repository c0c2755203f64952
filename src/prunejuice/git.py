"""The one door to git: an absolute program that runs no hook, pager, signer or helper of a repository."""

from pathlib import Path
from typing import NamedTuple

from prunejuice import process
from prunejuice.errors import GitError, MissingToolError, UsageError
from prunejuice.protocols import Stop
from prunejuice.text import safe_line

# A repository's own configuration can name programs; none of them runs in our name.
_OFF = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.sshCommand", "false"),
    ("core.askPass", "true"),
    ("core.editor", "true"),
    ("core.pager", "cat"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("gpg.program", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("submodule.recurse", "false"),
    ("protocol.ext.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("gc.auto", "0"),
)


class Git(NamedTuple):
    """Git for one working tree; `stop` ends what it is at."""

    program: str
    directory: str
    environ: dict[str, str]
    stop: Stop | None = None

    def run(self, *args: str, timeout: float = 120, limit: int = 16 << 20) -> str:
        """What git answers.

        Raises:
            GitError: it refused; carries what it said.
        """
        done = self.try_(*args, timeout=timeout, limit=limit)
        if done.code:
            said = safe_line(done.err.strip() or done.out.strip() or b"no reason given", 400)
            raise GitError(f"git {args[0]} failed in {self.directory}: {said}")
        if done.cut:
            raise GitError(f"git {args[0]} says more than {limit >> 20} MiB in {self.directory}")
        return done.out.decode("utf-8", "surrogateescape")

    def try_(self, *args: str, timeout: float = 120, limit: int = 16 << 20) -> process.Captured:
        """The same, with its exit code instead of an error."""
        call = process.Call([self.program, *args], self.directory, self._env(), timeout)
        return process.capture(call, limit, self.stop)

    def write(self, target: Path, *args: str, timeout: float = 600) -> None:
        """Put what git answers into a file, however much it is.

        Raises:
            GitError: it refused; carries what it said.
        """
        said = bytearray()
        call = process.Call([self.program, *args], self.directory, self._env(), timeout)
        with target.open("wb") as file:
            ended = process.run(call, file.write, self.stop, said.extend)
        if ended.code:
            raise GitError(f"git {args[0]} failed in {self.directory}: {safe_line(bytes(said), 400)}")

    def _env(self) -> dict[str, str]:
        env = {
            **self.environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
            "GIT_CONFIG_COUNT": str(len(_OFF)),
        }
        for number, (key, value) in enumerate(_OFF):
            env[f"GIT_CONFIG_KEY_{number}"] = key
            env[f"GIT_CONFIG_VALUE_{number}"] = value
        return env

    def at(self, directory: str | Path) -> "Git":
        """Git for another working tree."""
        return self._replace(directory=str(directory))

    def with_index(self, index: Path) -> "Git":
        """The same with another index, so that the user's own is not touched."""
        return self._replace(environ={**self.environ, "GIT_INDEX_FILE": str(index)})

    def is_repository(self) -> bool:
        """Whether there is a repository around the directory."""
        return self.try_("rev-parse", "--git-dir").code == 0

    def common_dir(self) -> Path:
        """The git directory that all worktrees of the repository share."""
        found = self.run("rev-parse", "--path-format=absolute", "--git-common-dir")
        return Path(found.rstrip("\n"))

    def main_worktree(self) -> Path:
        """The working tree that the repository was made with."""
        first = self.run("worktree", "list", "--porcelain", "-z").split("\0")[0]
        return Path(first.removeprefix("worktree "))

    def head(self) -> str:
        """The commit that is checked out.

        Raises:
            UsageError: there is none yet.
        """
        done = self.try_("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if done.code:
            raise UsageError(f"{self.directory} has no commit yet", "commit something first")
        return done.out.decode().strip()

    def branch(self) -> str:
        """The branch that is checked out; empty when none is."""
        return self.try_("symbolic-ref", "--quiet", "--short", "HEAD").out.decode().strip()

    def resolve(self, ref: str) -> str:
        """The commit of a ref; empty when there is no such ref."""
        done = self.try_("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return done.out.decode().strip() if done.code == 0 else ""

    def is_clean(self) -> bool:
        """Whether nothing is changed and nothing untracked, ignored files aside."""
        asked = ("--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=all")
        return not self.run("status", *asked)


def git(directory: str | Path, environ: dict[str, str], stop: Stop | None = None) -> Git:
    """Git for the repository around a directory; `stop` ends what it is at.

    Raises:
        MissingToolError: git is not installed.
    """
    try:
        program = process.which("git", environ.get("PATH"))
    except MissingToolError as error:
        raise MissingToolError(error.message, "install git 2.31 or newer") from error
    kept = {k: v for k, v in environ.items() if not k.startswith("GIT_")}
    return Git(program, str(directory), kept, stop=stop)
