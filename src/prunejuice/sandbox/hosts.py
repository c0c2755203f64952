"""Host rules: which hosts and ports a sandbox may reach, decided by name before it is resolved."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from prunejuice.text import safe_line

WEB_PORTS = (80, 443)
"""The ports of a rule that names none."""
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_MAX_PORT = 65_535
_EMBEDDING = ("::/96", "64:ff9b::/96")
"""Networks of IPv6 whose addresses hold one of IPv4."""
_METADATA = ("fd00:ec2::254", "100.100.100.200")
"""Addresses at which clouds tell a machine its keys, besides link-local ones."""


class HostRule(NamedTuple):
    """A host, or with `is_suffix` all hosts below a domain; without a `port`, those of the web."""

    host: str
    port: int = 0
    is_suffix: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'*.' if self.is_suffix else ''}{host}{f':{self.port}' if self.port else ''}"

    def allows(self, host: str, port: int) -> bool:
        """Return whether the rule allows a port of a normalized host."""
        is_host = host.endswith(f".{self.host}") if self.is_suffix else host == self.host
        return is_host and (port == self.port if self.port else port in WEB_PORTS)


def parse_host_rule(text: str) -> HostRule:
    """Return the rule of a text such as `example.org`, `*.example.net`, `example.org:8443` or `[::1]:80`.

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    name, port = split_port(text.strip())
    if name == "*":
        raise ValueError("`*` is every host: use the sandbox `files`, which leaves the network as it is")
    is_suffix = name.startswith("*.")
    host = normalize_host(name.removeprefix("*."))
    if is_suffix and ("." not in host or is_address(host)):
        raise ValueError("a wildcard needs a domain of two parts, such as *.example.net")
    return HostRule(host, port, is_suffix)


def split_port(text: str) -> tuple[str, int]:
    """Return a host and its port, 0 without one.

    Raises:
        ValueError: the port is not a number from 1 to 65535.
    """
    if "/" in text:
        raise ValueError("a rule is a host, such as example.org, and not a URL")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address is written as [::1] or [::1]:8080")
        digits = rest[1:] if rest else ""
    elif text.count(":") > 1:
        raise ValueError("an IPv6 address needs brackets: [::1]:8080; a rule is a host, not a URL")
    else:
        host, colon, digits = text.partition(":")
        rest = colon
    if rest and not (digits.isascii() and digits.isdigit() and 0 < int(digits) <= _MAX_PORT):
        raise ValueError(f"the port {safe_line(digits, 20)!r} is not a number from 1 to {_MAX_PORT}")
    return host, int(digits) if rest else 0


def normalize_host(name: str) -> str:
    """Return a host in lower case, with international names as they are in DNS, or an IP address.

    Raises:
        ValueError: it is not a name or an address. Numbers in other notations are addresses in disguise.
    """
    import ipaddress  # noqa: PLC0415 - slow to import, and commands are read without it

    name = name.removesuffix(".").lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        host = name.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(f"{safe_line(name, 80)!r} is not a host name") from error
    labels = host.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"{safe_line(name, 80)!r} is not a host name")
    return host


def is_address(host: str) -> bool:
    """Return whether a normalized host is an IP address."""
    return ":" in host or host.replace(".", "").isdigit()


def is_this_machine(host: str) -> bool:
    """Return whether a normalized host is the loopback, to which no program goes by a proxy."""
    return host in {"localhost", "::1"} or (is_address(host) and host.startswith("127."))


def is_allowed(rules: Iterable[HostRule], host: str, port: int) -> bool:
    """Return whether a rule allows a port of a normalized host."""
    return any(rule.allows(host, port) for rule in rules)


def is_forbidden_address(address: str) -> bool:
    """Return whether an address that a name resolved to is of this machine or of no single host.

    An allowed name must not lead to the services of this machine, or to the metadata of a cloud.
    """
    import ipaddress  # noqa: PLC0415

    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        number = int(found)
        embeds = any(found in ipaddress.ip_network(network) for network in _EMBEDDING)
        if found.ipv4_mapped or (embeds and number > 1):
            return is_forbidden_address(str(ipaddress.ip_address(number & 0xFFFFFFFF)))
        if found.sixtofour:
            return is_forbidden_address(str(found.sixtofour))
    is_special = found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast
    return is_special or str(found) in _METADATA
