"""Write the submodules of a commit into a tree: a check of it must not see those of the checkout."""

from pathlib import Path

from prunejuice.errors import GateError
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.checkout import SUBMODULE_MODE
from prunejuice.worktrees.git import Git


def write_submodules(git: Git, commit: str, root: Path, index_file: Path) -> list[str]:
    """Write each submodule that the checkout of `git` has into the tree of a commit, as that names it.

    `index_file` is a file to work with. Return the files that the checkout has in them.

    Raises:
        GateError: the checkout lacks the commit of a submodule.
    """
    listed = git.run("ls-tree", "-r", "-z", commit, limit=1 << 28).split("\0")
    submodules = [entry for entry in listed if entry.startswith(f"{SUBMODULE_MODE} ")]
    files: list[str] = []
    for entry in submodules:
        details, _, path = entry.partition("\t")
        folder = Path(git.directory) / path
        if not (folder / ".git").exists():  # not checked out there, either
            continue
        wanted = details.split(" ")[2]
        inner = gits.open_git(folder, git.environ, git.stop).locate()
        if not inner.resolve(wanted):
            where = safe_line(path, 80)
            raise GateError(
                f"the check needs commit {wanted[:12]} of the submodule {where}, which is not here",
                f"run `git -C {safe_line(str(folder), 200)} fetch`, then merge again",
            )
        files += [
            f"{path}/{name}" for name in inner.run("ls-files", "-z", limit=1 << 28).split("\0") if name
        ]
        index_file.unlink(missing_ok=True)
        writer = inner.with_clean_config(index_file)
        writer.run("read-tree", wanted)
        writer.run("checkout-index", "--all", "--quiet", f"--prefix={root / path}/")
    return files
