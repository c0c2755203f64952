"""`codebot VERB` and `codebot @"…"`: an agent is asked for changes, which wait or are judged."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.codeclip import Tokens
from prunejuice.errors import DefinitionError, MissingToolError, UsageError
from prunejuice.text import safe_line

_ACCESS = ("read", "edit", "full")
_ABOVE = click.FloatRange(0, min_open=True)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prunejuice.cli.settling import Doing
    from prunejuice.verb import Verb

_ASKED = (
    click.argument("paths", nargs=-1),
    click.option(
        "--prompt", "words", default="", metavar="TEXT", help="What to do; - is stdin, @FILE a file."
    ),
    click.option(
        "--issue", type=click.IntRange(1), help="What to do is this issue of the repository's forge."
    ),
    click.option("--context", multiple=True, metavar="PATH", help="Show this too."),
    click.option(
        "--input",
        "given",
        default="",
        metavar="SOURCE",
        help="Output that belongs to it: clipboard, tmux, - for stdin, or a file.",
    ),
    click.option(
        "--diff",
        is_flag=False,
        flag_value="HEAD",
        default="",
        metavar="[REF]",
        help="Show what changed too.",
    ),
    click.option(
        "-b", "--budget", type=Tokens(), default="32k", show_default=True, help="Tokens of context."
    ),
)
_ANSWERED = (
    click.option("-m", "--model", default="", help="Who is asked: provider:name; A,B asks B when A fails."),
    click.option(
        "--agent",
        default="",
        help="How: oneshot, claude, codex, acp:NAME, interactive[:NAME], scripted  [oneshot].",
    ),
    click.option("--claudesdk", is_flag=True, help="The same as --agent claude."),
    click.option("-i", "interactive", is_flag=True, help="In your terminal, with Claude Code or --agent."),
    click.option(
        "--access",
        type=click.Choice(_ACCESS),
        default="edit",
        show_default=True,
        help="What an agent that works by itself may do: look, change files, or run commands too.",
    ),
    click.option("--script", default="", metavar="FILE", help="The answers of the agent 'scripted'."),
    click.option("--record", default="", metavar="FILE", help="Keep every answer in a file."),
    click.option("--replay", default="", metavar="FILE", help="Take the answers from such a file."),
    click.option("--max-cost", type=_ABOVE, metavar="USD", help="Ask no more when it is spent."),
    click.option(
        "--max-tokens", type=Tokens(), help="Ask no more when they are spent, in both directions."
    ),
    click.option("--max-time", type=_ABOVE, metavar="SECONDS", help="The longest that all of it may take."),
    click.option("--max-rounds", type=click.IntRange(1, 10), default=3, show_default=True, help="Answers."),
    click.option(
        "--max-turns", type=click.IntRange(1), help="How often an agent may ask its model itself."
    ),
)
_DONE = (
    click.option("--check", default="", metavar="COMMAND", help="What has to pass; asked until it does."),
    click.option(
        "--from-cmd", "command", default="", metavar="COMMAND", help="The same, run first to see why."
    ),
    click.option(
        "--allow-tests-change", "tests", is_flag=True, help="Tests, checks and CI may be changed."
    ),
    click.option("--dry-run", is_flag=True, help="Only show the diff; nothing waits, nothing is changed."),
    click.option("-r", "reviewed", is_flag=True, help="Judge every hunk, then apply those you approve."),
    click.option(
        "--review", "grain", type=click.Choice(["hunk", "file"]), help="The same, by hunk or file."
    ),
    click.option("--apply", "apply", is_flag=True, help="Apply at once instead of letting it wait."),
    click.option(
        "--grant", multiple=True, metavar="GLOB", help="Files that decide what runs and may change."
    ),
    click.option("-p", "piped", is_flag=True, help="JSON on stdin, one JSON object out, no questions."),
    click.option("--verbose", is_flag=True, help="Show what the agent said."),
    click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout."),
)


_CHANGING = {
    "reviewed": "-r",
    "grain": "--review",
    "apply": "--apply",
    "check": "--check",
    "command": "--from-cmd",
    "dry_run": "--dry-run",
    "interactive": "-i",
}
"""Options that make no sense where nothing is changed."""
_KINDS: dict[str, tuple[Any, str]] = {
    "string": (str, "a text"),
    "list": (list, "a list of texts"),
    "integer": (int, "a whole number"),
    "number": (int | float, "a number"),
    "boolean": (bool, "true or false"),
}
"""What the types of arguments are in JSON."""
_PIPED = {"apply": "boolean", "dry_run": "boolean", "issue": "integer"}
"""Keys of the JSON on stdin that are no arguments of an agent step."""
_PATH = re.compile(r"^[.~]{0,2}/|/.*\.\w+$|\.(?:md|txt|markdown)$")
"""A word that is meant as a file."""
ASK = "do"
"""The verb that does what is asked for in one's own words."""


def command(name: str) -> click.Command:
    """The command of a verb, or of `@` and what to do."""
    words = _words(name[1:], at=True) if name.startswith("@") else ""
    found = _found(ASK if name.startswith("@") else name)

    def call(**given: Any) -> int:
        return _do(found, words, given)

    made = click.command(name, help=_help(found))(call)
    for option in (*_ASKED, *_ANSWERED, *_DONE):
        made = option(made)
    for each in made.params if found.result is not None else ():
        if each.name in {*_CHANGING, "tests", "grant"} and isinstance(each, click.Option):
            each.hidden = True  # a report changes nothing; who says it all the same is told so
    return made


def _found(name: str) -> "Verb":
    """The verb of a name: Python code of a trusted project goes first, then Markdown."""
    from prunejuice import project, settings, vocabulary  # noqa: PLC0415
    from prunejuice.errors import NotFoundError  # noqa: PLC0415

    here = project.find(project.here())
    has_code = any(here.commands.glob("*.py"))
    try:
        found = vocabulary.find(name, here, settings.environment())
    except NotFoundError:
        own = _by_code(name)
        if own is None and has_code:
            fix = "if it is in .prj/commands/*.py: look at that, then prj trust"
            raise NotFoundError(f"there is no verb {name!r}", fix) from None
        if own is None:
            raise
        return own
    return (_by_code(name) if has_code else None) or found


def _by_code(name: str) -> "Verb | None":
    from prunejuice import app as apps  # noqa: PLC0415

    app = apps.open_app()
    own = app.extension(str(app.project.root), name)
    return None if own is None else own.verb()


def is_there(name: str) -> bool:
    """Whether a word is a verb, or `@` and what to do."""
    from prunejuice.errors import NotFoundError  # noqa: PLC0415

    if name.startswith("@"):
        return len(name) > 1
    try:
        _found(name)
    except NotFoundError as error:
        return "prj trust" in error.fix  # it may be there, and who calls it is told so
    return True


def names() -> list[str]:
    """The names of all verbs."""
    from prunejuice import project, settings, vocabulary  # noqa: PLC0415

    found = vocabulary.every(project.find(project.here()), settings.environment())
    return [verb.name for verb in found]


def _help(verb: "Verb") -> str:
    gives = "data, which is shown; nothing is changed" if verb.result is not None else "edits"
    waits = "" if verb.result is not None else " They wait until you apply them."
    return (
        f"{verb.description.rstrip('.')}.\n\nAn agent sees PATHS (files, folders, globs; !PATH leaves "
        f"something out) and what speaks for the task, and answers with {gives}.{waits}"
    )


def _words(text: str, *, at: bool = False) -> str:
    """What a person says: as it is, from stdin (`-`), or from a file (`@FILE`).

    Raises:
        UsageError: there is no such file, or it is not text.
    """
    if text == "-":
        return sys.stdin.read()
    place = text if at else text[1:] if text.startswith("@") else ""
    try:
        is_file = bool(place) and len(place) < 4096 and Path(place).is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        if place and not place.split()[1:] and (not at or _PATH.search(place)):
            raise UsageError(f"there is no file {safe_line(place, 200)!r}", "--prompt TEXT, or @FILE")
        return text
    data = Path(place).read_bytes()
    if b"\0" in data:
        raise UsageError(f"{safe_line(place, 200)} is not text", "--prompt TEXT, or @FILE")
    return data.decode("utf-8", "replace")


# -- what is asked ----------------------------------------------------------------------------------


def _do(verb: "Verb", words: str, given: dict[str, Any]) -> int:
    from prunejuice.cli import driving, live, settling  # noqa: PLC0415

    if given["piped"]:
        given |= {"as_json": True, **_piped()}
    words = words or _words(given["words"])
    if given["issue"]:
        words = _with_issue(words, given)
    doing = _doing(verb, words, given)
    progress = live.Lines(quiet=doing.shown)
    with driving.watched(doing.app, as_json=False, progress=progress, terminal=True) as (tools, stop):
        run = settling.run(doing, tools, stop)
        return settling.done(doing, run, tools, stop)


def _with_issue(words: str, given: dict[str, Any]) -> str:
    """The words with an issue to be resolved, which is shown as material.

    Raises:
        UsageError: there is no forge, or no such issue.
    """
    from prunejuice import git as gits  # noqa: PLC0415
    from prunejuice import project, settings  # noqa: PLC0415
    from prunejuice.publishers import github  # noqa: PLC0415

    environ = settings.environment()
    git = gits.git(str(project.here()), dict(environ)).located()
    found = github.of_repository(git, environ).issue(given["issue"])
    given["given_text"] = "\n\n".join(filter(None, [str(given.get("given_text", "")), found.text]))
    return f"{words}\n\nResolve issue {found.number}, which is shown: {found.title}".strip()


def _piped() -> dict[str, Any]:
    """The options that stdin gives as JSON."""
    names = {"prompt": "words", "input": "given_text"}
    return {names.get(key, key): value for key, value in piped(ASK, _PIPED).items()}


def piped(verb: str, more: "Mapping[str, str]") -> dict[str, Any]:
    """What stdin gives as JSON: arguments of a verb's step, and `more`, by their types.

    Raises:
        UsageError: it is no object, or has keys or values that are none of them.
    """
    from prunejuice import told  # noqa: PLC0415

    kinds = {**{name: each.type for name, each in told.of(verb).items() if each.piped}, **more}
    text = sys.stdin.read().strip() or "{}"
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"stdin is no JSON: {error}", 'write {"prompt": "…", "paths": ["…"]}') from error
    if not isinstance(data, dict) or (unknown := data.keys() - kinds.keys()):
        wrong = f"has {sorted(unknown)[0]!r}" if isinstance(data, dict) else "is no object"
        raise UsageError(f"the JSON on stdin {wrong}", f"it can have {', '.join(kinds)}")
    for key in ("budget", "max_tokens", "token_limit"):
        if isinstance(data.get(key), str):
            data[key] = Tokens().convert(data[key], None, None)
    for key, value in data.items():
        _demand_kind(key, value, kinds[key])
    return data


def _demand_kind(key: str, value: Any, type_name: str) -> None:
    """That a value on stdin is what its option takes."""
    kind, words = _KINDS[type_name]
    texts = not isinstance(value, list) or all(isinstance(each, str) for each in value)
    if not isinstance(value, kind) or not texts or (isinstance(value, bool) and kind is not bool):
        fix = f"it is {words}"
        raise UsageError(f"{key} in the JSON on stdin is not {words}: {safe_line(repr(value), 80)}", fix)
    if isinstance(value, int | float) and kind is not bool and not 0 < value < 1e15:
        raise UsageError(f"{key} in the JSON on stdin is no number above 0: {value!r}", "write one, as 0.5")
    if key == "access" and value not in _ACCESS:
        raise UsageError(f"access is none of {', '.join(_ACCESS)}: {safe_line(value, 80)!r}", "")


def _doing(verb: "Verb", words: str, given: dict[str, Any]) -> "Doing":
    from prunejuice import app as apps  # noqa: PLC0415
    from prunejuice.cli import applying, reviewing  # noqa: PLC0415
    from prunejuice.cli.settling import Doing  # noqa: PLC0415

    app = apps.open_app()
    _demand_sense(verb, words, given)
    given["agent"] = _agent(given) or app.settings.agent
    given["script"] = given["script"] or ("" if given["replay"] else app.settings.script)
    _demand_model(given, app.settings.model)
    grain = given["grain"] or ("hunk" if given["reviewed"] else "")
    asked = applying.Asked(grain, "", True, tuple(given["grant"]), "", given["as_json"])
    apply = bool(given["apply"] or app.settings.apply)
    if grain:
        reviewing.demand_terminal()
    shown = given["interactive"]
    arguments = _arguments(verb, words, given)
    return Doing(app, verb, arguments, asked, given["dry_run"], apply, given["verbose"], shown)


def _agent(given: dict[str, Any]) -> str:
    """The agent that the flags name.

    Raises:
        UsageError: they name two.
    """
    named = "claude" if given["claudesdk"] else given["agent"]
    if given["script"] and named not in {"", "oneshot", "scripted"}:
        raise UsageError(f"--script has the answers of 'scripted', and {named} is asked", "say one of them")
    if given["piped"] and str(named).startswith("interactive"):
        raise UsageError("interactive is for a person, -p for programs", "leave one of them out")
    if given["claudesdk"] and given["agent"] not in {"", "claude", "claudesdk"}:
        raise UsageError(f"--claudesdk is --agent claude, and --agent says {given['agent']}", "say one")
    if not given["interactive"]:
        return str(named)
    if given["piped"]:
        raise UsageError("-i is for a person, -p for programs", "leave one of them out")
    return str(named) if str(named).startswith("interactive") else f"interactive:{named or 'claude'}"


def _demand_sense(verb: "Verb", words: str, given: dict[str, Any]) -> None:
    if verb.needs and not words.strip() and not given["interactive"]:
        raise UsageError(f"{verb.name} has to know what to do", f'codebot {verb.name} --prompt "…"')
    changing = [word for name, word in _CHANGING.items() if given[name]]
    if verb.result is not None and changing:
        raise UsageError(
            f"{verb.name} answers with a report and changes nothing", f"leave out {changing[0]}"
        )
    if given["command"] and given["check"]:
        raise UsageError("--from-cmd is a --check that is run first", "leave one of them out")
    if given["dry_run"] and (given["reviewed"] or given["grain"] or given["apply"]):
        raise UsageError("--dry-run shows the changes, it judges and applies none", "leave one of them out")


def _demand_model(given: dict[str, Any], usual: str) -> None:
    stands_in = given["script"] or given["replay"]
    if (given["agent"] or "oneshot") == "oneshot" and not (given["model"] or usual or stands_in):
        fix = (
            "--model provider:name, or `model:` in your config.yaml, and the provider's key set; "
            "or --agent claude, codex, … which know theirs"
        )
        raise UsageError("no model is set", fix)


def _arguments(verb: "Verb", words: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the agent step that does it."""
    from prunejuice.told import ARGUMENTS  # noqa: PLC0415

    places = {
        name: str(Path(given[name]).absolute()) for name in ("script", "record", "replay") if given[name]
    }
    return {
        **{name: given[name] for name in ARGUMENTS if name in given},
        **places,
        "prompt": words,
        "paths": list(given["paths"]),
        "context": list(given["context"]),
        "grant": list(given["grant"]),
        "input": _input(verb, given),
        "agent": given["agent"],
        "check": given["command"] or given["check"],
        "first": bool(given["command"]),
        "allow_tests_change": given["tests"],
        "changes": "keep" if given["dry_run"] else "wait",
    }


def _input(verb: "Verb", given: dict[str, Any]) -> str:
    from prunejuice.cli.codeclip import text_of  # noqa: PLC0415

    if "given_text" in given:
        return str(given["given_text"])
    source = given["given"] or ("" if given["command"] or given["check"] else verb.input)
    try:
        return text_of(source) if source else ""
    except MissingToolError as error:
        fix = "--input - for what is piped in, or --input FILE"
        raise MissingToolError(error.message, fix if not given["given"] else error.fix) from error


def _with_code(found: "list[Verb]") -> "list[Verb]":
    """The verbs, and those that Python code registers here."""
    from prunejuice import project  # noqa: PLC0415

    if not any(project.find(project.here()).commands.glob("*.py")):
        return found
    from prunejuice import app as apps  # noqa: PLC0415
    from prunejuice import extension  # noqa: PLC0415
    from prunejuice.told import SUMMARIZE  # noqa: PLC0415

    app = apps.open_app()
    try:
        app.extension(str(app.project.root), "")
    except DefinitionError as error:
        click.echo(f"warning: {error.message}", err=True)
    own = {name: command.verb() for name, command in extension.every().items() if name != SUMMARIZE}
    kept = [verb for verb in found if verb.name not in own]
    return sorted([*kept, *own.values()], key=lambda verb: verb.name)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def list_command(*, as_json: bool) -> None:
    """List the verbs there are, and where each is from.

    Yours are Markdown in verbs/ of your configuration directory, a project's in .prj/verbs/ and
    .claude/commands/.
    """
    from prunejuice import project, settings, vocabulary  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_line  # noqa: PLC0415

    found = _with_code(vocabulary.every(project.find(project.here()), settings.environment()))
    if as_json:
        render.json(
            "verbs", [{"name": v.name, "description": v.description, "source": v.source} for v in found]
        )
        return
    for row in render.columns((v.name, safe_line(v.description, 90), v.source) for v in found):
        render.out(row)
