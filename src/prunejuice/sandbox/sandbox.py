"""Sandboxes: a program that makes them, a policy, and a person or a log that hears what was refused."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import StoreError
from prunejuice.sandbox.limits import watch_limits
from prunejuice.sandbox.network import open_network
from prunejuice.sandbox.permissions import format_refusal
from prunejuice.sandbox.policy import Bind, Policy, is_below
from prunejuice.sandbox.programs.protocol import SandboxProgram, Workplace
from prunejuice.system import process
from prunejuice.system.deletion import delete_folder
from prunejuice.system.private import make_private_folder
from prunejuice.system.process import ProcessSpec

TEMPORARY = "/tmp"  # noqa: S108 - that of the sandbox


_UNSIGNED = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "commit.gpgsign", "GIT_CONFIG_VALUE_0": "false"}
"""The keys that sign commits are not in a sandbox."""


class Refusal(NamedTuple):
    """What a process wanted and did not get: a `host`, a `path` or a `ref`, and how to allow it."""

    what: str
    target: str
    fix: str = ""

    def __str__(self) -> str:
        return format_refusal(self.target, self.fix)


def say_nothing(_refusal: Refusal) -> None:
    """Ignore a refusal."""


class Sandbox(NamedTuple):
    """Runs processes under a policy. `folder` holds their private folders while they run."""

    program: SandboxProgram
    policy: Policy
    folder: Path
    report: Callable[[Refusal], None] = say_nothing

    @contextmanager
    def enter(self, call: ProcessSpec) -> Iterator[ProcessSpec]:
        """Yield the process that runs another one in the sandbox; what it needs is there meanwhile.

        Raises:
            MissingToolError: the program is not installed.
            LimitError: at the end, if the processes used more than they may.
        """
        argv = [process.require_program(call.argv[0], call.env.get("PATH")), *call.argv[1:]]
        refused: set[tuple[str, int]] = set()

        def report_host(host: str, port: int) -> None:
            if (host, port) in refused:
                return
            refused.add((host, port))
            name = host if port in {80, 443} else f"{host}:{port}"
            self.report(Refusal("host", name, f"allow it: prj allow host {name}"))

        policy = self._extend_policy(call, argv[0])
        with (
            self._open_private_folders() as (folder, binds),
            open_network(policy, self.program.network, report_host) as network,
            watch_limits(policy.limits, call.tag, reports_pid=self.program.reports_pid) as watch,
        ):
            env = {**call.env, **network.variables, "TMPDIR": TEMPORARY}
            if policy.git == "commit":
                env = {**_UNSIGNED, **env}
            place = Workplace(os.path.realpath(call.cwd), env, folder, network.proxy_port, watch)
            yield call._replace(
                argv=self.program.wrap(
                    [*network.prefix, *argv],
                    policy._replace(binds=(*policy.binds, *binds), private=()),
                    place,
                ),
                cwd="/",
                env=env,
                pass_fds=(*call.pass_fds, *network.pass_fds, *watch.pass_fds),
                sandbox=None,
                leader_waits=True,
            )

    def _extend_policy(self, call: ProcessSpec, program: str) -> Policy:
        """Return the policy with what a process itself needs: its program, paths and ports."""
        policy = self.policy
        real = os.path.realpath(program)
        folder = os.path.dirname(real)  # noqa: PTH120
        needed = [
            folder if folder not in policy.private else real,
            program,
            *map(os.path.realpath, call.shown),
        ]
        missing = [path for path in needed if not policy.is_visible(path) and os.access(path, os.F_OK)]
        return policy._replace(
            read=tuple(dict.fromkeys((*policy.read, *missing))),
            ports=tuple(dict.fromkeys((*policy.ports, *call.ports))),
        )

    @contextmanager
    def _open_private_folders(self) -> Iterator[tuple[Path, list[Bind]]]:
        """Yield a folder, and the binds of those in it that stand for private paths; delete it then."""
        make_private_folder(self.folder)
        folder = Path(tempfile.mkdtemp(prefix="sandbox-", dir=self.folder))
        binds = [Bind(str(folder / str(number)), path) for number, path in enumerate(self.policy.private)]
        try:
            for bind in binds:
                Path(bind.source).mkdir(mode=0o700)
                for file in self.policy.given:
                    if is_below(file.target, bind.target):
                        path = Path(bind.source, os.path.relpath(file.target, bind.target))
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(file.content)
            yield folder, binds
        finally:
            with suppress(StoreError):
                delete_folder(folder)
