"""A proxy for the processes of a sandbox: it connects to the hosts that rules allow, and to no others."""

import re
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

from prunejuice.sandbox.hosts import (
    HostRule,
    is_address,
    is_allowed,
    is_forbidden_address,
    normalize_host,
    split_port,
)
from prunejuice.text import safe_line

_HEAD_SECONDS = 30.0
_CONNECT_SECONDS = 20.0
_CHUNK = 1 << 16
_HTTP_PORT = 80
_HOP_HEADERS = frozenset({
    b"connection",
    b"proxy-connection",
    b"keep-alive",
    b"proxy-authorization",
    b"upgrade",
    b"host",
})
_AUTHORITY = re.compile(r"[^\s/@?#\\]+")
Report = Callable[[str, int], None]
"""Receives the host and the port that a process wanted and may not reach."""


class _Target(NamedTuple):
    host: str
    port: int
    path: str


class RefusedError(Exception):
    """A request that is answered with an HTTP status; the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Acceptor:
    """Accepts connections to a listening socket, and handles each in a thread, until it is closed."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._is_closed = False

    def serve(self, listener: socket.socket) -> None:
        """Accept connections in the background."""
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="sandbox-accept", daemon=True).start()

    def close(self) -> None:
        """Stop, and end all connections."""
        with self._lock:
            self._is_closed = True
            sockets = [*self._open, *([self._listener] if self._listener else [])]
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        if self._listener:
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_closed:
                    client.close()
                    return
                self._open.add(client)
            threading.Thread(target=self._run, args=(client,), name="sandbox-proxy", daemon=True).start()

    def _run(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self._handle(client)
        with self._lock:
            self._open.discard(client)


class Proxy(Acceptor):
    """Connects to the hosts that rules allow, and tells `report` of others."""

    def __init__(self, rules: Sequence[HostRule], report: Report) -> None:
        super().__init__(self._answer_request)
        self._rules, self._report = rules, report

    def _answer_request(self, client: socket.socket) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_CHUNK)
        try:
            client.settimeout(_HEAD_SECONDS)
            request = _read_request(client, connection)
            target = _parse_target(request)
            with self._connect(target.host, target.port) as upstream:
                client.settimeout(None)
                if request.method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    upstream.sendall(connection.trailing_data[0])
                    relay(client, upstream)
                else:
                    _forward(client, connection, upstream, _to_origin_request(request, target))
        except RefusedError as error:
            _answer(client, error.status, str(error))
        except h11.RemoteProtocolError as error:
            _answer(client, 400, f"this is no request to a proxy: {error}")

    def _connect(self, host: str, port: int) -> socket.socket:
        if not is_allowed(self._rules, host, port):
            self._report(host, port)
            rule = HostRule(host, 0 if port in {80, 443} else port)
            raise RefusedError(403, f"{rule} is not allowed here; allow it: prj allow host {rule}")
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise RefusedError(502, f"{host} was not found: {error}") from error
        problem = "no address"
        for _, _, _, _, address in found:
            if not is_address(host) and (is_forbidden_address(str(address[0])) or _is_own(str(address[0]))):
                problem = f"it is {address[0]}, an address of this machine"
                continue
            try:
                return socket.create_connection((str(address[0]), port), _CONNECT_SECONDS)
            except OSError as error:
                problem = str(error)
        raise RefusedError(502, f"{host}:{port} could not be reached: {problem}")


def _is_own(address: str) -> bool:
    """Return whether an address is one of this machine: only there a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe, suppress(OSError):
        probe.bind((address, 0))
        return True
    return False


class Forwarder(Acceptor):
    """Passes connections on to a port of this machine."""

    def __init__(self, port: int) -> None:
        super().__init__(self._pass_on)
        self._port = port

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._port), _CONNECT_SECONDS) as upstream:
            relay(client, upstream)


def relay(first: socket.socket, second: socket.socket) -> None:
    """Pass bytes on in both directions until both sides have ended."""
    first.settimeout(None)
    second.settimeout(None)
    ways = {first: second, second: first}
    while ways:
        for source in select.select(list(ways), [], [])[0]:
            target = ways[source]
            data = source.recv(_CHUNK)
            if data:
                target.sendall(data)
                continue
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
            del ways[source]


def _read_request(client: socket.socket, connection: h11.Connection) -> h11.Request:
    while (event := connection.next_event()) is h11.NEED_DATA:
        data = client.recv(_CHUNK)
        connection.receive_data(data)
        if not data:
            break
    if not isinstance(event, h11.Request):
        raise RefusedError(400, "this is no request to a proxy")
    return event


def _parse_target(request: h11.Request) -> _Target:
    """Return what a request is for: the authority of a CONNECT, or a full http address."""
    target = request.target.decode("ascii", "replace")
    try:
        if request.method == b"CONNECT":
            return _Target(*_parse_authority(target, 0), "")
        parts = urlsplit(target)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if parts.scheme == "http":
            return _Target(*_parse_authority(parts.netloc, _HTTP_PORT), path)
    except ValueError as error:
        raise RefusedError(400, str(error)) from error
    raise RefusedError(400, "a request to the proxy needs a full http:// address")


def _parse_authority(authority: str, default_port: int) -> tuple[str, int]:
    if not _AUTHORITY.fullmatch(authority):
        raise ValueError(f"{safe_line(authority, 80)!r} is not a host")
    name, port = split_port(authority)
    if not (port or default_port):
        raise ValueError("CONNECT needs a port")
    return normalize_host(name), port or default_port


def _to_origin_request(request: h11.Request, target: _Target) -> h11.Request:
    """Return a request as its host expects it, with a `Host` that was checked."""
    authority = str(HostRule(target.host, 0 if target.port == _HTTP_PORT else target.port))
    headers = [(name, value) for name, value in request.headers if name not in _HOP_HEADERS]
    headers = [(b"host", authority.encode()), *headers, (b"connection", b"close")]
    return h11.Request(method=request.method, target=target.path, headers=headers)


def _forward(
    client: socket.socket, connection: h11.Connection, upstream: socket.socket, request: h11.Request
) -> None:
    """Send one request on, with its body, and the answer back."""
    sender = h11.Connection(h11.CLIENT)
    upstream.sendall(sender.send(request) or b"")
    for event in _iter_body(client, connection):
        upstream.sendall(sender.send(event) or b"")
    while data := upstream.recv(_CHUNK):
        client.sendall(data)


def _iter_body(client: socket.socket, connection: h11.Connection) -> Iterator[h11.Event]:
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.receive_data(client.recv(_CHUNK))
            continue
        if isinstance(event, h11.Data | h11.EndOfMessage):
            yield event
        if not isinstance(event, h11.Data):
            return


def _answer(client: socket.socket, status: int, text: str) -> None:
    body = f"prunejuice: {safe_line(text, 400)}\n".encode()
    head = f"HTTP/1.1 {status} prunejuice\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    with suppress(OSError):
        client.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
