"""The commands `codebot VERB` and `codebot @"…"`, which ask an agent for changes or a report."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.codebot.piped_input import read_piped_json
from prunejuice.cli.codebot.verb_options import AGENT_OPTIONS, CHANGE_FLAGS, CHANGE_OPTIONS, CONTEXT_OPTIONS
from prunejuice.cli.codebot.verb_request import VerbOptions, build_invocation
from prunejuice.errors import UsageError
from prunejuice.text import safe_line

if TYPE_CHECKING:
    from prunejuice.forges.forge import Issue
    from prunejuice.verbs.verb import Verb

_PIPED_OPTIONS = {"apply": "boolean", "dry_run": "boolean", "issue": "integer"}
"""Keys of the JSON on stdin that are not arguments of an agent step, with their types."""
_FILE_WORD = re.compile(r"^[.~]{0,2}/|/.*\.\w+$|\.(?:md|txt|markdown)$")
"""Matches a word that looks like a file name."""
DEFAULT_VERB = "do"
"""The verb for instructions in the user's own words."""


def build_command(name: str) -> click.Command:
    """Return the command that runs a verb, or the instruction after `@`."""
    prompt = _read_prompt(name[1:], at=True) if name.startswith("@") else ""
    verb = _find_verb(DEFAULT_VERB if name.startswith("@") else name)

    def call(**options: Any) -> int:
        return _invoke_verb(verb, prompt, VerbOptions(**options))

    command = click.command(name, help=_help_text(verb))(call)
    for option in (*CONTEXT_OPTIONS, *AGENT_OPTIONS, *CHANGE_OPTIONS):
        command = option(command)
    for parameter in command.params if verb.result is not None else ():
        if parameter.name in {*CHANGE_FLAGS, "tests", "grant"} and isinstance(parameter, click.Option):
            parameter.hidden = True  # still parsed, so that using it gives a clear error
    return command


def _find_verb(name: str) -> "Verb":
    """Return the verb of a name. Python code of a trusted project precedes Markdown.

    Raises:
        NotFoundError: no verb has the name.
        UntrustedNameError: the same, and code that is not trusted may define it.
    """
    from prunejuice.errors import NotFoundError, UntrustedNameError  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.verbs import catalog  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415

    current_project = project.find_project(project.current_directory())
    has_code = any(current_project.commands.glob("*.py"))
    try:
        verb = catalog.find_verb(name, current_project, settings.environment())
    except NotFoundError:
        code_verb = _find_code_verb(name)
        if code_verb is None and has_code:
            fix = "if it is defined in .prj/commands/*.py, review the code and run `prj trust`"
            raise UntrustedNameError(f"unknown verb {name!r}", fix) from None
        if code_verb is None:
            raise
        return code_verb
    return (_find_code_verb(name) if has_code else None) or verb


def _find_code_verb(name: str) -> "Verb | None":
    from prunejuice.app import wiring  # noqa: PLC0415

    app = wiring.open_app()
    extension = app.find_extension(str(app.project.root), name)
    return None if extension is None else extension.to_verb()


def has_verb(name: str) -> bool:
    """Tell whether a word is the name of a verb, or `@` and an instruction."""
    from prunejuice.errors import NotFoundError, UntrustedNameError  # noqa: PLC0415

    if name.startswith("@"):
        return len(name) > 1
    try:
        _find_verb(name)
    except UntrustedNameError:
        return True  # running it shows the fix
    except NotFoundError:
        return False
    return True


def verb_names() -> list[str]:
    """Return the names of all verbs."""
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.verbs import catalog  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415

    verbs = catalog.all_verbs(project.find_project(project.current_directory()), settings.environment())
    return [verb.name for verb in verbs]


def _help_text(verb: "Verb") -> str:
    output = "a report; no file changes" if verb.result is not None else "edits"
    pending = "" if verb.result is not None else " They stay pending until you apply them."
    return (
        f"{verb.description.rstrip('.')}.\n\nAn agent sees PATHS (files, folders, globs; !PATH "
        f"excludes one) and related code, and answers with {output}.{pending}"
    )


def _read_prompt(text: str, *, at: bool = False) -> str:
    """Return a prompt: the text itself, stdin (`-`), or a file (`@FILE`).

    Raises:
        UsageError: the file does not exist or is not text.
    """
    if text == "-":
        return sys.stdin.read()
    path = text if at else text[1:] if text.startswith("@") else ""
    try:
        is_file = bool(path) and len(path) < 4096 and Path(path).is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        if path and not path.split()[1:] and (not at or _FILE_WORD.search(path)):
            raise UsageError(
                f"no such file: {safe_line(path, 200)!r}",
                "pass --prompt TEXT, or @FILE with an existing file",
            )
        return text
    data = Path(path).read_bytes()
    if b"\0" in data:
        raise UsageError(
            f"{safe_line(path, 200)} is not a text file", "pass --prompt TEXT, or @FILE with a text file"
        )
    return data.decode("utf-8", "replace")


# -- invocation ----------------------------------------------------------------------------------


def _invoke_verb(verb: "Verb", prompt: str, options: VerbOptions) -> int:
    from prunejuice.cli import progress_view, signals  # noqa: PLC0415
    from prunejuice.cli.codebot import verb_result  # noqa: PLC0415

    if options.piped:
        options = options._replace(as_json=True, **_read_piped_options())
    prompt = prompt or _read_prompt(options.words)
    if options.issue:
        issue = _fetch_issue(options.issue)
        prompt = f"{prompt}\n\nResolve issue {issue.number}, which is shown: {issue.title}".strip()
        given_text = "\n\n".join(filter(None, [options.given_text, issue.text]))
        options = options._replace(given_text=given_text, closes=f"{issue.number}: {issue.title}")
    invocation = build_invocation(verb, prompt, options)
    progress = progress_view.OutputProgress(quiet=invocation.interactive)
    with signals.stoppable_tools(invocation.app, as_json=False, progress=progress, terminal=True) as (
        tools,
        stop,
    ):
        run = verb_result.run_verb(invocation, tools, stop)
        return verb_result.finish_verb_run(invocation, run, tools, stop)


def _fetch_issue(number: int) -> "Issue":
    """Return an issue of the repository's forge.

    Raises:
        UsageError: the repository has no forge, or the issue does not exist.
    """
    from prunejuice.forges.registry import open_forge  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415
    from prunejuice.worktrees import git as gits  # noqa: PLC0415

    environ = settings.environment()
    git = gits.open_git(str(project.current_directory()), dict(environ)).locate()
    return open_forge(git, environ).fetch_issue(number)


def _read_piped_options() -> dict[str, Any]:
    """Return the options that stdin holds as JSON."""
    names = {"prompt": "words", "input": "given_text"}
    return {
        names.get(key, key): value for key, value in read_piped_json(DEFAULT_VERB, _PIPED_OPTIONS).items()
    }
