"""Tell additions to the settings of checks that cannot change how anything is judged now. Pure."""

import ast
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from prunejuice.edits.diff import FileDiff

_MAKE_TARGET = re.compile(r"([A-Za-z0-9][\w./-]*(?: [\w./-]+)*)\s*:(?![:=])[^=]*\Z")
_MAKEFILE = re.compile(r"(?:^|/)(?:GNUmakefile|makefile)$", re.IGNORECASE)
_LIFE_CYCLE = re.compile(r"(?:pre|post)")
_BUILT_IN_SCRIPTS = {"install", "prepare", "prepublish", "dependencies", "test", "start", "stop", "restart"}


def is_plain_addition(diff: FileDiff) -> bool:
    """Return whether a change only adds what no existing check uses.

    That is a `conftest.py` with nothing but fixtures that tests ask for by name, markers of pytest, a
    script of `package.json`, or a target of a Makefile.
    """
    if diff.to or diff.new.data is None or diff.new.link or b"\0" in diff.new.data:
        return False
    name, old, new = diff.path.rpartition("/")[2], diff.old.data, diff.new.data
    if name == "conftest.py":
        return old is None and _has_only_fixtures(new)
    if old is None:
        return False
    if name == "pyproject.toml":
        return _adds_only_markers(old, new)
    if name == "package.json":
        return _adds_only_scripts(old, new)
    return bool(_MAKEFILE.search(diff.path)) and _adds_only_targets(old.decode(), new.decode())


def _has_only_fixtures(source: bytes) -> bool:
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return False
    return all(map(_is_plain_statement, statements))


def _is_plain_statement(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return all(_is_plain_name(name.asname or name.name) for name in node.names)
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return (
                _is_plain_name(node.name) and all(map(_is_fixture, node.decorator_list)) and _is_inert(node)
            )
        case ast.Assign(targets=[ast.Name(id=name)]):
            return _is_plain_name(name) and _is_constant(node.value)
    return False


def _is_plain_name(name: str) -> bool:
    """Return whether pytest gives a name in a `conftest.py` no meaning."""
    return name != "*" and not name.startswith(("pytest_", "collect_"))


def _is_fixture(decorator: ast.expr) -> bool:
    """Return whether a decorator makes a fixture that tests ask for by its own name."""
    if isinstance(decorator, ast.Call):
        words = decorator.keywords
        known = all(word.arg in {"scope", "params", "ids"} and _is_constant(word.value) for word in words)
        return known and not decorator.args and _is_fixture(decorator.func)
    return ast.unparse(decorator) in {"pytest.fixture", "fixture"}


def _is_inert(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a definition calls nothing when it is read."""
    head = [function.args, *([function.returns] if function.returns else [])]
    return not any(isinstance(node, ast.Call | ast.Lambda) for part in head for node in ast.walk(part))


def _is_constant(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return False
    return True


def _adds_only_markers(old: bytes, new: bytes) -> bool:
    try:
        before, after = tomllib.loads(old.decode()), tomllib.loads(new.decode())
        markers, more = _pop_markers(before), _pop_markers(after)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError):
        return False
    are_lists = isinstance(markers, list) and isinstance(more, list)
    return are_lists and more[: len(markers)] == markers and before == after


def _pop_markers(manifest: dict[str, Any]) -> Any:
    """Take the list of markers out of a manifest, and the tables that it leaves empty."""
    options = manifest.setdefault("tool", {}).setdefault("pytest", {}).setdefault("ini_options", {})
    return options.pop("markers", [])


def _adds_only_scripts(old: bytes, new: bytes) -> bool:
    try:
        before, after = json.loads(old), json.loads(new)
        scripts, more = before.pop("scripts", {}), after.pop("scripts", {})
    except (ValueError, RecursionError, AttributeError):
        return False
    return before == after and _has_only_new_names(scripts, more)


def _has_only_new_names(scripts: Any, more: Any) -> bool:
    if not (isinstance(scripts, Mapping) and isinstance(more, Mapping)):
        return False
    added = [name for name in more if name not in scripts]
    kept = {name: more[name] for name in more if name in scripts}
    return kept == scripts and not any(_runs_by_itself(name) for name in added)


def _runs_by_itself(script: str) -> bool:
    """Return whether npm runs a script without being asked for it by this name."""
    return bool(_LIFE_CYCLE.match(script)) or script in _BUILT_IN_SCRIPTS


def _adds_only_targets(old: str, new: str) -> bool:
    if not new.startswith(old) or not old.endswith("\n") or old.endswith("\\\n"):
        return False
    known = _target_names(old)
    for line in new[len(old) :].split("\n"):
        match = _MAKE_TARGET.match(line)
        is_new_target = match is not None and not known & {*match[1].split()}
        if line.strip() and not line.startswith(("\t", "#", ".PHONY:")) and not is_new_target:
            return False
    return not new[len(old) :].lstrip("\n").startswith("\t")  # a recipe of the target before


def _target_names(text: str) -> set[str]:
    return {
        word
        for line in text.split("\n")
        if (match := _MAKE_TARGET.match(line))
        for word in match[1].split()
    }
