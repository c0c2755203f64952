"""The one door to git: an absolute program that runs nothing which a repository names.

There are two ways in. `Git` answers about commits, refs and worktrees: its `GIT_DIR` is explicit, found
once and never again, and whatever a configuration could start is switched off. `Git.apart` works on
files: it has a configuration and attributes of our own, so that filters, drivers and monitors of the
repository do not even exist for it. What the *user's own* configuration names (Git LFS, for example)
still works there.
"""

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from prunejuice import process, settings
from prunejuice.errors import GitError, MissingToolError, StoreError, UsageError
from prunejuice.protocols import Stop
from prunejuice.text import safe_line
from prunejuice.workspace import Workspace

OLDEST = (2, 38)
"""The first version that can merge without a working tree."""
ME = "PruneJuice <prunejuice@localhost>"

# A repository's own configuration can name programs; none of them runs in our name.
_OFF = (
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
_WAY_OUT = ("core.sshCommand", "core.gitProxy", "core.askPass", "credential.helper")
"""What has to be the user's own where git goes to another machine."""
# What a repository may say about its files; each is a plain value.
_KEPT = (
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
)
_seen: dict[tuple[Any, ...], tuple[tuple[tuple[str, str], ...], str]] = {}
_EXACT = "* -text -ident -working-tree-encoding\n"


class Git(NamedTuple):
    """Git for one working tree; `stop` ends what it is at, `keep` are descriptors its processes inherit.

    `git_dir` and `common` are empty until it is `located`; `main` is the working tree that the repository
    was made with, and empty when there is none (a bare repository). `protocols` are ways to other
    repositories, none without a word.
    """

    program: str
    directory: str
    environ: dict[str, str]
    stop: Stop | None = None
    git_dir: str = ""
    common: str = ""
    main: str = ""
    more: tuple[tuple[str, str], ...] = ()
    keep: tuple[int, ...] = ()
    protocols: str = ""

    def run(self, *args: str, given: bytes = b"", timeout: float = 120, limit: int = 16 << 20) -> str:
        """What git answers.

        Raises:
            GitError: it refused; carries what it said.
        """
        done = self.try_(*args, given=given, timeout=timeout, limit=limit)
        if done.code:
            said = safe_line(done.err.strip() or done.out.strip() or b"no reason given", 400)
            raise GitError(f"git {args[0]} failed in {self.directory}: {said}")
        if done.cut:
            raise GitError(f"git {args[0]} says more than {limit >> 20} MiB in {self.directory}")
        return done.out.decode("utf-8", "surrogateescape")

    def try_(
        self, *args: str, given: bytes = b"", timeout: float = 120, limit: int = 16 << 20
    ) -> process.Captured:
        """The same, with its exit code instead of an error."""
        return process.capture(self._call(args, timeout, given), limit, self.stop)

    def write(self, target: Path, *args: str, timeout: float = 600) -> None:
        """Put what git answers into a file, however much it is.

        Raises:
            GitError: it refused; carries what it said.
        """
        said = bytearray()
        with target.open("wb") as file:
            ended = process.run(self._call(args, timeout), file.write, self.stop, said.extend)
        if ended.code:
            raise GitError(f"git {args[0]} failed in {self.directory}: {safe_line(bytes(said), 400)}")

    def _call(self, args: tuple[str, ...], timeout: float, given: bytes = b"") -> process.Call:
        argv = [self.program, *args]
        return process.Call(argv, self.directory, self._env(), timeout, given=given, keep=self.keep)

    def _env(self) -> dict[str, str]:
        off = [each for each in _OFF if not (self.protocols and each[0] in _WAY_OUT)]
        config = (*off, *self.more)
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

    # -- where ----------------------------------------------------------------------------------

    def outwards(self) -> "Git":
        """The same objects under a configuration that only the user wrote, and with a way out.

        Their own login is used (helpers for passwords, ssh); nothing that the repository says is.
        """
        apart = self.apart(Path(self.git_dir) / "index", exact=True)
        return apart._replace(protocols="file:http:https:ssh")

    def is_repository(self) -> bool:
        """Whether there is a working tree of a repository around the directory."""
        return bool(self.git_dir) or self.try_("rev-parse", "--show-toplevel").code == 0

    def located(self) -> "Git":
        """Git bound to the working tree around the directory; nothing is looked for after this.

        Raises:
            UsageError: there is none.
        """
        if self.git_dir:
            return self
        asked = ("--show-toplevel", "--git-dir", "--git-common-dir")
        found = self.try_("rev-parse", "--path-format=absolute", *asked)
        if found.code:
            self._refuse()
        lines = os.fsdecode(found.out).splitlines()
        if len(lines) != len(asked):  # a path holds a line break
            each = (self.run("rev-parse", "--path-format=absolute", flag) for flag in asked)
            lines = [line.removesuffix("\n") for line in each]
        top, git_dir, common = lines
        if not _leads_to(Path(top), Path(git_dir)):
            raise UsageError(
                f"core.worktree of {git_dir} leads to {safe_line(top, 300)}, which is not its own",
                "git config --unset core.worktree",
            )
        main = top if git_dir == common else self.main_of(Path(common))
        return self._replace(directory=top, git_dir=git_dir, common=common, main=main)

    def _refuse(self) -> NoReturn:
        bare = self.try_("rev-parse", "--is-bare-repository").out.strip() == b"true"
        said = self.try_("rev-parse", "--show-toplevel").err
        if b"dubious ownership" in said:
            fix = f"if you trust it: git config --global --add safe.directory {self.directory}"
            raise UsageError(f"{self.directory} belongs to somebody else, so git does not read it", fix)
        if ".git" in Path(self.directory).parts:
            raise UsageError(f"{self.directory} is inside a git directory", "go to the working tree")
        if bare or b"bare" in said:
            fix = "go to one of its worktrees (git worktree add makes one)"
            raise UsageError(f"{self.directory} is in a bare repository", fix)
        raise UsageError(f"{self.directory} is not in a git repository", "git init makes one")

    def main_of(self, common: Path) -> str:
        """The main working tree of a git directory: around it, or where its own configuration says."""
        if _leads_to(common.parent, common):
            return str(common.parent)
        set_to = self.try_("config", "--file", str(common / "config"), "--get", "core.worktree")
        named = os.fsdecode(set_to.out).removesuffix("\n")
        place = Path(os.path.normpath(common / named))
        return str(place) if named and _leads_to(place, common) else ""

    def at(self, directory: str | Path) -> "Git":
        """Git for another directory, not yet located."""
        return self._replace(directory=str(directory), git_dir="", common="", main="")

    def bound(self, directory: str | Path, git_dir: str | Path) -> "Git":
        """Git for another working tree of the same repository, whose git directory is known."""
        return self._replace(directory=str(directory), git_dir=str(git_dir))

    def from_main(self) -> "Git":
        """Git for the main working tree, or in a bare repository for what all its worktrees share."""
        return self.bound(self.main or self.common, self.common)

    # -- commits and refs -----------------------------------------------------------------------

    def head(self) -> str:
        """The commit that is checked out.

        Raises:
            UsageError: there is none yet.
        """
        if not (found := self.resolve("HEAD")):
            raise UsageError(f"{self.directory} has no commit yet", "commit something first")
        return found

    def branch(self) -> str:
        """The branch that is checked out; empty when none is."""
        return self.try_("symbolic-ref", "--quiet", "--short", "HEAD").out.decode().strip()

    def resolve(self, ref: str) -> str:
        """The commit of a ref; empty when there is no such ref.

        Raises:
            GitError: git could not say, because it was stopped for example.
        """
        done = self.try_("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if done.code not in {0, 1, 128}:
            raise GitError(f"git rev-parse was ended in {self.directory}")
        return done.out.decode().strip() if done.code == 0 else ""

    def commit(self, tree: str, parents: tuple[str, ...], message: str, author: "str | None" = ME) -> str:
        """A commit of a tree, in no branch yet; by us, or by the user when `author` is None."""
        environ = self.environ if author is None else {**self.environ, **_as(author)}
        named = [word for parent in parents for word in ("-p", parent)]
        given = message.encode("utf-8", "surrogateescape") or b"\n"
        try:
            return self._replace(environ=environ).run("commit-tree", tree, *named, given=given).strip()
        except GitError as error:
            if "tell me who you are" not in error.message:
                raise
            fix = "git config --global user.name NAME; git config --global user.email MAIL"
            raise GitError("git knows no name for you", fix) from error

    def move(self, *changes: tuple[str, str, str]) -> None:
        """Change refs, all or none: each is (ref, new, old); no `new` deletes, no `old` must not exist.

        Raises:
            GitError: one of them is not where it should be.
        """
        none = "0" * len(next(commit for change in changes for commit in change[1:] if commit))
        lines = [f"update {ref}\0{new or none}\0{old or none}\0" for ref, new, old in changes]
        self.run("update-ref", "--stdin", "-z", given="".join(lines).encode())

    # -- files ----------------------------------------------------------------------------------

    def apart(self, index: Path, *, exact: bool = False) -> "Git":
        """The same files and objects under a configuration of our own, with an index to work on.

        `exact` takes bytes as they are: no line ending is converted.
        """
        environ = {**self.environ, "GIT_OBJECT_DIRECTORY": f"{self.common}/objects"}
        environ["GIT_INDEX_FILE"] = str(index)
        kept, hash_name = self._kept()
        more = (*kept, ("core.autocrlf", "false")) if exact else kept
        door = _door(Path(self.common), settings.home(self.environ), hash_name, exact=exact)
        return self._replace(environ=environ, git_dir=door, common=door, more=more)

    def _kept(self) -> tuple[tuple[tuple[str, str], ...], str]:
        """The plain values of the repository's own configuration, and the name of its hash."""
        config = Path(self.common) / "config"
        stat = config.stat() if config.is_file() else None
        key = (self.common, stat and stat.st_mtime_ns, stat and stat.st_size)
        if key not in _seen:
            listed = self.run("config", "--local", "--includes", "--null", "--list")
            pairs = [entry.partition("\n")[::2] for entry in listed.split("\0")]
            found = {name: value for name, value in pairs if name in _KEPT}
            found["lfs.storage"] = f"{self.common}/lfs"
            _seen[key] = (tuple(found.items()), dict(pairs).get("extensions.objectformat", "sha1"))
        return _seen[key]


def _leads_to(top: Path, git_dir: Path) -> bool:
    """Whether a folder belongs to a git directory: by its `.git`, folder, link or file."""
    place = top / ".git"
    if place.is_file():
        said = os.fsdecode(_bytes(place)).removeprefix("gitdir: ").rstrip("\n")
        place = top / said
    return place.resolve() == git_dir.resolve()


def _as(author: str) -> dict[str, str]:
    name, _, mail = author.partition(" <")
    return {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", name), ("EMAIL", mail.rstrip(">")))
    }


def _door(common: Path, home: Path, hash_name: str, *, exact: bool) -> str:
    """A git directory of ours with nothing in it but rules about files; made once for the same rules."""
    version = "0" if hash_name == "sha1" else "1"
    extension = f"[extensions]\n\tobjectFormat = {hash_name}\n" if version == "1" else ""
    files = {
        "HEAD": b"ref: refs/heads/none\n",
        "config": f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n{extension}".encode(),
        "info/attributes": _bytes(common / "info/attributes") + (f"\n{_EXACT}".encode() if exact else b""),
        "info/exclude": _bytes(common / "info/exclude"),
        "shallow": _bytes(common / "shallow"),
    }
    name = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:24]
    door = home / "doors" / name
    if not door.is_dir():
        _built(door, files)
    return str(door)


def _built(door: Path, files: dict[str, bytes]) -> None:
    try:
        door.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = Path(tempfile.mkdtemp(dir=door.parent))
    except OSError as error:
        fix = "set PRUNEJUICE_HOME to a folder that you can write to"
        raise StoreError(f"{door.parent} cannot be written: {error.strerror}", fix) from error
    for folder in ("refs", "info", "objects"):
        (aside / folder).mkdir()
    for name, content in files.items():
        if content or name == "info/attributes":
            (aside / name).write_bytes(content)
    with suppress(OSError):  # another process was faster
        aside.rename(door)
    shutil.rmtree(aside, ignore_errors=True)


def _bytes(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def git(directory: str | Path, environ: dict[str, str], stop: Stop | None = None) -> Git:
    """Git for the repository around a directory; `stop` ends what it is at.

    Raises:
        MissingToolError: git is not installed, or too old.
    """
    top = next((p for p in (Path(directory), *Path(directory).parents) if (p / ".git").exists()), None)
    program = _program(environ.get("PATH", os.defpath), str(top) if top else "")
    kept = {k: v for k, v in environ.items() if not k.startswith("GIT_") or (v and k in _OWN)}
    return Git(program, str(directory), kept, stop)


def outside(directory: str | Path, environ: dict[str, str]) -> Git:
    """Git for a folder in no repository: it lists files there, and ignores what it would ignore."""
    found = git(directory, environ)
    nowhere = _door(Path(os.devnull), settings.home(environ), "sha1", exact=False)
    return found._replace(git_dir=nowhere, common=nowhere)


def may_be_inside(directory: str | Path) -> bool:
    """Whether a look upwards finds a `.git`; costs no process."""
    return any((place / ".git").exists() for place in (Path(directory), *Path(directory).parents))


def within(workspace: Workspace, environ: dict[str, str], stop: Stop | None = None) -> Git:
    """Git for the place where a run works; nothing is looked for when its git directory is known.

    Raises:
        UsageError: it is not in a repository.
    """
    if not workspace.git_dir:
        return git(workspace.directory, environ, stop).located()
    found = git(workspace.worktree, environ, stop)
    main = found.main_of(Path(workspace.common))
    return found._replace(common=workspace.common, git_dir=workspace.git_dir, main=main)


_OWN = (
    "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM",
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL",
)  # fmt: skip
"""Variables of the user's that say where their own configuration is, and who they are."""


@cache
def _program(path: str, tree: str) -> str:
    """The git of the search path, but for relative folders and those inside the working tree."""
    folders = [
        folder
        for folder in path.split(os.pathsep)
        if Path(folder).is_absolute() and not (tree and Path(folder).is_relative_to(tree))
    ]
    try:
        program = process.which("git", os.pathsep.join(folders))
    except MissingToolError as error:
        raise MissingToolError(error.message, f"install git {_dotted(OLDEST)} or newer") from error
    said = process.capture(process.Call([program, "--version"], "/", {"LC_ALL": "C"}, 10)).out.decode()
    numbers = "".join(c if c.isdigit() else " " for c in said).split()
    version = tuple(int(number) for number in numbers[:2])
    if version < OLDEST:
        fix = f"install {_dotted(OLDEST)} or newer"
        raise MissingToolError(f"{program} is git {_dotted(version)}", fix)
    return program


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
