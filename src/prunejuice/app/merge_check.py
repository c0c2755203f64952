"""Run a check on the files that a merge would make, before a branch moves to them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prunejuice.app.wiring import App
from prunejuice.environments import equipment, origin, submodules
from prunejuice.environments.checkout_overlay import GitHead, open_overlay
from prunejuice.environments.place import Place
from prunejuice.environments.place_sandbox import PlaceSandbox, open_place_sandbox
from prunejuice.environments.services import running_services
from prunejuice.errors import GateError
from prunejuice.sandbox import permissions
from prunejuice.sandbox.sandbox import Refusal
from prunejuice.steps import environment
from prunejuice.system import process
from prunejuice.system.redact import mask_bytes, secret_values
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line, safe_text
from prunejuice.worktrees import file_listing, merge, worktree
from prunejuice.worktrees.git import Git

_CHECK_SECONDS = 3600.0
_TAIL_BYTES = 4000
_SHOWN_LINES = 12
_WARNING = "⚠"
_CANNOT_START = {126, 127}
"""Exit codes of a shell that could not execute a program, or did not find it."""


class Merge(NamedTuple):
    """A branch, its commit before a merge, and the commit that the merge would make of it.

    The check runs in `folder`, a path relative to the top.
    """

    old: str
    new: str
    branch: str
    folder: str = "."


class _CheckEnd(NamedTuple):
    code: int
    output: str
    timed_out: bool


def require_passing_check(app: App, git: Git, wanted: Merge, command: str) -> None:
    """Run a check command on the files that a merge would make.

    Raises:
        GateError: the check failed; the message has the end of its output, and says whether the branch
            passes as it is.
    """
    ended = _run_check(app, git, wanted.new, command, wanted.folder)
    if not ended.code:
        return
    lines = ended.output.rstrip().splitlines()[-_SHOWN_LINES:]
    problem = "the check failed on the merged files"
    fix = "fix it in the worktree of the run and merge again; the branch is unchanged"
    if ended.code in _CANNOT_START:
        problem, fix = "the check could not start", "name a program that is installed"
    elif not ended.timed_out and _run_check(app, git, wanted.old, command, wanted.folder).code:
        fix = f"mend {wanted.branch!r} first: the check fails on it as it is, too; it is unchanged"
    raise GateError("\n".join([f"{problem}: {safe_line(command)}", *lines]), fix)


def _run_check(app: App, git: Git, commit: str, command: str, folder: str) -> _CheckEnd:
    lines: list[str] = []
    declared = environment.load_trusted_variables(
        app, str(app.project.root), lambda line: lines.append(f"{_WARNING} {line}")
    )
    hidden = secret_values(declared, app.settings.secret_names)
    with _open_place(app, git, commit, lines.append) as place:
        place = place._replace(declared=declared, sandbox=_open_sandbox(app, lines.append))
        report = place.scratch / "origin"
        env = place.variables(app.environ, report)
        argv = process.bash_argv(command, env.get("PATH"))
        directory = place.root / folder if (place.root / folder).is_dir() else place.root
        tail = bytearray()

        def keep_tail(chunk: bytes) -> None:
            tail.extend(chunk)
            del tail[:-_TAIL_BYTES]

        tag = f"{worktree.CHECK_PREFIX}{place.root.name}"
        spec = process.ProcessSpec(argv, directory, env, _CHECK_SECONDS, app.settings.grace, tag=tag)
        with running_services(app.settings, place, spec, Stop(), hidden) as served:
            ended = place.run(served, keep_tail)
        shadowed = origin.find_shadowed_module(report)
    lacking = [line.strip() for line in lines if _WARNING in line]
    output = "\n".join([safe_text(mask_bytes(bytes(tail), hidden)), *lacking])
    if shadowed:
        return _CheckEnd(ended.code or 1, f"{output}\n{shadowed}", ended.timed_out)
    return _CheckEnd(ended.code, output, ended.timed_out)


def _open_sandbox(app: App, tell: Callable[[str], None]) -> PlaceSandbox | None:
    """Return the sandbox of a check; `tell` is told what it refused, or why there is none."""

    def report(refusal: Refusal) -> None:
        tell(f"{_WARNING} {refusal}")

    containment = permissions.read_settings(app.settings)
    return open_place_sandbox(containment, app.settings, app.environ, tell, report)


@contextmanager
def _open_place(app: App, git: Git, commit: str, report: Callable[[str], None]) -> Iterator[Place]:
    """Check out a commit, and yield the place where its code is judged; `report` is told what it lacks."""
    main = git.for_main_worktree() if git.main_worktree else git
    checkout = Path(main.directory)
    with merge.temporary_worktree(git, commit, app.settings.worktree_parent) as tree:
        root = Path(tree.directory)
        scratch = worktree.scratch_folder(root)
        inner = submodules.write_submodules(main, commit, root, scratch / "submodule-index")
        files = [*_list_replaced(main), *inner]
        # Packages of other versions would judge the commit by what it no longer needs.
        if (
            app.settings.overlay
            and not equipment.find_changed_lock(checkout, root, [*files, *tree.list_tracked()])
            and (overlay := open_overlay(root, main, checkout, scratch / "overlay", files, app.environ))
        ):
            head = GitHead(commit, Path(tree.git_dir, "index"))
            yield Place(root, checkout, scratch, overlay.with_head(head))
            return
        may_install = app.is_trusted_by_person(str(app.project.root))
        supplies = equipment.plan_equipment(main, tree, app.environ, may_install=may_install)
        call = process.ProcessSpec((), "/", app.environ, grace=app.settings.grace)
        equipment.equip_tree(checkout, root, supplies, call, report)
        yield Place(root, checkout, scratch)


def _list_replaced(git: Git) -> list[str]:
    """Return the files, links and submodules of a checkout that a commit replaces or deletes."""
    listing = file_listing.list_files(git)
    kept = file_listing.SEPARATE_REPOSITORY
    return [*listing.files, *(path for path, reason in listing.skipped.items() if reason != kept)]
