"""Find the folders outside of a repository that its manifests name by relative paths, such as `../x`."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prunejuice.system.untrusted_files import is_folder, read_small_text

_REFERENCES = {
    "go.mod": re.compile(r"=>[ \t]*(\.\./\S+)"),
    "go.work": re.compile(r"^[ \t]*(?:use[ \t]+)?(\.\./\S+)", re.MULTILINE),
    "Cargo.toml": re.compile(r"\bpath\s*=\s*\"(\.\./[^\"]+)\""),
    "pyproject.toml": re.compile(r"\b(?:path|url)\s*=\s*\"(?:file:)?(\.\./[^\"]+)\""),
    "package.json": re.compile(r"\"(?:file:|link:|portal:)?(\.\./[^\"]+)\""),
    "requirements.txt": re.compile(r"^[ \t]*(?:-e[ \t]+|--editable[ =])?(\.\./\S+)", re.MULTILINE),
}

MANIFESTS = frozenset(_REFERENCES)


def find_outside_folders(tree: Path, paths: Iterable[str]) -> list[str]:
    """Return the existing folders outside of a tree that its manifests name, relative to its root."""
    found: dict[str, None] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        pattern = _REFERENCES.get(name)
        if pattern is None:
            continue
        for reference in pattern.findall(read_small_text(tree / path)):
            target = os.path.normpath(os.path.join(folder, reference))  # noqa: PTH118 - stays relative
            if target.startswith("../") and is_folder(tree / target):
                found[target] = None
    return list(found)


def list_missing_links(checkout: Path, tree: Path, paths: Iterable[str]) -> list[str]:
    """Return the names of folders beside a checkout that its manifests need and that a tree lacks.

    A folder further up is left out, since what is there may not belong to the tree, and so is the checkout.
    """
    folders = [] if tree.parent == checkout.parent else find_outside_folders(checkout, paths)
    names = dict.fromkeys(path.split("/")[1] for path in folders if path.count("../") == 1)
    names.pop(checkout.name, None)
    return [name for name in names if not os.path.lexists(tree.parent / name)]


def make_link(checkout: Path, tree: Path, name: str) -> None:
    """Make a link beside a tree to a folder beside the checkout, unless something is there by now."""
    with suppress(FileExistsError):
        (tree.parent / name).symlink_to(checkout.parent / name)
