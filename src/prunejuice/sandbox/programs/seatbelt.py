"""Sandboxes of macOS: a profile for `sandbox-exec`, which every Mac has.

Paths cannot be replaced there: hidden ones are unreadable, and the private home folder has its real path.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prunejuice.sandbox.policy import Bind, Policy
from prunejuice.sandbox.programs.bwrap import limited_argv
from prunejuice.sandbox.programs.protocol import NetworkKind, Workplace
from prunejuice.system import process
from prunejuice.system.process import ProcessSpec
from prunejuice.text import safe_line

_PROGRAM = "/usr/bin/sandbox-exec"
_TRY_SECONDS = 10
_ALWAYS = """(version 1)
(deny default)
(allow process-exec process-fork)
(allow signal process-info* (target same-sandbox))
(allow sysctl-read mach-lookup ipc-posix-shm ipc-posix-sem file-ioctl pseudo-tty)
(allow file-read*)
(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty") (regex #"^/dev/fd/"))
(deny mach-lookup (global-name "com.apple.SecurityServer") (global-name "com.apple.securityd.xpc"))"""
"""What every process may do, without the keychain."""


class Seatbelt:
    """`sandbox-exec` with a profile. The allowed hosts come through a proxy on a port of this machine."""

    name = "seatbelt"
    network: NetworkKind = "loopback"
    reports_pid = False

    def __init__(self, platform: str = sys.platform) -> None:
        self._platform = platform
        self._problem: tuple[str, str] | None = None

    def find_problem(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """Return why no sandbox can be made here, found by trying, and the fix; both empty if one can."""
        if self._platform != "darwin":
            return "sandbox-exec is for macOS", "use `sandbox_program: bwrap`"
        if self._problem is None:
            argv = [_PROGRAM, "-p", "(version 1)(allow default)", "/usr/bin/true"]
            ended = process.capture_output(ProcessSpec(argv, "/", environ, _TRY_SECONDS))
            reason = safe_line(ended.stderr.strip(), 200)
            problem = f"sandbox-exec does not work here: {reason}"
            self._problem = (problem, "run outside of another sandbox") if ended.code else ("", "")
        return self._problem

    def wrap(self, argv: Sequence[str], policy: Policy, workplace: Workplace) -> list[str]:
        """Return the arguments of `sandbox-exec` that run a program under a policy."""
        variables = [f"{name}={value}" for name, value in private_variables(policy, workplace).items()]
        run = [
            _PROGRAM,
            "-p",
            profile_text(policy, workplace.proxy_port),
            *limited_argv(argv, policy.limits),
        ]
        change = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', workplace.directory]
        return [*change, "/usr/bin/env", *variables, *run]


def private_variables(policy: Policy, workplace: Workplace) -> dict[str, str]:
    """Return the variables by which programs find the private folders where paths cannot be replaced."""
    sources = {bind.target: bind.source for bind in policy.binds}
    home, temporary = workplace.env.get("HOME", ""), workplace.env.get("TMPDIR", "")
    found = {"HOME": sources.get(str(Path(home).resolve()), ""), "TMPDIR": sources.get(temporary, "")}
    return {name: value for name, value in found.items() if value}


def profile_text(policy: Policy, proxy_port: int = 0) -> str:
    """Return the profile of a policy: of the rules that match, the last one counts."""
    rules = [_ALWAYS]
    for mount in policy.list_mounts():
        path = json.dumps(mount.target)
        if mount.kind == "hidden":
            rules += [f"(deny file-read* file-write* (subpath {path}))"]
            rules += [f"(allow file-read-metadata (literal {path}))"]
        elif mount.kind == "bind":
            rules += list(_bind_rules(Bind(mount.source, mount.target, mount.is_writable)))
        else:
            rules += [f"(allow file-read* (subpath {path}))"]
            rules += [f"({'allow' if mount.kind == 'write' else 'deny'} file-write* (subpath {path}))"]
    return "\n".join([*rules, *_network_rules(policy, proxy_port)])


def _bind_rules(bind: Bind) -> Iterator[str]:
    """Yield the rules of a private folder: its own path is open, and that for which it stands is not."""
    yield f"(deny file-read* file-write* (subpath {json.dumps(bind.target)}))"
    yield f"(allow file-read-metadata (literal {json.dumps(bind.target)}))"
    yield f"(allow file-read* (subpath {json.dumps(bind.source)}))"
    if bind.is_writable:
        yield f"(allow file-write* (subpath {json.dumps(bind.source)}))"


def _network_rules(policy: Policy, proxy_port: int) -> Iterator[str]:
    if policy.hosts is None:
        yield "(allow network*)"
        return
    yield '(allow network-bind network-inbound (local ip "localhost:*"))'
    for port in (*([proxy_port] if proxy_port else []), *policy.ports):
        yield f'(allow network-outbound (remote ip "localhost:{port}"))'
