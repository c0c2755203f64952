"""The proxy of sandboxes: raw requests to it, and what comes of them."""

import socket
import threading
from contextlib import suppress

import pytest

from prunejuice.sandbox.hosts import parse_host_rule
from prunejuice.sandbox.policy import Policy
from prunejuice.sandbox.proxy import Forwarder, Proxy


class Echo:
    """A server that answers with what it got, when the client has sent all."""

    def __init__(self):
        self.listener = socket.create_server(("0.0.0.0", 0))
        self.port = self.listener.getsockname()[1]
        self.got = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        client.settimeout(2)
        with client:
            data = b""
            with suppress(OSError):
                while b"\r\n\r\n" not in data and (chunk := client.recv(1000)):
                    data += chunk
            self.got.append(data)
            with suppress(OSError):
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def echo():
    made = Echo()
    yield made
    made.listener.close()


@pytest.fixture
def ask(echo):
    """Sends raw bytes to a proxy with rules; its answer, and what it refused."""
    proxies = []

    def asked(request, *rules):
        refused = []
        proxy = Proxy([parse_host_rule(rule) for rule in rules], lambda *target: refused.append(target))
        listener = socket.create_server(("127.0.0.1", 0))
        proxy.serve(listener)
        proxies.append(proxy)
        answer = b""
        with socket.create_connection(listener.getsockname(), 5) as client:
            client.sendall(request)
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                while data := client.recv(1000):
                    answer += data
        return answer.decode("latin-1"), refused

    yield asked
    for proxy in proxies:
        proxy.close()


def test_a_tunnel_to_an_allowed_address(ask, echo):
    place = f"127.0.0.1:{echo.port}"
    answer, refused = ask(f"CONNECT {place} HTTP/1.1\r\nHost: x\r\n\r\nhello\r\n\r\n".encode(), place)
    assert answer.startswith("HTTP/1.1 200 Connection established")
    assert answer.endswith("ok")
    assert echo.got == [b"hello\r\n\r\n"]
    assert not refused


def test_a_request_gets_the_host_that_was_checked(ask, echo):
    place = f"127.0.0.1:{echo.port}"
    request = (
        f"GET http://{place}/a?b=c HTTP/1.1\r\nHost: other\r\nProxy-Authorization: x\r\nX-A: b\r\n\r\n"
    )
    answer, _ = ask(request.encode(), place)
    assert answer.endswith("ok")
    [got] = echo.got
    assert got.startswith(f"GET /a?b=c HTTP/1.1\r\nhost: {place}\r\n".encode())
    assert b"x-a: b" in got.lower()
    assert b"proxy-" not in got.lower()
    assert got.lower().count(b"host:") == 1


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("GET / HTTP/1.1", 400, "a full http:// address"),
        ("GET https://example.org/ HTTP/1.1", 400, "a full http:// address"),
        ("GET ftp://example.org/ HTTP/1.1", 400, "a full http:// address"),
        ("CONNECT example.org HTTP/1.1", 400, "CONNECT needs a port"),
        ("CONNECT example.org:x HTTP/1.1", 400, "is not a number"),
        ("CONNECT user@example.org:443 HTTP/1.1", 400, "is not a host"),
        ("CONNECT exa_mple..org:443 HTTP/1.1", 400, "is not a host name"),
        ("GET http://2130706433/ HTTP/1.1", 400, "is not a host name"),
        ("GET http://user:x@example.org/ HTTP/1.1", 400, "is not a host"),
        ("nonsense", 400, "no request to a proxy"),
        ("CONNECT example.org:443 HTTP/1.1\nX: y", 403, "example.org is not allowed here"),
        ("CONNECT other.example:8443 HTTP/1.1", 403, "allow it: prj allow host other.example:8443"),
        ("GET http://other.example/ HTTP/1.1", 403, "allow it: prj allow host other.example"),
    ],
)
def test_what_is_not_allowed_is_answered(ask, line, status, said):
    answer, refused = ask(f"{line}\r\nHost: x\r\n\r\n".encode(), "allowed.example")
    assert answer.startswith(f"HTTP/1.1 {status} prunejuice")
    assert said in answer
    assert bool(refused) == (status == 403)


def test_an_allowed_name_that_is_this_machine_is_refused_after_it_was_resolved(ask, echo):
    request = f"CONNECT localhost:{echo.port} HTTP/1.1\r\nHost: x\r\n\r\n"
    answer, refused = ask(request.encode(), f"localhost:{echo.port}")
    assert answer.startswith("HTTP/1.1 502")
    assert "an address of this machine" in answer
    assert not refused
    assert not echo.got


def test_a_host_that_does_not_exist_or_listen(ask):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "could not be reached" in ask(
        f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), f"127.0.0.1:{port}"
    )[0]  # fmt: skip
    assert "was not found" in ask(b"CONNECT no.invalid:443 HTTP/1.1\r\nHost: x\r\n\r\n", "no.invalid")[0]


def test_a_client_that_says_nothing_is_let_go(ask):
    answer, refused = ask(b"", "allowed.example")
    assert answer.startswith("HTTP/1.1 400")
    assert not refused


def test_a_second_request_is_not_answered(ask, echo):
    place = f"127.0.0.1:{echo.port}"
    one = f"GET http://{place}/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    ask((one + one.replace("/1", "/2")).encode(), place)
    assert len(echo.got) == 1
    assert b"/2" not in echo.got[0]


def test_a_forwarder_passes_bytes_on_until_it_is_closed(echo):
    forwarder = Forwarder(echo.port)
    listener = socket.create_server(("127.0.0.1", 0))
    forwarder.serve(listener)
    with socket.create_connection(listener.getsockname(), 5) as client:
        client.sendall(b"hello\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000).endswith(b"ok")
    held = socket.create_connection(listener.getsockname(), 5)
    forwarder.close()
    with held:
        held.settimeout(5)
        with suppress(ConnectionError):
            assert held.recv(10) == b""
    assert Policy().hosts is None
