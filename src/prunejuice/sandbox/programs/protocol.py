"""The interface of a program that makes sandboxes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from prunejuice.sandbox.limits import LimitWatch
from prunejuice.sandbox.policy import Policy

NetworkKind = Literal["inherited", "loopback", "own"]
"""How allowed hosts are reached: by sockets that the first process inherits, in a network of its own; by
the loopback of this machine; or by the sandbox program itself."""


class Workplace(NamedTuple):
    """The directory and variables of a process, and a private folder for files of the sandbox program.

    `watch` is where it reports the first process. `proxy_port` is the port of this machine where the proxy
    listens, if the sandbox shares its loopback.
    """

    directory: str
    env: Mapping[str, str]
    folder: Path
    proxy_port: int = 0
    watch: LimitWatch = LimitWatch()


class SandboxProgram(Protocol):
    """Starts processes in sandboxes; `network` says how those inside reach what is allowed.

    With `reports_pid` it says which process is the first one inside, as `LimitWatch` describes.
    """

    name: str
    network: NetworkKind
    reports_pid: bool

    def find_problem(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """Return why no sandbox can be made here, found by trying, and the fix; both empty if one can."""
        ...

    def wrap(self, argv: Sequence[str], policy: Policy, workplace: Workplace) -> list[str]:
        """Return the arguments that run a program under a policy. Nothing is started.

        Files that the sandbox program reads may be written to the private folder.
        """
        ...
