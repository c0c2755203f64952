"""Find the program that runs the tests of a package of JavaScript or TypeScript, by its package.json."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from prunejuice.system.untrusted_files import read_small_text

Tool = Literal["node", "jest", "vitest"]
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_ANOTHER_SCRIPT = re.compile(r"(?:npm|pnpm|yarn|bun)(?: run(?:-script)?)?(?: --?s\w*)? ([\w:.-]+)\s*$")
_NO_TEST = "no test specified"
"""What the script says that `npm init` writes."""
_NODE_PROGRAMS = frozenset(("node", "tsx"))
_NODE_VALUES = frozenset((
    *("--import", "--require", "-r", "--loader", "--experimental-loader", "--conditions", "-C"),
    *("--env-file", "--test-concurrency", "--test-timeout", "--test-shard", "--tsconfig"),
))
"""Options of node that are followed by a value."""
_LOADERS = ("--import", "--loader", "--experimental-loader", "--require", "-r")
_KEPT_VALUES = frozenset((
    *("-c", "--config", "--root", "--dir", "--rootDir", "--env", "--environment", "--testEnvironment"),
    *("--preset", "--project", "--projects", "--selectProjects", "-r", "--mode", "--setupFiles"),
    *("--setupFilesAfterEnv", "--pool", "--roots", "--testTimeout", "--transform"),
))
"""Options of jest and vitest with a value that decide how tests are run."""
_KEPT_FLAGS = frozenset(("--globals", "--dom", "--runInBand", "-i", "--experimental-vm-modules"))


class NodeScript(NamedTuple):
    """The way in which the tests of a package are run.

    `folder` is that of the package, relative to the root of the tree. `program` is `node`, or the name of a
    program of the package. `options` are those of the program, `files` the patterns of the files with tests
    (empty for those that the tool finds), and `variables` those that the script sets.
    """

    tool: Tool
    folder: str
    program: str
    options: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}

    @property
    def has_loader(self) -> bool:
        """Whether node translates the sources before it runs them."""
        return self.program == "tsx" or any(option.partition("=")[0] in _LOADERS for option in self.options)


def find_test_script(root: Path, source: str) -> NodeScript | str:
    """Return how the tests of a source are run, or the script that says so in a way that is not known."""
    packages = list(_list_packages(root, source))
    unknown = ""
    for folder, package in packages:
        script = _resolve_script(_table(package, "scripts"))
        if tool := _tool_of_script(script):
            return _parse_script(script, folder, tool)
        installed = {*_table(package, "devDependencies"), *_table(package, "dependencies")}
        for name in ("vitest", "jest"):
            if name in installed:
                return _parse_script(name, folder, name)
        unknown = unknown or ("" if _NO_TEST in script else script)
    return unknown or NodeScript("node", packages[0][0] if packages else ".", "node")


def _list_packages(root: Path, source: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the packages that a source belongs to, the innermost first."""
    for folder in PurePosixPath(source).parents:
        text = read_small_text(root / folder / "package.json")
        try:
            package = json.loads(text or "null")
        except (ValueError, RecursionError):
            continue
        if isinstance(package, dict):
            yield str(folder), package


def _table(package: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = package.get(key)
    return value if isinstance(value, dict) else {}


def _resolve_script(scripts: Mapping[str, Any]) -> str:
    """Return the script `test`, or the one that it runs."""
    name, script = "test", ""
    for _ in range(4):
        script = str(scripts.get(name, ""))
        found = _ANOTHER_SCRIPT.fullmatch(script.strip())
        if not found or found[1] not in scripts:
            break
        name = found[1]
    return script


def _tool_of_script(script: str) -> Tool | None:
    words = set(re.split(r"[\s;&|]+", script))
    if "vitest" in words:
        return "vitest"
    if "jest" in words or any(word.endswith("/jest.js") for word in words):
        return "jest"
    return "node" if "--test" in words and words & _NODE_PROGRAMS else None


def _parse_script(script: str, folder: str, tool: Tool) -> NodeScript:
    """Parse the part of a script that runs the tool."""
    parts = [part for part in re.split(r"&&|\|\||;", script) if _tool_of_script(part) == tool] or [tool]
    try:
        words = shlex.split(parts[-1])
    except ValueError:  # an unclosed quote
        words = [tool]
    programs = _NODE_PROGRAMS if tool == "node" else {tool, "jest.js"}
    at = next((at for at, word in enumerate(words) if word.rpartition("/")[2] in programs), 0)
    before = words[:at]
    variables = {found[1]: found[2] for word in before if (found := _ASSIGNMENT.fullmatch(word))}
    if tool == "node":
        options, files = _parse_node_words(words[at + 1 :])
        return NodeScript("node", folder, words[at], tuple(options), tuple(files), variables)
    if "node" in before:  # node --experimental-vm-modules node_modules/jest/bin/jest.js
        given = " ".join([variables.get("NODE_OPTIONS", ""), *before[before.index("node") + 1 :]])
        variables["NODE_OPTIONS"] = given.strip()
    return NodeScript(tool, folder, tool, tuple(_kept_options(words[at + 1 :])), (), variables)


def _parse_node_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options and the patterns of files of a call of `node --test`."""
    options, files = [], []
    rest = iter(words)
    for word in rest:
        is_ours = word == "--test" or word.startswith(("--test-reporter", "--experimental-test-coverage"))
        value = [next(rest, "")] if word in _NODE_VALUES or word == "--test-reporter" else []
        if not word.startswith("-"):
            files.append(word)
        elif not is_ours:
            options += [word, *value]
    return options, files


def _kept_options(words: Sequence[str]) -> Iterator[str]:
    """Yield the options that decide how tests are run; others choose tests or reports."""
    for at, word in enumerate(words):
        name = word.partition("=")[0]
        if word in _KEPT_FLAGS or (name in _KEPT_VALUES and "=" in word):
            yield word
        elif word in _KEPT_VALUES:
            yield from words[at : at + 2]
