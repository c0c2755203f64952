"""Edits that name a file without its folder: they mean the caller's folder, or the file of that name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from prunejuice.changes.tree_state import TreeState
from prunejuice.edits import path_rules
from prunejuice.edits.diff import Version
from prunejuice.edits.edit import Edit
from prunejuice.system import settings
from prunejuice.worktrees import git as gits

_MAX_NAMESAKES = 10


def caller_folder(tree: TreeState, directory: Path | None) -> str:
    """Return the path of a folder in a tree; empty for the root, and for a folder outside."""
    root, here = tree.root.resolve(), (directory or tree.root).resolve()
    return "" if here == root or not here.is_relative_to(root) else here.relative_to(root).as_posix()


def place_bare_names(
    edits: Sequence[Edit], folder: str, read_version: Callable[[str], Version]
) -> list[Edit]:
    """Return edits whose names without a folder are those of `folder`, unless the root has such a file."""

    def is_there(path: str) -> bool:
        return not path_rules.invalid_path_reason(path) and read_version(path).data is not None

    def place(edit: Edit) -> Edit:
        path = f"{folder}/{edit.path}"
        if not folder or "/" in edit.path or is_there(edit.path) or (edit.guess and not is_there(path)):
            return edit
        return replace(edit, path=path)

    return [place(edit) for edit in edits]


def find_namesakes(tree: TreeState, name: str) -> list[str]:
    """Return the paths of files in other folders of a tree that have a name; none outside git."""
    if not gits.may_be_in_repository(tree.root):
        return []
    git = gits.open_git(str(tree.root), dict(settings.environment())).locate()
    files = git.with_clean_config(Path(git.git_dir) / "index")
    pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in name)
    listed = files.run("ls-files", "-z", "-c", "-o", "--exclude-standard", "--", f":(glob)*/**/{pattern}")
    return sorted(set(filter(None, listed.split("\0"))))[:_MAX_NAMESAKES]
