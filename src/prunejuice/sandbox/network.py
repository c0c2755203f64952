"""Give the processes of a sandbox the network that they may have, through sockets that they inherit.

Inside, the network is a loopback of its own. The first program there listens on ports, passes the listening
sockets to this process, and becomes the program to run. Here, a proxy and forwarders accept on them.
"""

import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import NamedTuple

from prunejuice.errors import UsageError
from prunejuice.sandbox.hosts import HostRule
from prunejuice.sandbox.policy import Policy
from prunejuice.sandbox.probes import open_ports
from prunejuice.sandbox.programs.protocol import NetworkKind
from prunejuice.sandbox.proxy import Acceptor, Forwarder, Proxy, Report
from prunejuice.system import process

_PROXY_PORT = 3128
_FIRST_FREE_PORT = 1024
_NO_PROXY = "localhost,127.0.0.1,::1"


class OpenNetwork(NamedTuple):
    """The arguments that come before those of a program, the variables it needs, and what it inherits."""

    prefix: Sequence[str] = ()
    variables: Mapping[str, str] = MappingProxyType({})
    pass_fds: tuple[int, ...] = ()
    proxy_port: int = 0


@contextmanager
def open_network(policy: Policy, kind: NetworkKind, report: Report) -> Iterator[OpenNetwork]:
    """Serve the allowed hosts and ports of a policy for the duration of the context.

    `kind` is how the sandbox reaches them. `report` receives each host that was refused.
    """
    if policy.hosts is None or kind == "own":
        yield OpenNetwork()
    elif kind == "loopback":
        with _serve_on_loopback(policy.hosts, report) as port:
            yield OpenNetwork((), proxy_variables(f"http://127.0.0.1:{port}"), proxy_port=port)
    else:
        with _serve_inherited(policy, policy.hosts, report) as network:
            yield network


@contextmanager
def _serve_on_loopback(hosts: Sequence[HostRule], report: Report) -> Iterator[int]:
    """Serve the allowed hosts on a port of this machine, and yield it."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(hosts, report)
    proxy.serve(listener)
    try:
        yield listener.getsockname()[1]
    finally:
        proxy.close()


@contextmanager
def _serve_inherited(policy: Policy, hosts: Sequence[HostRule], report: Report) -> Iterator[OpenNetwork]:
    if privileged := [port for port in policy.ports if port < _FIRST_FREE_PORT]:
        raise UsageError(
            f"a sandbox cannot show the port {privileged[0]}: those below {_FIRST_FREE_PORT} need rights",
            "let the service listen on a higher port",
        )
    port = next(number for number in range(_PROXY_PORT, 65_536) if number not in policy.ports)
    services: list[Acceptor] = [Proxy(hosts, report), *map(Forwarder, policy.ports)]
    own, inherited = socket.socketpair()
    with ExitStack() as stack:
        stack.callback(own.close)
        stack.callback(inherited.close)
        for service in services:
            stack.callback(service.close)
        thread = threading.Thread(target=_serve, args=(own, services), name="sandbox-network", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(_hang_up, own)
        ports = ",".join(map(str, (port, *policy.ports)))
        python = [process.python_executable(), "-I", "-S", open_ports.__file__]
        prefix = [*python, str(inherited.fileno()), ports]
        yield OpenNetwork(prefix, proxy_variables(f"http://127.0.0.1:{port}"), (inherited.fileno(),))


def proxy_variables(url: str) -> dict[str, str]:
    """Return the variables that tell programs to use a proxy."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    variables = dict.fromkeys((*names, *map(str.lower, names)), url)
    return {**variables, "NO_PROXY": _NO_PROXY, "no_proxy": _NO_PROXY, "NODE_USE_ENV_PROXY": "1"}


def _serve(channel: socket.socket, services: Sequence[Acceptor]) -> None:
    """Wait for the listening sockets from inside, and serve them."""
    with suppress(OSError):
        _, descriptors, _, _ = socket.recv_fds(channel, 16, len(services))
        if len(descriptors) != len(services):
            for descriptor in descriptors:
                os.close(descriptor)
            return
        for service, descriptor in zip(services, descriptors, strict=True):
            service.serve(socket.socket(fileno=descriptor))


def _hang_up(channel: socket.socket) -> None:
    with suppress(OSError):
        channel.shutdown(socket.SHUT_RDWR)
