"""Parsers for package manager manifests: name, description, dependencies and entry points."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec


class Manifest(NamedTuple):
    """The content of a manifest.

    `dependencies` maps package names to version constraints, `entries` are the commands and entry points.
    """

    name: str = ""
    purpose: str = ""
    dependencies: Mapping[str, str] = {}
    entries: tuple[str, ...] = ()


def parse_manifest(path: str, text: str) -> Manifest | None:
    """Parse a manifest; return None if the file is not a manifest or is malformed."""
    name = path.rpartition("/")[2]
    parse = _READERS.get(name) or (_parse_requirements_txt if _REQUIREMENTS.fullmatch(name) else None)
    if parse is None:
        return None
    with suppress(ValueError, KeyError, TypeError, AttributeError, msgspec.DecodeError, RecursionError):
        return parse(text)
    return None


_REQUIREMENTS = re.compile(r"requirements[\w.-]*\.(?:txt|in)")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*([^;#\s]*)")


def _parse_requirements(lines: Iterator[str] | list[str]) -> dict[str, str]:
    versions: dict[str, str] = {}
    for line in lines:
        match = _REQUIREMENT.match(str(line).replace(" ", ""))
        if match and "://" not in match[2]:
            versions[match[1].lower().replace("_", "-")] = match[2].rstrip("\\")
    return versions


def _parse_requirements_txt(text: str) -> Manifest:
    return Manifest(
        dependencies=_parse_requirements([row for row in text.splitlines() if row[:1].isalnum()])
    )


def _parse_pyproject(text: str) -> Manifest:
    table = tomllib.loads(text)
    project: dict[str, Any] = table.get("project", {})
    poetry: dict[str, Any] = table.get("tool", {}).get("poetry", {})
    dependencies = _parse_requirements(project.get("dependencies", []))
    for group in project.get("optional-dependencies", {}).values():
        dependencies = _parse_requirements(group) | dependencies
    for name, version in poetry.get("dependencies", {}).items():
        if name != "python":
            dependencies.setdefault(name.lower(), version if isinstance(version, str) else "")
    scripts = {**poetry.get("scripts", {}), **project.get("scripts", {}), **project.get("gui-scripts", {})}
    entries = tuple(f"{name}: {target}" for name, target in scripts.items())
    name = project.get("name") or poetry.get("name", "")
    return Manifest(
        name, project.get("description") or poetry.get("description", ""), dependencies, entries
    )


def _parse_package_json(text: str) -> Manifest:
    table: dict[str, Any] = msgspec.json.decode(text.encode())
    dependencies = {**table.get("peerDependencies", {}), **table.get("dependencies", {})}
    bin_field = table.get("bin") or {}
    commands = {table.get("name", ""): bin_field} if isinstance(bin_field, str) else bin_field
    entries = [f"{name}: {target}" for name, target in commands.items()]
    entries += [f"{key}: {table[key]}" for key in ("main", "module") if isinstance(table.get(key), str)]
    scripts = table.get("scripts", {})
    entries += [f"npm run {name}: {scripts[name]}" for name in ("start", "dev", "serve") if name in scripts]
    return Manifest(table.get("name", ""), table.get("description", ""), dependencies, tuple(entries))


def _parse_go_mod(text: str) -> Manifest:
    name = re.search(r"^module\s+(\S+)", text, re.M)
    direct = re.findall(r"^\s*(?:require\s+)?([\w.-]+\.[\w.-]+/\S+)\s+(v\S+)(?!.*// indirect)", text, re.M)
    return Manifest(name[1] if name else "", "", dict(direct), ())


def _parse_cargo(text: str) -> Manifest:
    table = tomllib.loads(text)
    package: dict[str, Any] = table.get("package", {})
    dependencies = {
        name: spec if isinstance(spec, str) else str(spec.get("version", ""))
        for name, spec in table.get("dependencies", {}).items()
    }
    entries = tuple(f"{binary['name']}: {binary.get('path', '')}" for binary in table.get("bin", []))
    return Manifest(
        str(package.get("name", "")), str(package.get("description", "")), dependencies, entries
    )


def _parse_composer(text: str) -> Manifest:
    table: dict[str, Any] = msgspec.json.decode(text.encode())
    dependencies = {name: version for name, version in table.get("require", {}).items() if "/" in name}
    return Manifest(
        table.get("name", ""), table.get("description", ""), dependencies, tuple(table.get("bin", []))
    )


def _parse_gemfile(text: str) -> Manifest:
    dependencies = re.findall(r"""^\s*gem\s+['"]([^'"]+)['"](?:\s*,\s*['"]([^'"]+)['"])?""", text, re.M)
    return Manifest(dependencies=dict(dependencies))


_READERS: Mapping[str, Callable[[str], Manifest]] = {
    "pyproject.toml": _parse_pyproject,
    "package.json": _parse_package_json,
    "go.mod": _parse_go_mod,
    "Cargo.toml": _parse_cargo,
    "composer.json": _parse_composer,
    "Gemfile": _parse_gemfile,
}
