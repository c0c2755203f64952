"""What a person allows in a sandbox, and how settings, commands, steps and flags combine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from prunejuice.errors import UsageError
from prunejuice.sandbox.hosts import HostRule, is_this_machine, parse_host_rule, split_port
from prunejuice.sandbox.policy import ResourceLimits
from prunejuice.system.settings import Settings
from prunejuice.text import safe_line, spelling_hint

Mode = Literal["", "off", "files", "files+net"]
"""What a sandbox contains: nothing, files, or files and the network; "" if nobody chose."""
MODES: tuple[Mode, ...] = ("off", "files", "files+net")
"""The modes that can be chosen, from the weakest to the strongest."""
KINDS = ("write", "read", "hosts", "services")
"""What can be allowed."""


class Permissions(Struct, frozen=True, omit_defaults=True):
    """What processes of a sandbox may do besides writing to their tree.

    `write` and `read` are paths: relative to the tree, absolute, or in the home folder with `~`. `hosts`
    are host rules. `services` are ports of this machine, as `5432` or `postgres:5432`.
    """

    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    def union(self, other: "Permissions") -> "Permissions":
        """Return what either allows."""
        merged = {
            kind: tuple(dict.fromkeys((*getattr(self, kind), *getattr(other, kind)))) for kind in KINDS
        }
        return Permissions(**merged)

    def without_hosts(self) -> "Permissions":
        """Return what is allowed where the network is not limited."""
        return replace(self, hosts=(), services=())

    def host_rules(self) -> tuple[HostRule, ...]:
        """Return the rules of the hosts."""
        return tuple(map(parse_host_rule, self.hosts))

    def ports(self) -> tuple[int, ...]:
        """Return the ports of the services, and of hosts that are this machine."""
        own = (rule.port for rule in self.host_rules() if rule.port and is_this_machine(rule.host))
        return tuple(dict.fromkeys((*map(_parse_service, self.services), *own)))


class Containment(Struct, frozen=True, omit_defaults=True):
    """A mode, what is allowed in it, and limits.

    With `is_final`, a flag or a variable chose the mode, and nothing changes it.
    """

    mode: Mode = ""
    allow: Permissions = Permissions()
    is_final: bool = False
    limits: ResourceLimits = ResourceLimits()

    @property
    def is_on(self) -> bool:
        """Whether there is a sandbox because somebody asked for one."""
        return self.mode not in {"", "off"}

    def combine(self, other: "Containment") -> "Containment":
        """Return the stronger mode of both, or the final one, with what either allows."""
        allow = self.allow.union(other.allow)
        if self.is_final:
            return replace(self, allow=allow)
        return replace(self, mode=stronger_mode(self.mode, other.mode), allow=allow)


def read_settings(settings: Settings) -> Containment:
    """Return the containment of the settings. What a variable says is final; a flag sets it.

    Raises:
        UsageError: what is allowed, or a limit, has a mistake.
    """
    from prunejuice.sandbox.limits import parse_limits  # noqa: PLC0415 - only for runs

    is_final = settings.sources.get("sandbox") == "environment"
    allow = require_permissions(settings.allow, "the setting allow")
    mode = require_mode(settings.sandbox, "the setting sandbox")
    return Containment(mode, allow, is_final, parse_limits(settings.limits))


class PermissionMistake(NamedTuple):
    """A mistake in what is allowed: the kind, or "", the message and the fix."""

    kind: str
    message: str
    fix: str = ""


def format_refusal(target: str, fix: str) -> str:
    """Return what a process wanted and did not get, and how to allow it, as one line."""
    return f"wanted {target}{f' — {fix}' if fix else ''}"


def stronger_mode(first: Mode, second: Mode) -> Mode:
    """Return the mode of two that contains more; one that nobody chose is the weakest."""
    order: Sequence[Mode] = ("", *MODES)
    return max(first, second, key=order.index)


def read_permissions(value: Any) -> tuple[Permissions, list[PermissionMistake]]:
    """Return what a mapping of lists allows, and the mistakes in it."""
    if not isinstance(value, Mapping):
        return Permissions(), [PermissionMistake("", "must be a mapping", "allow: {hosts: [example.org]}")]
    mistakes = [
        PermissionMistake(str(key), "is not a kind of permission", spelling_hint(str(key), KINDS))
        for key in value
        if key not in KINDS
    ]
    texts: dict[str, tuple[str, ...]] = {}
    for kind in KINDS:
        items = value.get(kind) or []
        items = items if isinstance(items, list | tuple) else [items]
        texts[kind] = tuple(str(item) for item in items)
        mistakes += _list_mistakes(kind, texts[kind])
    return Permissions(**texts) if not mistakes else Permissions(), mistakes


def _list_mistakes(kind: str, items: Sequence[str]) -> Iterator[PermissionMistake]:
    for item in items:
        try:
            _PARSERS[kind](item)
        except ValueError as error:
            yield PermissionMistake(kind, f"{safe_line(item, 80)!r}: {error}")


def _parse_path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("is not a path")
    return text


def _parse_service(text: str) -> int:
    """Return the port of a service of this machine; the name before it is for readers."""
    port = split_port(text if ":" in text else f"service:{text}")[1]
    if not port:
        raise ValueError("a service is a port of this machine: 5432 or postgres:5432")
    return port


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "write": _parse_path,
    "read": _parse_path,
    "hosts": parse_host_rule,
    "services": _parse_service,
}


def require_permissions(value: Any, place: str) -> Permissions:
    """Return what a mapping allows; `place` is for the message.

    Raises:
        UsageError: it has a mistake.
    """
    permissions, mistakes = read_permissions(value)
    if mistakes:
        kind, message, fix = mistakes[0]
        raise UsageError(f"{place}{f'.{kind}' if kind else ''}: {message}", fix)
    return permissions


def require_mode(value: object, place: str) -> Mode:
    """Return a mode; the word `off` may have become a boolean on the way.

    Raises:
        UsageError: it is none.
    """
    word = "off" if value is False else str(value)
    if word not in ("", *MODES):
        fix = spelling_hint(word, MODES) or f"use one of {', '.join(MODES)}"
        raise UsageError(f"{place} must be one of {', '.join(MODES)}, not {safe_line(word, 40)!r}", fix)
    return word
