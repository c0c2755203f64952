"""Sandboxes of the sandbox runtime `srt`: bubblewrap on Linux, Seatbelt on macOS, proxies of its own."""

import json
import shutil
from collections.abc import Mapping, Sequence

from prunejuice.errors import UsageError
from prunejuice.sandbox.policy import Policy
from prunejuice.sandbox.programs.bwrap import limited_argv
from prunejuice.sandbox.programs.protocol import NetworkKind, Workplace
from prunejuice.sandbox.programs.seatbelt import private_variables
from prunejuice.system import process
from prunejuice.system.process import ProcessSpec
from prunejuice.text import safe_line

_INSTALL = "npm install -g @anthropic-ai/sandbox-runtime (on Linux also bubblewrap, socat and ripgrep)"
_TRY_SECONDS = 60


class SandboxRuntime:
    """`srt`, which filters hosts by itself."""

    name = "srt"
    network: NetworkKind = "own"
    reports_pid = False

    def __init__(self) -> None:
        self._program = "srt"
        self._problem: tuple[str, str] | None = None

    def find_problem(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """Return why no sandbox can be made here, found by trying, and the fix; both empty if one can."""
        if self._problem is None:
            self._program = shutil.which("srt", path=environ.get("PATH")) or ""
            self._problem = _try_program(self._program, environ)
        return self._problem

    def wrap(self, argv: Sequence[str], policy: Policy, workplace: Workplace) -> list[str]:
        """Return the arguments of `srt` that run a program under a policy; its settings go to a file.

        Raises:
            UsageError: the policy leaves the network as it is, or has binds, which `srt` cannot do.
        """
        if policy.hosts is None:
            raise UsageError(
                "srt always limits the network", "use `sandbox: files+net`, or another program"
            )
        path = workplace.folder / "srt-settings.json"
        path.write_text(json.dumps(settings_of(policy)))
        variables = [f"{name}={value}" for name, value in private_variables(policy, workplace).items()]
        change = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', workplace.directory]
        run = [
            self._program,
            "--settings",
            str(path),
            "env",
            *variables,
            *limited_argv(argv, policy.limits),
        ]
        return [*change, *run]


def settings_of(policy: Policy) -> dict[str, object]:
    """Return the settings of `srt` for a policy."""
    mounts = policy.list_mounts()
    writable = [mount.source for mount in mounts if mount.is_writable]
    shown = [mount.source for mount in mounts if mount.kind != "hidden"]
    hidden = [mount.target for mount in mounts if mount.kind == "hidden"]
    hidden += [bind.target for bind in policy.binds]
    below_write = [
        path for path in policy.read if any(path.startswith(f"{each}/") for each in policy.write)
    ]
    domains = [*map(str, policy.hosts or ()), *(f"127.0.0.1:{port}" for port in policy.ports)]
    return {
        "network": {
            "allowedDomains": domains,
            "deniedDomains": [],
            "allowLocalBinding": bool(policy.ports),
        },
        "filesystem": {
            "denyRead": hidden,
            "allowRead": shown,
            "allowWrite": writable,
            "denyWrite": below_write,
        },
    }


def _try_program(program: str, environ: Mapping[str, str]) -> tuple[str, str]:
    if not program:
        return "srt is not installed", _INSTALL
    ended = process.capture_output(ProcessSpec([program, "true"], "/", environ, _TRY_SECONDS))
    if ended.code:
        return f"srt does not work here: {safe_line(ended.stderr.strip(), 200)}", _INSTALL
    return "", ""
