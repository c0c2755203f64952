"""Create a worktree with its own branch, ready to work in.

A name with a slash, or the name of an existing branch, is the branch itself. Any other name is a
suffix, put behind the prefix (WORKTREE_NAME_PREFIX, GITHUB_USERNAME or the project's name).
"""

import os
import re
import secrets
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.plum.environment import PlumEnvironment, open_environment
from prunejuice.environments import equipment, ignored_files, ports, setup_command
from prunejuice.environments.place_sandbox import open_place_sandbox, open_setup_sandbox
from prunejuice.errors import PruneJuiceError, UsageError
from prunejuice.sandbox import permissions
from prunejuice.system import process, settings
from prunejuice.text import format_count, safe_line, spelling_hint
from prunejuice.worktrees import listing, remote_branch, worktree, worktree_names
from prunejuice.worktrees.clone_file import clone_file
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import WorktreeRecord
from prunejuice.worktrees.remote_branch import RemoteBranch

PATTERN = "{prefix}-{suffix}"
_SHOWN_FILES = 20
"""How many copied files are listed by name."""


class WorktreeRequest(NamedTuple):
    """A worktree to create: its branch, path and base, the files to copy, and the MCP template.

    `upstream` is the branch of a remote that the new branch continues. With `equip`, it gets the packages
    of the checkout and the ignored files that code needs.
    """

    branch: str
    path: Path
    base: str
    base_name: str
    files: list[str]
    template: Path | None
    upstream: RemoteBranch | None
    equip: bool = True


@click.command("create")
@click.argument("name", required=False, default="", metavar="[SUFFIX|BRANCH]")
@click.option(
    "--from",
    "base",
    default="",
    metavar="BRANCH",
    help="Base of the new branch  [default: PLUM_DEFAULT_BRANCH or HEAD].",
)
@click.option(
    "-m",
    "--mcp",
    "template",
    is_flag=False,
    flag_value="?",
    default="",
    help="MCP template to activate as .mcp.json.",
)
@click.option(
    "--pattern", default="", help="Branch name, with {prefix} {suffix} {username} {project} {date}."
)
@click.option(
    "--no-copy-files",
    is_flag=True,
    help="Do not copy packages, .env, .worktreeinclude and PLUM_FILES_TO_COPY.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be created, without creating it.")
@click.option("-i", "--interactive", is_flag=True, help="Prompt for values that are not given.")
@json_option
def create_command(
    *, name: str, base: str, dry_run: bool, interactive: bool, as_json: bool, **options: Any
) -> None:
    environment = open_environment()
    if interactive:
        name = name or click.prompt("suffix or branch", default=_default_suffix(), err=True)
        base = base or click.prompt(
            "from", default=environment.first_set("PLUM_DEFAULT_BRANCH") or "HEAD", err=True
        )
    request = _build_request(environment, name, base, options)
    if dry_run:
        _show_dry_run(request, as_json=as_json)
        return
    write = _print_nothing if as_json else _print_line
    spec = worktree.WorktreeSpec(
        request.path, request.branch, request.base, _worktree_owner(environment, request)
    )
    record = worktree.create(environment.git, spec)
    if request.upstream and record.made_branch:
        remote_branch.track_branch(environment.git, request.upstream)
    port, copied = _provision(environment, request, record, write)
    if as_json:
        data = {"path": record.path, "branch": record.branch, "base": record.base, "port": port}
        render.print_json("worktree", {**data, "copied": [result._asdict() for result in copied]})
        return
    _open_editor(environment, record.path)
    write(f"Branch: {record.branch} (from {request.base_name})")
    write(f"Worktree created at: {record.path}")  # programs look for this line
    if (Path(record.path) / ".gitmodules").is_file():
        write(f"Its submodules are empty: run `git -C {record.path} submodule update --init`")


def _worktree_owner(environment: PlumEnvironment, request: WorktreeRequest) -> str:
    """Return the owner of the new worktree: that of an earlier one whose set-up failed, to reuse it."""
    existing = next(iter(listing.list_worktrees(environment.git, request.path)), None)
    owner = existing.record.owner if existing and existing.record else ""
    setup_failed = (
        owner.startswith("plum:")
        and existing
        and not (existing.git_dir / setup_command.SETUP_MARK_FILE).exists()
    )
    return owner if setup_failed and environment.app.settings.setup else f"plum:{time.time_ns()}"


def _print_line(line: str) -> None:
    render.print_line(safe_line(line, 400))


def _print_nothing(_line: str) -> None:
    """Print nothing, for JSON output."""


def _build_request(
    environment: PlumEnvironment, name: str, base: str, options: dict[str, Any]
) -> WorktreeRequest:
    git = environment.git
    branch = _branch_name(environment, name, options["pattern"])
    upstream = None if base else remote_branch.find_remote_branch(git, branch)
    default_base = environment.first_set("PLUM_DEFAULT_BRANCH") or "HEAD"
    base_name = upstream.ref if upstream else base or default_base
    commit = git.head_commit() if base_name == "HEAD" else git.resolve(base_name)
    if not commit and (found := remote_branch.find_remote_branch(git, base_name)):
        base_name, commit = found.ref, found.commit
    if not commit:
        raise UsageError(
            f"unknown base {safe_line(base_name, 80)!r}", "name a branch or commit with --from"
        )
    main = git.for_main_worktree()
    # PLUM_PARENT_DIR is relative to the main working tree, as in the shell tool.
    parent_directory = environment.first_set("PLUM_PARENT_DIR")
    default_parent = (
        str(Path(main.directory) / Path(parent_directory).expanduser()) if parent_directory else ""
    )
    path = worktree_names.worktree_path(
        git, environment.app.settings.worktree_parent or default_parent, branch
    )
    files = (
        []
        if options["no_copy_files"]
        else [
            *ignored_files.list_included_files(main),
            *ignored_files.user_files_to_copy(environment.app.environ),
        ]
    )
    shown_base = git.current_branch() if base_name == "HEAD" else base_name
    return WorktreeRequest(
        branch,
        path,
        commit,
        shown_base or commit[:12],
        files,
        _find_template(environment, options["template"]),
        upstream,
        not options["no_copy_files"],
    )


def _branch_name(environment: PlumEnvironment, name: str, pattern: str) -> str:
    git = environment.git
    project = Path(git.main_worktree or git.common).name
    user = environment.first_set("PLUM_GITHUB_USERNAME", "GITHUB_USERNAME")
    prefix = environment.first_set("WORKTREE_NAME_PREFIX") or user or _to_branch_word(project)
    is_branch = "/" in name or name.startswith(f"{prefix}-") or _is_known_branch(git, name)
    if is_branch and not pattern:
        return name
    values = {"prefix": prefix, "suffix": name or _default_suffix(), "username": user or prefix}
    values |= {"project": _to_branch_word(project), "date": time.strftime("%Y%m%d")}
    return worktree_names.format_branch_name(
        pattern or environment.first_set("PLUM_PATTERN") or PATTERN, values
    )


def _is_known_branch(git: Git, name: str) -> bool:
    """Return whether a name is that of a branch here or on a remote."""
    is_local = bool(name and git.resolve(f"refs/heads/{name}"))
    return is_local or bool(name and remote_branch.list_remote_branches(git, name))


def _to_branch_word(name: str) -> str:
    """Return a name with only the characters that a branch may have."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._") or "project"


def _default_suffix() -> str:
    """Return a unique suffix: the time in seconds, and random digits for calls in the same second."""
    return f"patch-{int(time.time())}-{secrets.token_hex(2)}"


def _find_template(environment: PlumEnvironment, name: str) -> Path | None:
    """Return the MCP template of a name, or None for no name; `?` means the only template."""
    auto = environment.first_set("PLUM_MCP_AUTO_ACTIVATE")
    name = name or ("?" if auto == "true" else "")
    if not name:
        return None
    folder = Path(environment.git.for_main_worktree().directory) / (
        environment.first_set("PLUM_MCP_TEMPLATE_DIR") or "mcp-json-templates"
    )
    files = (
        path for path in sorted(folder.glob(".mcp.*.json")) if path.is_file() and not path.is_symlink()
    )
    templates = {path.name[len(".mcp.") : -len(".json")]: path for path in files}
    if name == "?" and len(templates) == 1:
        return next(iter(templates.values()))
    if name not in templates:
        if not templates:
            hint = f"{folder} contains no templates"
        else:
            hint = spelling_hint(name, templates) or f"available templates: {', '.join(templates)}"
        problem = "name an MCP template" if name == "?" else f"unknown MCP template {safe_line(name, 60)!r}"
        raise UsageError(problem, hint)
    return templates[name]


def _show_dry_run(request: WorktreeRequest, *, as_json: bool) -> None:
    data = {
        "path": str(request.path),
        "branch": request.branch,
        "base": request.base,
        "files": request.files,
    }
    if as_json:
        render.print_json("worktree", {"dry_run": True, **data})
        return
    for line in (
        f"Would create worktree: {request.path}",
        f"With branch: {request.branch}",
        f"From base: {request.base_name}",
    ):
        render.print_line(safe_line(line, 400))
    for name in request.files:
        render.print_line(f"Would copy {safe_line(name, 300)}")


def _provision(
    environment: PlumEnvironment,
    request: WorktreeRequest,
    record: WorktreeRecord,
    write: Callable[[str], None],
) -> tuple[int, list[ignored_files.CopyResult]]:
    """Copy files, activate the template and run the set-up command; return the first port and the files."""
    main, new_tree = Path(environment.git.for_main_worktree().directory), Path(record.path)
    copied = ignored_files.copy_files(main, new_tree, request.files)
    for result in copied[:_SHOWN_FILES]:
        write(str(result))
    if copied[_SHOWN_FILES:]:
        write(f"  … and {format_count(len(copied) - _SHOWN_FILES, 'more file')}")
    if copied:
        failed = sum(1 for result in copied if result.why)
        write(f"  Files copied: {len(copied) - failed}, failed: {failed}")
    if request.template and not os.path.lexists(new_tree / ".mcp.json"):
        clone_file(request.template, new_tree / ".mcp.json")
        write(f"  ✓ Activated {request.template.name} as .mcp.json")
    port = ports.allocate_ports(environment.app.settings.home, new_tree)
    project_settings = environment.app.settings
    if request.equip:
        _equip(environment, record, write)
    if environment.app.has_untrusted_settings():
        render.print_message(
            f"note: ignoring {environment.app.project.config}, which is not trusted: run `prj trust`"
        )
    if project_settings.setup:
        variables = {
            **settings.inherited_environment(environment.app.environ),
            **ports.port_variables(port),
        }
        variables |= {"PRUNEJUICE_WORKTREE_PATH": record.path, "PRUNEJUICE_BRANCH_NAME": record.branch}
        variables |= {"PRUNEJUICE_PROJECT_PATH": str(environment.app.project.root)}
        setup_command.run_setup(
            new_tree,
            Path(record.git_dir),
            project_settings,
            process.ProcessSpec(
                (), "/", variables, tag=f"plum/{record.branch}", sandbox=_open_sandbox(environment, record)
            ),
            _show_output,
        )
    return port, copied


def _equip(environment: PlumEnvironment, record: WorktreeRecord, write: Callable[[str], None]) -> None:
    """Copy packages and files that code needs; install packages only in a project that is trusted."""
    app, git = environment.app, environment.git
    tree_git = git.for_worktree(record.path, record.git_dir)
    supplies = equipment.plan_equipment(
        git,
        tree_git,
        app.environ,
        may_install=app.is_trusted_by_person(str(app.project.root)),
        has_setup=bool(app.settings.setup),
    )
    call = process.ProcessSpec(
        (),
        "/",
        app.environ,
        grace=app.settings.grace,
        tag=f"plum/{record.branch}",
        sandbox=_open_sandbox(environment, record),
    )
    equipment.equip_tree(Path(git.directory), Path(record.path), supplies, call, write)


def _open_sandbox(environment: PlumEnvironment, record: WorktreeRecord) -> process.SandboxEntry | None:
    """Return the sandbox of the processes that prepare a worktree, if the settings ask for one."""
    app = environment.app
    containment = permissions.read_settings(app.settings)
    if not containment.is_on:
        return None
    sandbox = open_place_sandbox(
        containment,
        app.settings,
        app.environ,
        render.print_message,
        lambda refusal: render.print_message(safe_line(str(refusal), 400)),
    )
    folder = app.settings.home / "sandboxes"
    return open_setup_sandbox(sandbox, Path(record.path), environment.git, folder)


def _show_output(chunk: bytes) -> None:
    render.print_message(safe_line(chunk.rstrip(b"\n"), 4000))


def _open_editor(environment: PlumEnvironment, path: str) -> None:
    """Open the worktree in the user's editor, if one is set."""
    editor = environment.first_set("PLUM_EDITOR")
    if not editor:
        return
    render.print_line(f"Opening in editor: {safe_line(editor)}")
    try:
        argv = [*shlex.split(editor), *shlex.split(environment.first_set("PLUM_EDITOR_ARGS")), path]
        process.start_detached(
            process.ProcessSpec(argv, path, environment.app.environ),
            environment.app.settings.home / "editor.log",
        )
    except (ValueError, OSError, PruneJuiceError) as error:
        render.print_message(
            f"note: could not start the editor: {safe_line(str(error))}; check PLUM_EDITOR"
        )
