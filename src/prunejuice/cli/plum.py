"""`plum`: worktrees by hand, in the grammar of the shell tool and in that of programs."""

import os
import re
import secrets
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

import prunejuice
from prunejuice import app as apps
from prunejuice import git as gits
from prunejuice import process, settings, trust
from prunejuice.cli import boundary, render
from prunejuice.errors import NotFoundError, PruneJuiceError, UsageError
from prunejuice.git import Git
from prunejuice.run import ENDED
from prunejuice.text import nearest, safe_line
from prunejuice.workspaces import listing, tmux, usable, worktree
from prunejuice.workspaces.listing import Entry, Made

PATTERN = "{prefix}-{suffix}"
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


class Place(NamedTuple):
    """Where `plum` was called: `given` are the variables of the shell tool."""

    app: apps.App
    git: Git
    given: dict[str, str | list[str]]

    def word(self, *names: str) -> str:
        """The first of the variables that is set."""
        return next((str(self.given[name]) for name in names if self.given.get(name)), "")


def _place() -> Place:
    app = apps.open_app()
    git = gits.git(str(app.project.root), dict(app.environ)).located()
    return Place(app, git, settings.shell_tools(app.environ, "plum"))


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(prunejuice.__version__, "--version", message="PruneJuice %(version)s")
@click.option("--config", is_flag=True, help="Show what is set, and where it comes from.")
@click.pass_context
def plum(context: click.Context, *, config: bool) -> None:
    """Make, list and remove worktrees. Nothing of your checkout is touched, and nothing is lost."""
    if config:
        _show_config()
    elif context.invoked_subcommand is None:
        raise click.UsageError("name a command: create, list, path, remove, prune", context)


def _show_config() -> None:
    place = _place()
    rows = [(name, shlex.join(v) if isinstance(v, list) else v) for name, v in sorted(place.given.items())]
    own = place.app.settings
    rows += [
        (f"setting {name}", str(getattr(own, name))) for name in ("worktree_parent", "setup", "trash_days")
    ]
    for row in render.columns((safe_line(name), safe_line(value)) for name, value in rows):
        render.out(row)


class Wish(NamedTuple):
    """A worktree as it was asked for."""

    branch: str
    path: Path
    base: str
    base_name: str
    files: list[str]
    template: Path | None


@plum.command("create")
@click.argument("name", required=False, default="", metavar="[SUFFIX|BRANCH]")
@click.option(
    "--from", "base", default="", metavar="BRANCH", help="Where it begins  [PLUM_DEFAULT_BRANCH, or HEAD]."
)
@click.option(
    "-m", "--mcp", "template", is_flag=False, flag_value="?", default="", help="MCP template to activate."
)
@click.option(
    "--pattern", default="", help="Name of the branch: {prefix} {suffix} {username} {project} {date}."
)
@click.option("--no-copy-files", is_flag=True, help="Do not copy .worktreeinclude and PLUM_FILES_TO_COPY.")
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("-i", "--interactive", is_flag=True, help="Ask for what is not given.")
@_JSON
def create_command(
    *, name: str, base: str, dry_run: bool, interactive: bool, as_json: bool, **more: Any
) -> None:
    """Make a worktree with a branch of its own, ready to work in.

    A name with a slash, or of a branch that is there, is the branch itself; any other is a suffix, put
    behind the prefix (WORKTREE_NAME_PREFIX, GITHUB_USERNAME or the project's name).
    """
    place = _place()
    if interactive:
        name = name or click.prompt("suffix or branch", default=_patch(), err=True)
        base = base or click.prompt("from", default=place.word("PLUM_DEFAULT_BRANCH") or "HEAD", err=True)
    wish = _wish(place, name, base, more)
    if dry_run:
        _planned(wish, as_json=as_json)
        return
    say = _quiet if as_json else _say
    for line in (
        f"Creating worktree with branch: {wish.branch}",
        f"Creating worktree: {wish.path}",
        f"With branch: {wish.branch}",
        f"From base: {wish.base_name}",
    ):
        say(line)
    wanted = worktree.Wanted(wish.path, wish.branch, wish.base, _owner(place, wish))
    made = worktree.create(place.git, wanted)
    port, copied = _equipped(place, wish, made, say)
    if as_json:
        about = {"path": made.path, "branch": made.branch, "base": made.base, "port": port}
        render.json("worktree", {**about, "copied": [each._asdict() for each in copied]})
        return
    _opened(place, made.path)
    for line in (
        "✅ Worktree created successfully!",
        f"   Path: {made.path}",
        f"   Branch: {made.branch}",
        f"Worktree created at: {made.path}",
    ):
        say(line)


def _owner(place: Place, wish: Wish) -> str:
    """For whom a worktree is made: one whose set-up failed is taken up again, any other is in the way."""
    there = next(iter(listing.entries(place.git, wish.path)), None)
    owner = there.made.owner if there and there.made else ""
    failed = owner.startswith("plum:") and there and not (there.git_dir / usable.DONE).exists()
    return owner if failed and place.app.settings.setup else f"plum:{time.time_ns()}"


def _say(line: str) -> None:
    render.out(safe_line(line, 400))


def _quiet(_line: str) -> None:
    """Say nothing: a program listens."""


def _wish(place: Place, name: str, base: str, more: dict[str, Any]) -> Wish:
    git = place.git
    branch = _branch(place, name, more["pattern"])
    base_name = base or place.word("PLUM_DEFAULT_BRANCH") or "HEAD"
    commit = git.head() if base_name == "HEAD" else git.resolve(base_name)
    if not commit:
        raise UsageError(
            f"there is no commit {safe_line(base_name, 80)!r} to begin at", "name one with --from"
        )
    main = git.from_main()
    named = place.word("PLUM_PARENT_DIR")  # from the main working tree, as the shell tool has it
    above = str(Path(main.directory) / Path(named).expanduser()) if named else ""
    path = worktree.place(git, place.app.settings.worktree_parent or above, branch)
    files = (
        [] if more["no_copy_files"] else [*usable.included(main), *usable.files_to_copy(place.app.environ)]
    )
    shown = git.branch() if base_name == "HEAD" else base_name
    return Wish(branch, path, commit, shown or commit[:12], files, _template(place, more["template"]))


def _branch(place: Place, name: str, pattern: str) -> str:
    git = place.git
    project = Path(git.main or git.common).name
    user = place.word("PLUM_GITHUB_USERNAME", "GITHUB_USERNAME")
    prefix = place.word("WORKTREE_NAME_PREFIX") or user or _plain(project)
    whole = "/" in name or name.startswith(f"{prefix}-") or (name and git.resolve(f"refs/heads/{name}"))
    if whole and not pattern:
        return name
    words = {"prefix": prefix, "suffix": name or _patch(), "username": user or prefix}
    words |= {"project": _plain(project), "date": time.strftime("%Y%m%d")}
    return worktree.named(pattern or place.word("PLUM_PATTERN") or PATTERN, words)


def _plain(name: str) -> str:
    """A name in the characters that a branch may have."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._") or "project"


def _patch() -> str:
    """A suffix for what has no name: the second, and more when two come in the same one."""
    return f"patch-{int(time.time())}-{secrets.token_hex(2)}"


def _template(place: Place, name: str) -> Path | None:
    """The MCP template of a name; `?` asks for the only one."""
    auto = place.word("PLUM_MCP_AUTO_ACTIVATE")
    name = name or ("?" if auto == "true" else "")
    if not name:
        return None
    folder = Path(place.git.from_main().directory) / (
        place.word("PLUM_MCP_TEMPLATE_DIR") or "mcp-json-templates"
    )
    files = (
        path for path in sorted(folder.glob(".mcp.*.json")) if path.is_file() and not path.is_symlink()
    )
    known = {path.name[len(".mcp.") : -len(".json")]: path for path in files}
    if name == "?" and len(known) == 1:
        return next(iter(known.values()))
    if name not in known:
        names = ", ".join(known) or f"there are none in {folder}"
        hint = nearest(name, known) or f"there is {names}" if known else names
        asked = (
            "name an MCP template" if name == "?" else f"there is no MCP template {safe_line(name, 60)!r}"
        )
        raise UsageError(asked, hint)
    return known[name]


def _planned(wish: Wish, *, as_json: bool) -> None:
    about = {"path": str(wish.path), "branch": wish.branch, "base": wish.base, "files": wish.files}
    if as_json:
        render.json("worktree", {"dry_run": True, **about})
        return
    for line in (
        f"Would create worktree: {wish.path}",
        f"With branch: {wish.branch}",
        f"From base: {wish.base_name}",
    ):
        render.out(safe_line(line, 400))
    for name in wish.files:
        render.out(f"Would copy {safe_line(name, 300)}")


def _equipped(
    place: Place, wish: Wish, made: Made, say: Callable[[str], None]
) -> tuple[int, list[usable.Copied]]:
    """Copy files, activate the template, run the set-up of a trusted project; the first port."""
    main, tree = Path(place.git.from_main().directory), Path(made.path)
    copied = usable.copy(main, tree, wish.files)
    for each in copied:
        say(str(each))
    if copied:
        failed = sum(1 for each in copied if each.why)
        say(f"  Files copied: {len(copied) - failed}, failed: {failed}")
    if wish.template and not os.path.lexists(tree / ".mcp.json"):
        usable.clone(wish.template, tree / ".mcp.json")
        say(f"  ✓ Activated {wish.template.name} as .mcp.json")
    port = usable.ports(place.app.settings.home, tree)
    own = place.app.settings
    if (
        place.app.project.config.is_file()
        and not trust.standing(place.app.project, place.app.store).trusted
    ):
        render.say(
            f"note: settings of {place.app.project.config} do not count: it is not trusted (prj trust)"
        )
    if own.setup:
        env = {**settings.passed_on(place.app.environ), **usable.variables(port)}
        env |= {"PRUNEJUICE_WORKTREE_PATH": made.path, "PRUNEJUICE_BRANCH_NAME": made.branch}
        env |= {"PRUNEJUICE_PROJECT_PATH": str(place.app.project.root)}
        usable.set_up(
            tree, Path(made.git_dir), own, process.Call((), "/", env, tag=f"plum/{made.branch}"), _shown
        )
    return port, copied


def _shown(chunk: bytes) -> None:
    render.say(safe_line(chunk.rstrip(b"\n"), 4000))


def _opened(place: Place, path: str) -> None:
    """Open the worktree in the user's editor, when one is set."""
    editor = place.word("PLUM_EDITOR")
    if not editor:
        return
    render.out(f"Opening in editor: {safe_line(editor)}")
    try:
        argv = [*shlex.split(editor), *shlex.split(place.word("PLUM_EDITOR_ARGS")), path]
        process.detach(process.Call(argv, path, place.app.environ), place.app.settings.home / "editor.log")
    except (ValueError, OSError, PruneJuiceError) as error:
        render.say(f"note: the editor did not start: {safe_line(str(error))} (PLUM_EDITOR)")


@plum.command("list")
@click.option("-v", "--verbose", is_flag=True, help="Why one is locked or may go.")
@_JSON
def list_command(*, verbose: bool, as_json: bool) -> None:
    """List the worktrees of this repository."""
    place = _place()
    if as_json:
        render.json("worktrees", [_item(place.git, each) for each in listing.entries(place.git)])
        return
    said = place.git.run("worktree", "list", *(["-v"] if verbose else []))
    for line in said.splitlines():
        render.out(safe_line(line, 1000))


def _item(git: Git, entry: Entry) -> dict[str, Any]:
    head = entry.head or git.resolve(f"refs/heads/{entry.branch}")
    found: dict[str, Any] = {"path": str(entry.path), "branch": entry.branch or None, "head": head or None}
    found |= {"main": entry.main, "gone": entry.gone}
    if entry.locked:
        found["locked"] = entry.locked
    if entry.made:
        found |= {"base": entry.made.base, "owner": entry.made.owner, "made_branch": entry.made.made_branch}
    return found


def _found(git: Git, name: str) -> Entry:
    """The worktree of a branch, folder name, path, or the end of a branch.

    Raises:
        NotFoundError: there is none, or there are several.
    """
    every = listing.entries(git)
    if not name:
        raise UsageError("the name of a worktree is empty", "plum list shows them")
    path = Path(os.path.normpath(Path(name).absolute()))
    exact = [e for e in every if name in {e.branch, e.path.name, str(e.path)} or e.path == path]
    found = exact or [e for e in every if e.branch.endswith(f"-{name}") or e.branch.endswith(f"/{name}")]
    if len(found) != 1:
        word = "several worktrees are called" if found else "there is no worktree"
        raise NotFoundError(f"{word} {safe_line(name, 80)!r}", "plum list shows them")
    return found[0]


@plum.command("path")
@click.argument("name")
def path_command(*, name: str) -> None:
    """Print the path of a worktree, by branch, suffix or folder: cd "$(plum path fix)"."""
    place = _place()
    found = str(_found(place.git, name).path)
    if sys.stdout.isatty():
        render.out(safe_line(found, 4000))
    else:
        render.bytes_out(found.encode("utf-8", "surrogateescape") + b"\n")


@plum.command("remove")
@click.argument("name")
@click.option(
    "-f", "--force", is_flag=True, help="Even with work that is nowhere else; it can be brought back."
)
@click.option("-b", "--branch", "drop", is_flag=True, help="Delete its branch too, whoever made it.")
@_JSON
def remove_command(*, name: str, force: bool, drop: bool, as_json: bool) -> None:
    """Remove a worktree. Without --force only when nothing would be lost; prj undo brings it back.

    A branch that was made with it goes too when another branch has all of it.
    """
    place = _place()
    entry = _found(place.git, name)
    users = [
        line.id[:8]
        for line in place.app.store.summaries(limit=10_000, children=True)
        if line.status not in ENDED and Path(line.directory).is_relative_to(entry.path)
    ]
    if users and not force:
        raise UsageError(f"run {users[0]} works in {entry.path}", f"end it first: prj stop {users[0]}")
    removed = worktree.remove(place.git, entry.path, drop=drop, force=force)
    if removed.why:
        fix = "" if force or entry.main else "save it, or use --force: prj undo brings it back"
        raise UsageError(f"{entry.path} is kept: {removed.why}", fix)
    if settings.shell_tools(place.app.environ, "pots").get("POTS_CLEANUP_ON_WORKTREE_REMOVE") == "true":
        _end_sessions(place, entry.path)
    if as_json:
        render.json("removed", {"path": str(entry.path), "branch": entry.branch, **removed._asdict()})
        return
    gone = f" and its branch {entry.branch}" if removed.dropped else ""
    render.out(safe_line(f"removed {entry.path}{gone}", 400))
    render.out(f"  go back    prj undo {removed.operation}")


def _end_sessions(place: Place, path: Path) -> None:
    socket = place.app.settings.tmux_socket
    for each in tmux.sessions(socket).values():
        if each.mark and Path(each.mark.directory).is_relative_to(path):
            tmux.kill(each.name, socket)


@plum.command("prune")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be let go.")
@_JSON
def prune_command(*, dry_run: bool, as_json: bool) -> None:
    """Let go of worktrees whose folder was deleted by hand, and of what killed commands left behind."""
    place = _place()
    gone = worktree.dead_checks(place.git, dry_run=dry_run)
    gone += worktree.prune(place.git, dry_run=dry_run)
    if as_json:
        render.json("pruned", [{"path": str(path)} for path in gone])
        return
    for path in gone:
        render.out(safe_line(f"{'would let go of' if dry_run else 'let go of'} {path}", 400))
    if not gone:
        render.out("nothing to prune")


def main() -> None:
    """The entry point of the script."""
    sys.exit(boundary.guarded(plum))
