"""Run git without running any program that a repository names.

There are two kinds of access. `Git` reads commits, refs and worktrees: `GIT_DIR` is explicit, located once,
and every setting that could start a program is overridden. `Git.with_clean_config` works on files: it uses
a git directory of ours with its own configuration and attributes, so that filters, merge drivers and file
monitors of the repository do not exist. Programs in the *user's* configuration, such as Git LFS, still
work.
"""

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from prunejuice.errors import GitError, MissingToolError, UsageError
from prunejuice.system import process, settings
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line
from prunejuice.workflow.workspace import Workspace
from prunejuice.worktrees.clean_git_dir import SPARSE_PATTERNS, ensure_clean_git_dir, read_optional

MINIMUM_VERSION = (2, 38)
"""The first version with `git merge-tree --write-tree`, which merges without a working tree."""
DEFAULT_AUTHOR = "PruneJuice <prunejuice@localhost>"

# The configuration of a repository can name programs to run; these values override all of them.
_DISABLED_CONFIG = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.sshCommand", "false"),
    ("core.gitProxy", ""),
    ("core.askPass", "true"),
    ("core.editor", "true"),
    ("core.pager", "cat"),
    ("core.alternateRefsCommand", "true"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("diff.ignoreSubmodules", "all"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("log.showSignature", "false"),
    ("submodule.recurse", "false"),
    ("protocol.ext.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("core.safecrlf", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)
_NETWORK_CONFIG = ("core.sshCommand", "core.gitProxy", "core.askPass", "credential.helper")
"""Settings that keep the user's value for network access, where the repository's is not read."""
# Settings about files that are taken from the repository; none of them names a program.
_ALLOWED_CONFIG = (
    "core.filemode",
    "core.symlinks",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.autocrlf",
    "core.eol",
    "core.bigfilethreshold",
    "core.excludesfile",
    "core.protecthfs",
    "core.protectntfs",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
)
_FIXES = (
    (re.compile(r"Unable to create '([^']+\.lock)': File exists"), r"if no other git runs here, delete \1"),
    (
        re.compile(r"'refs/heads/([^']+)' exists; cannot create"),
        r"choose a branch name that does not begin with \1/, or rename the branch \1",
    ),
    (
        re.compile(r"(git-[a-z-]+)[^:]{0,200}: (?:\d+: )?git-[a-z-]+: (?:command )?not found"),
        r"install \1, which the repository's filters need, or remove it with `\1 uninstall`",
    ),
)
"""Words of git, and what to do about them."""
WORKTREE_CONFIG = "config.worktree"
"""The file in the git directory of a worktree with its own settings."""
_config_cache: dict[tuple[Any, ...], tuple[tuple[tuple[str, str], ...], str]] = {}


class Git(NamedTuple):
    """Git for one working tree.

    `stop` ends running processes; `pass_fds` are file descriptors that they inherit. `git_dir` and `common`
    are empty until `locate`. `main_worktree` is the main working tree, empty in a bare repository.
    `protocols` are the transports that git may use, separated by colons; empty allows none.
    """

    program: str
    directory: str
    environ: dict[str, str]
    stop: Stop | None = None
    git_dir: str = ""
    common: str = ""
    main_worktree: str = ""
    extra_config: tuple[tuple[str, str], ...] = ()
    pass_fds: tuple[int, ...] = ()
    protocols: str = ""

    def run(self, *args: str, given: bytes = b"", timeout: float = 120, limit: int = 16 << 20) -> str:
        """Run git and return its output.

        `given` is the standard input, `timeout` is in seconds, `limit` is in bytes.

        Raises:
            GitError: git failed, or printed more than `limit`; the message has git's own.
        """
        result = self.try_run(*args, given=given, timeout=timeout, limit=limit)
        if result.code:
            reason = safe_line(result.stderr.strip() or result.stdout.strip() or b"no reason given", 400)
            found = ((pattern.search(reason), fix) for pattern, fix in _FIXES)
            fix = next((match.expand(fix) for match, fix in found if match), "")
            raise GitError(f"git {args[0]} failed in {self.directory}: {reason}", fix)
        if result.truncated:
            raise GitError(f"git {args[0]} printed more than {limit >> 20} MiB in {self.directory}")
        return result.stdout.decode("utf-8", "surrogateescape")

    def try_run(
        self, *args: str, given: bytes = b"", timeout: float = 120, limit: int = 16 << 20
    ) -> process.CapturedOutput:
        """Run git and return its output and exit code; do not raise when it fails."""
        return process.capture_output(self._build_call(args, timeout, given), limit, self.stop)

    def run_to_file(self, target: Path, *args: str, timeout: float = 600) -> None:
        """Run git and write its output to a file, without a size limit.

        Raises:
            GitError: git failed; the message has git's own.
        """
        stderr = bytearray()
        with target.open("wb") as file:
            exit_status = process.run(self._build_call(args, timeout), file.write, self.stop, stderr.extend)
        if exit_status.code:
            raise GitError(f"git {args[0]} failed in {self.directory}: {safe_line(bytes(stderr), 400)}")

    def _build_call(self, args: tuple[str, ...], timeout: float, given: bytes = b"") -> process.ProcessSpec:
        argv = [self.program, *args]
        return process.ProcessSpec(
            argv, self.directory, self._environment(), timeout, stdin=given, pass_fds=self.pass_fds
        )

    def _environment(self) -> dict[str, str]:
        disabled = [
            setting
            for setting in _DISABLED_CONFIG
            if not (self.protocols and setting[0] in _NETWORK_CONFIG)
        ]
        config = (*disabled, *self.extra_config)
        env = {
            **self.environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": self.protocols or "none",
            "LC_ALL": "C",
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        if self.git_dir:
            env |= {"GIT_WORK_TREE": self.directory, "GIT_DIR": self.git_dir, "GIT_COMMON_DIR": self.common}
        for number, (key, value) in enumerate(config):
            env[f"GIT_CONFIG_KEY_{number}"] = key
            env[f"GIT_CONFIG_VALUE_{number}"] = value
        return env

    # -- location -------------------------------------------------------------------------------

    def with_network(self) -> "Git":
        """Return git that may reach remotes, under a configuration without the repository's settings.

        The user's credential helpers and ssh settings are used.
        """
        clean = self.with_clean_config(Path(self.git_dir) / "index", exact=True)
        return clean._replace(protocols="file:http:https:ssh")

    def is_repository(self) -> bool:
        """Return whether the directory is in the working tree of a repository."""
        return bool(self.git_dir) or self.try_run("rev-parse", "--show-toplevel").code == 0

    def locate(self) -> "Git":
        """Return git bound to the working tree around the directory; later calls search for nothing.

        Raises:
            UsageError: the directory is in no working tree, or `core.worktree` points elsewhere.
        """
        if self.git_dir:
            return self
        flags = ("--show-toplevel", "--git-dir", "--git-common-dir")
        result = self.try_run("rev-parse", "--path-format=absolute", *flags)
        if result.code:
            self._raise_no_repository()
        lines = os.fsdecode(result.stdout).splitlines()
        if len(lines) != len(flags):  # a path contains a line break
            answers = (self.run("rev-parse", "--path-format=absolute", flag) for flag in flags)
            lines = [line.removesuffix("\n") for line in answers]
        top, git_dir, common = lines
        if not _belongs_to(Path(top), Path(git_dir)):
            raise UsageError(
                f"core.worktree of {git_dir} points to {safe_line(top, 300)}, which does not belong to it",
                "run `git config --unset core.worktree`",
            )
        main = top if git_dir == common else self.find_main_worktree(Path(common))
        return self._replace(directory=top, git_dir=git_dir, common=common, main_worktree=main)

    def _raise_no_repository(self) -> NoReturn:
        bare = self.try_run("rev-parse", "--is-bare-repository").stdout.strip() == b"true"
        stderr = self.try_run("rev-parse", "--show-toplevel").stderr
        if b"dubious ownership" in stderr:
            fix = f"if you trust it, run `git config --global --add safe.directory {self.directory}`"
            raise UsageError(f"{self.directory} is owned by another user, so git refuses to read it", fix)
        if ".git" in Path(self.directory).parts:
            raise UsageError(f"{self.directory} is inside a git directory", "change to the working tree")
        if bare or b"bare" in stderr:
            fix = "change to one of its worktrees, or create one with `git worktree add`"
            raise UsageError(f"{self.directory} is in a bare repository", fix)
        raise UsageError(f"{self.directory} is not in a git repository", "run `git init` to create one")

    def find_main_worktree(self, common: Path) -> str:
        """Return the main working tree of a git directory, or "".

        It is the parent folder, or the value of `core.worktree`.
        """
        if _belongs_to(common.parent, common) and not self._is_bare_beside_worktrees(common):
            return str(common.parent)
        result = self.try_run("config", "--file", str(common / "config"), "--get", "core.worktree")
        value = os.fsdecode(result.stdout).removesuffix("\n")
        path = Path(os.path.normpath(common / value))
        return str(path) if value and _belongs_to(path, common) else ""

    def _is_bare_beside_worktrees(self, common: Path) -> bool:
        """Return whether the folder above only names a bare git directory, beside the worktrees of it."""
        if not (common.parent / ".git").is_file():
            return False
        setting = ("config", "--file", str(common / "config"), "--type=bool", "--get", "core.bare")
        return self.try_run(*setting).stdout.strip() == b"true"

    def list_tracked(self) -> list[str]:
        """Return the paths in the index, of any number."""
        return [path for path in self.run("ls-files", "-z", limit=1 << 28).split("\0") if path]

    def for_directory(self, directory: str | Path) -> "Git":
        """Return git for another directory, not yet located."""
        return self._replace(directory=str(directory), git_dir="", common="", main_worktree="")

    def for_worktree(self, directory: str | Path, git_dir: str | Path) -> "Git":
        """Return git for another working tree of the same repository."""
        return self._replace(directory=str(directory), git_dir=str(git_dir))

    def for_main_worktree(self) -> "Git":
        """Return git for the main working tree, or for the git directory of a bare repository."""
        return self.for_worktree(self.main_worktree or self.common, self.common)

    # -- commits and refs -----------------------------------------------------------------------

    def head_commit(self) -> str:
        """Return the commit of HEAD.

        Raises:
            UsageError: the branch has no commit yet.
        """
        if not (commit := self.resolve("HEAD")):
            raise UsageError(f"{self.directory} has no commit yet", "create a commit first")
        return commit

    def current_branch(self) -> str:
        """Return the checked-out branch, or "" if HEAD is detached."""
        return self.try_run("symbolic-ref", "--quiet", "--short", "HEAD").stdout.decode().strip()

    def resolve(self, ref: str) -> str:
        """Return the commit of a ref, or "" if the ref does not exist.

        Raises:
            GitError: git was interrupted.
        """
        result = self.try_run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if result.code not in {0, 1, 128}:
            raise GitError(f"git rev-parse was interrupted in {self.directory}")
        return result.stdout.decode().strip() if result.code == 0 else ""

    def commit_tree(
        self,
        tree: str,
        parents: tuple[str, ...],
        message: str,
        author: "str | None" = DEFAULT_AUTHOR,
        *,
        sign: bool = False,
    ) -> str:
        """Create a commit of a tree, in no branch, and return it.

        With `author` None, the user's name and email from git's configuration are used. `sign` signs it.

        Raises:
            GitError: git failed, or knows no name and email of the user.
        """
        environ = self.environ if author is None else {**self.environ, **_author_environment(author)}
        flags = [word for parent in parents for word in ("-p", parent)] + ["-S"] * sign
        stdin = message.encode("utf-8", "surrogateescape") or b"\n"
        try:
            return self._replace(environ=environ).run("commit-tree", tree, *flags, given=stdin).strip()
        except GitError as error:
            if "tell me who you are" not in error.message:
                raise
            fix = "run `git config --global user.name NAME` and `git config --global user.email EMAIL`"
            raise GitError("git has no name and email for you", fix) from error

    def update_refs(self, *changes: tuple[str, str, str]) -> None:
        """Update refs in one transaction. A change is `(ref, new, old)`.

        An empty `new` deletes the ref; an empty `old` requires that the ref does not exist.

        Raises:
            GitError: a ref is not at its `old` commit; no ref was changed.
        """
        zero = "0" * len(next(commit for change in changes for commit in change[1:] if commit))
        lines = [f"update {ref}\0{new or zero}\0{old or zero}\0" for ref, new, old in changes]
        self.run("update-ref", "--stdin", "-z", given="".join(lines).encode())

    # -- files ----------------------------------------------------------------------------------

    def with_clean_config(self, index: Path, *, exact: bool = False) -> "Git":
        """Return git for the same files and objects, with a clean configuration and the given index.

        With `exact`, bytes are kept as they are; otherwise line endings are converted as git would.
        """
        environ = {**self.environ, "GIT_OBJECT_DIRECTORY": f"{self.common}/objects"}
        environ["GIT_INDEX_FILE"] = str(index)
        allowed, hash_name = self._allowed_config()
        config = (*allowed, ("core.autocrlf", "false")) if exact else allowed
        patterns = read_optional(Path(self.git_dir) / SPARSE_PATTERNS)
        home = settings.state_directory(self.environ)
        git_dir = ensure_clean_git_dir(Path(self.common), home, hash_name, patterns, exact=exact)
        return self._replace(environ=environ, git_dir=git_dir, common=git_dir, extra_config=config)

    def _allowed_config(self) -> tuple[tuple[tuple[str, str], ...], str]:
        """Return the allowed settings of the worktree, and the name of its repository's hash algorithm."""
        own = Path(self.git_dir) / WORKTREE_CONFIG
        key = (self.common, *_file_stamp(Path(self.common) / "config"), *_file_stamp(own))
        if key not in _config_cache:
            fields = self.run("config", "--show-scope", "--null", "--list").split("\0")
            pairs = [
                _setting(entry)
                for scope, entry in zip(fields[::2], fields[1::2], strict=False)
                if scope in {"local", "worktree"}
            ]
            allowed = {name: value for name, value in pairs if name in _ALLOWED_CONFIG}
            allowed["lfs.storage"] = f"{self.common}/lfs"
            # `git update-index` leaves two entries for one path in a sparse index.
            allowed["index.sparse"] = "false"
            _config_cache[key] = (
                tuple(allowed.items()),
                dict(pairs).get("extensions.objectformat", "sha1"),
            )
        return _config_cache[key]


def _file_stamp(path: Path) -> tuple[Path, int, int] | tuple[()]:
    """Return the path, time and size of a file, which change with its content; nothing without a file."""
    with suppress(OSError):
        stat = path.stat()
        return path, stat.st_mtime_ns, stat.st_size
    return ()


def _setting(entry: str) -> tuple[str, str]:
    """Return the name and value of an entry of `git config --list`; no value means true."""
    name, has_value, value = entry.partition("\n")
    return name, value if has_value else "true"


def _belongs_to(top: Path, git_dir: Path) -> bool:
    """Return whether the `.git` of a folder, be it a folder, link or file, is this git directory."""
    dot_git = top / ".git"
    if dot_git.is_file():
        target = os.fsdecode(read_optional(dot_git)).removeprefix("gitdir: ").rstrip("\n")
        dot_git = top / target
    return dot_git.resolve() == git_dir.resolve()


def _author_environment(author: str) -> dict[str, str]:
    name, _, mail = author.partition(" <")
    return {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", name), ("EMAIL", mail.rstrip(">")))
    }


def open_git(directory: str | Path, environ: dict[str, str], stop: Stop | None = None) -> Git:
    """Return git for a directory, not yet located; `stop` ends running processes.

    Raises:
        MissingToolError: git is not installed, or too old.
    """
    program = _find_git_program(environ.get("PATH", os.defpath), find_top(directory))
    clean_environ = {
        k: v for k, v in environ.items() if not k.startswith("GIT_") or (v and k in _USER_VARIABLES)
    }
    return Git(program, str(directory), clean_environ, stop)


def open_git_outside_repository(directory: str | Path, environ: dict[str, str]) -> Git:
    """Return git for a folder in no repository, to list its files and apply ignore rules."""
    git = open_git(directory, environ)
    git_dir = ensure_clean_git_dir(Path(os.devnull), settings.state_directory(environ), "sha1", exact=False)
    return git._replace(git_dir=git_dir, common=git_dir)


def find_top(directory: str | Path) -> str:
    """Return the directory or the first parent that has a `.git`, or "", without starting a process."""
    folder = os.path.abspath(directory)  # noqa: PTH100 - this runs before and after each step
    while not os.path.lexists(os.path.join(folder, ".git")):  # noqa: PTH118
        if folder == os.path.dirname(folder):  # noqa: PTH120
            return ""
        folder = os.path.dirname(folder)  # noqa: PTH120
    return folder


def folder_in_tree(directory: Path) -> str:
    """Return the path of a directory relative to the top of its working tree; "." outside of any."""
    return os.path.relpath(directory, find_top(directory) or directory)


def may_be_in_repository(directory: str | Path) -> bool:
    """Return whether the directory or a parent has a `.git`, without starting a process."""
    return bool(find_top(directory))


def open_workspace_git(workspace: Workspace, environ: dict[str, str], stop: Stop | None = None) -> Git:
    """Return git for the workspace of a run; search only if its git directory is unknown.

    Raises:
        UsageError: the workspace is not in a repository.
    """
    if not workspace.git_dir:
        return open_git(workspace.directory, environ, stop).locate()
    git = open_git(workspace.worktree, environ, stop)
    main = git.find_main_worktree(Path(workspace.common))
    return git._replace(common=workspace.common, git_dir=workspace.git_dir, main_worktree=main)


_USER_VARIABLES = (
    "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM",
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL",
)  # fmt: skip
"""Git variables that are kept: where the user's configuration is, and the user's identity."""


@cache
def _find_git_program(path: str, top: str) -> str:
    """Return the absolute path of git; ignore relative folders and those inside the working tree.

    A repository must not be able to supply the git that reads it.
    """
    folders = [
        folder
        for folder in path.split(os.pathsep)
        if Path(folder).is_absolute() and not (top and Path(folder).is_relative_to(top))
    ]
    try:
        program = process.require_program("git", os.pathsep.join(folders))
    except MissingToolError as error:
        raise MissingToolError(
            error.message, f"install git {_format_version(MINIMUM_VERSION)} or newer"
        ) from error
    output = process.capture_output(
        process.ProcessSpec([program, "--version"], "/", {"LC_ALL": "C"}, 10)
    ).stdout.decode()
    numbers = "".join(c if c.isdigit() else " " for c in output).split()
    version = tuple(int(number) for number in numbers[:2])
    if version < MINIMUM_VERSION:
        fix = f"install git {_format_version(MINIMUM_VERSION)} or newer"
        raise MissingToolError(f"{program} is git {_format_version(version)}, which is too old", fix)
    return program


def _format_version(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
