"""What a project says of itself in the file of its package manager."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec


class Manifest(NamedTuple):
    """`dependencies` are names with the versions that will do; `entries` are what can be started."""

    name: str = ""
    purpose: str = ""
    dependencies: Mapping[str, str] = {}
    entries: tuple[str, ...] = ()


def manifest(path: str, text: str) -> Manifest | None:
    """What a manifest says; None where the file is none, or cannot be read."""
    name = path.rpartition("/")[2]
    read = _READERS.get(name) or (_requirements if _REQUIREMENTS.fullmatch(name) else None)
    if read is None:
        return None
    with suppress(ValueError, KeyError, TypeError, AttributeError, msgspec.DecodeError, RecursionError):
        return read(text)
    return None


_REQUIREMENTS = re.compile(r"requirements[\w.-]*\.(?:txt|in)")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*([^;#\s]*)")


def _required(lines: Iterator[str] | list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        match = _REQUIREMENT.match(str(line).replace(" ", ""))
        if match and "://" not in match[2]:
            found[match[1].lower().replace("_", "-")] = match[2].rstrip("\\")
    return found


def _requirements(text: str) -> Manifest:
    return Manifest(dependencies=_required([row for row in text.splitlines() if row[:1].isalnum()]))


def _pyproject(text: str) -> Manifest:
    table = tomllib.loads(text)
    project: dict[str, Any] = table.get("project", {})
    poetry: dict[str, Any] = table.get("tool", {}).get("poetry", {})
    needs = _required(project.get("dependencies", []))
    for group in project.get("optional-dependencies", {}).values():
        needs = _required(group) | needs
    for name, version in poetry.get("dependencies", {}).items():
        if name != "python":
            needs.setdefault(name.lower(), version if isinstance(version, str) else "")
    scripts = {**poetry.get("scripts", {}), **project.get("scripts", {}), **project.get("gui-scripts", {})}
    entries = tuple(f"{name}: {target}" for name, target in scripts.items())
    name = project.get("name") or poetry.get("name", "")
    return Manifest(name, project.get("description") or poetry.get("description", ""), needs, entries)


def _package(text: str) -> Manifest:
    table: dict[str, Any] = msgspec.json.decode(text.encode())
    needs = {**table.get("peerDependencies", {}), **table.get("dependencies", {})}
    started = table.get("bin") or {}
    bins = {table.get("name", ""): started} if isinstance(started, str) else started
    entries = [f"{name}: {target}" for name, target in bins.items()]
    entries += [f"{key}: {table[key]}" for key in ("main", "module") if isinstance(table.get(key), str)]
    scripts = table.get("scripts", {})
    entries += [f"npm run {name}: {scripts[name]}" for name in ("start", "dev", "serve") if name in scripts]
    return Manifest(table.get("name", ""), table.get("description", ""), needs, tuple(entries))


def _go(text: str) -> Manifest:
    name = re.search(r"^module\s+(\S+)", text, re.M)
    direct = re.findall(r"^\s*(?:require\s+)?([\w.-]+\.[\w.-]+/\S+)\s+(v\S+)(?!.*// indirect)", text, re.M)
    return Manifest(name[1] if name else "", "", dict(direct), ())


def _cargo(text: str) -> Manifest:
    table = tomllib.loads(text)
    package: dict[str, Any] = table.get("package", {})
    needs = {
        name: spec if isinstance(spec, str) else str(spec.get("version", ""))
        for name, spec in table.get("dependencies", {}).items()
    }
    entries = tuple(f"{each['name']}: {each.get('path', '')}" for each in table.get("bin", []))
    return Manifest(str(package.get("name", "")), str(package.get("description", "")), needs, entries)


def _composer(text: str) -> Manifest:
    table: dict[str, Any] = msgspec.json.decode(text.encode())
    needs = {name: version for name, version in table.get("require", {}).items() if "/" in name}
    return Manifest(table.get("name", ""), table.get("description", ""), needs, tuple(table.get("bin", [])))


def _gemfile(text: str) -> Manifest:
    needs = re.findall(r"""^\s*gem\s+['"]([^'"]+)['"](?:\s*,\s*['"]([^'"]+)['"])?""", text, re.M)
    return Manifest(dependencies=dict(needs))


_READERS: Mapping[str, Callable[[str], Manifest]] = {
    "pyproject.toml": _pyproject,
    "package.json": _package,
    "go.mod": _go,
    "Cargo.toml": _cargo,
    "composer.json": _composer,
    "Gemfile": _gemfile,
}
