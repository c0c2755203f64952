"""Find the program that runs the tests of a package of JavaScript or TypeScript, by its package.json."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from prunejuice.system.untrusted_files import read_small_text

Tool = Literal["node", "jest", "vitest"]
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_NODE_PROGRAMS = frozenset(("node", "tsx"))
_KEPT_OPTIONS = frozenset(("-c", "--config", "--root", "--dir", "--rootDir"))
_PREFIXES = frozenset(("npx", "cross-env", "yarn", "pnpm", "exec", "run", "--no-install"))
_OTHER_TOOLS = ("mocha", "ava", "tap", "jasmine", "uvu", "bun test", "deno test")


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
        return self.program == "tsx" or any(
            option.startswith(("--import", "--loader", "--experimental-loader", "--require", "-r"))
            for option in self.options
        )


def find_test_script(root: Path, source: str) -> NodeScript | str:
    """Return how the tests of a source are run, or the name of a tool that is not known."""
    packages = list(_list_packages(root, source))
    for folder, package in packages:
        script = str(_table(package, "scripts").get("test", ""))
        if tool := _tool_of_script(script):
            return _parse_script(script, folder, tool)
        installed = {*_table(package, "devDependencies"), *_table(package, "dependencies")}
        for name in ("vitest", "jest"):
            if name in installed:
                return _parse_script(name, folder, name)
        if other := next((name for name in _OTHER_TOOLS if name in script), ""):
            return other
    return NodeScript("node", packages[0][0] if packages else ".", "node")


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


def _tool_of_script(script: str) -> Tool | None:
    if re.search(r"\bvitest\b", script):
        return "vitest"
    if re.search(r"\bjest\b", script):
        return "jest"
    return "node" if re.search(r"\b(?:node|tsx)\b.*\s--test\b", script) else None


def _parse_script(script: str, folder: str, tool: Tool) -> NodeScript:
    """Parse the part of a script that runs the tool."""
    parts = [part for part in re.split(r"&&|\|\||;", script) if _tool_of_script(part) == tool] or [tool]
    try:
        words = shlex.split(parts[-1])
    except ValueError:  # an unclosed quote
        words = [tool]
    variables: dict[str, str] = {}
    while words and (words[0] in _PREFIXES or _ASSIGNMENT.fullmatch(words[0])):
        if found := _ASSIGNMENT.fullmatch(words.pop(0)):
            variables[found[1]] = found[2]
    if tool == "node":
        return _parse_node(words, folder, variables)
    place = next((at for at, word in enumerate(words) if tool in word), 0)
    if words[:1] == ["node"] and place > 1:  # node --experimental-vm-modules node_modules/jest/bin/jest.js
        variables["NODE_OPTIONS"] = " ".join([variables.get("NODE_OPTIONS", ""), *words[1:place]]).strip()
    return NodeScript(tool, folder, tool, tuple(_kept_options(words[place + 1 :])), (), variables)


def _parse_node(words: list[str], folder: str, variables: Mapping[str, str]) -> NodeScript:
    """Parse a call of `node --test`; an option keeps a value that follows it as a word of its own."""
    at = words.index("--test") if "--test" in words else len(words)
    before, after = words[1:at], words[at + 1 :]
    options = [*before, *(word for word in after if word.startswith("-") and "reporter" not in word)]
    files = [word for word in after if not word.startswith("-")]
    program = words[0] if words and words[0] in _NODE_PROGRAMS else "node"
    return NodeScript("node", folder, program, tuple(options), tuple(files), variables)


def _kept_options(words: list[str]) -> Iterator[str]:
    """Yield the options that choose the configuration; others choose tests or reports."""
    for at, word in enumerate(words):
        if word in _KEPT_OPTIONS:
            yield from words[at : at + 2]
        elif word.partition("=")[0] in _KEPT_OPTIONS:
            yield word
