"""`codebot VERB` and `codebot @"…"`: an agent is asked for changes, which wait or are judged."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from prunejuice.cli.codeclip import Tokens
from prunejuice.errors import UsageError

_ABOVE = click.FloatRange(0, min_open=True)

if TYPE_CHECKING:
    from prunejuice.agent import Spent
    from prunejuice.asking import Answered, Means, Request
    from prunejuice.cli.applying import Asked
    from prunejuice.mending import Check
    from prunejuice.protocols import Agent, Stop
    from prunejuice.shelf import Shelf
    from prunejuice.verb import Verb

_ASKED = (
    click.argument("paths", nargs=-1),
    click.option(
        "--prompt", "words", default="", metavar="TEXT", help="What to do; - is stdin, @FILE a file."
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
    click.option("--agent", default="oneshot", show_default=True, help="How: oneshot or scripted."),
    click.option("--script", default="", metavar="FILE", help="The answers of the agent 'scripted'."),
    click.option("--record", default="", metavar="FILE", help="Keep every answer in a file."),
    click.option("--replay", default="", metavar="FILE", help="Take the answers from such a file."),
    click.option("--max-cost", type=_ABOVE, metavar="USD", help="Ask no more when it is spent."),
    click.option(
        "--max-tokens", type=Tokens(), help="Ask no more when they are spent, in both directions."
    ),
    click.option("--max-time", type=_ABOVE, metavar="SECONDS", help="The longest to wait for an answer."),
    click.option("--max-rounds", type=click.IntRange(1, 10), default=3, show_default=True, help="Answers."),
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
}
"""Options that make no sense where nothing is changed."""


def command(name: str) -> click.Command:
    """The command of a verb, or of `@` and what to do."""
    from prunejuice.verb import Verb  # noqa: PLC0415

    words = ""
    if name.startswith("@"):
        words = _words(name[1:], at=True)
        found = Verb(name, "Do what is asked", "Do what is asked for below, and nothing besides.")
    else:
        found = _found(name)

    def call(**given: Any) -> int:
        return _do(found, words, given)

    made = click.command(name, help=_help(found))(call)
    for option in (*_ASKED, *_ANSWERED, *_DONE):
        made = option(made)
    return made


def _found(name: str) -> "Verb":
    from prunejuice import project, settings, vocabulary  # noqa: PLC0415

    return vocabulary.find(name, project.find(project.here()), settings.environment())


def is_there(name: str) -> bool:
    """Whether a word is a verb, or `@` and what to do."""
    from prunejuice.errors import NotFoundError  # noqa: PLC0415

    if name.startswith("@"):
        return len(name) > 1
    try:
        _found(name)
    except NotFoundError:
        return False
    return True


def names() -> list[str]:
    """The names of all verbs."""
    from prunejuice import project, settings, vocabulary  # noqa: PLC0415

    found = vocabulary.every(project.find(project.here()), settings.environment())
    return [verb.name for verb in found]


def _help(verb: "Verb") -> str:
    return (
        f"{verb.description}.\n\nAn agent sees PATHS (files, folders, globs; !PATH leaves something out) "
        "and what speaks for the task, and answers with edits. They wait until you apply them."
    )


def _words(text: str, *, at: bool = False) -> str:
    """What a person says: as it is, from stdin (`-`), or from a file (`@FILE`)."""
    if text == "-":
        return sys.stdin.read()
    place = text if at else text[1:] if text.startswith("@") else ""
    try:
        is_file = bool(place) and len(place) < 4096 and Path(place).is_file()
    except (OSError, ValueError):
        is_file = False
    return Path(place).read_text(encoding="utf-8", errors="replace") if is_file else text


class _Doing(NamedTuple):
    """What is to be done, and how its changes are treated."""

    request: "Request"
    shelf: "Shelf"
    asked: "Asked"
    dry_run: bool
    apply: bool
    verbose: bool
    check: "Check | None" = None


def _do(verb: "Verb", words: str, given: dict[str, Any]) -> int:
    from prunejuice import settings  # noqa: PLC0415
    from prunejuice.agents.choice import Source, chosen  # noqa: PLC0415
    from prunejuice.protocols import Stop  # noqa: PLC0415

    if given["piped"]:
        given |= _piped()
    doing = _doing(verb, words or _words(given["words"]), given)
    stop = Stop()
    try:
        source = Source(given["script"], given["record"], given["replay"])
        name = "@" if verb.name.startswith("@") else verb.name
        found = settings.load(settings.environment())
        with chosen(given["agent"], source, command=name, settings=found) as agent:
            return _done(doing, agent, stop)
    finally:
        stop.close()


def _piped() -> dict[str, Any]:
    """The options that stdin gives as JSON.

    Raises:
        UsageError: it is no object, or has keys that are none of them.
    """
    same = ("paths", "context", "diff", "budget", "model", "apply", "dry_run")
    known = {"prompt": "words", "input": "given_text", **{name: name for name in same}}
    text = sys.stdin.read().strip() or "{}"
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"stdin is no JSON: {error}", 'write {"prompt": "…", "paths": ["…"]}') from error
    if not isinstance(data, dict) or (unknown := data.keys() - known.keys()):
        wrong = f"has {sorted(unknown)[0]!r}" if isinstance(data, dict) else "is no object"
        raise UsageError(f"the JSON on stdin {wrong}", f"it can have {', '.join(known)}")
    return {"as_json": True, **{known[key]: value for key, value in data.items()}}


def _doing(verb: "Verb", words: str, given: dict[str, Any]) -> _Doing:
    from prunejuice import settings  # noqa: PLC0415
    from prunejuice.agent import Limits  # noqa: PLC0415
    from prunejuice.asking import Request  # noqa: PLC0415
    from prunejuice.cli import applying  # noqa: PLC0415

    found = settings.load(settings.environment())
    given["script"] = given["script"] or ("" if given["replay"] else found.script)
    model = given["model"] or found.model or ("scripted" if given["script"] or given["replay"] else "")
    if not model:
        fix = "--model provider:name, or `model:` in your config.yaml, and the provider's key set"
        raise UsageError("no model is set", fix)
    if verb.needs and not words.strip():
        raise UsageError(f"{verb.name} has to know what to do", f'codebot {verb.name} --prompt "…"')
    changing = [word for name, word in _CHANGING.items() if given[name]]
    if verb.result is not None and changing:
        raise UsageError(
            f"{verb.name} answers with a report and changes nothing", f"leave out {changing[0]}"
        )
    if given["dry_run"] and (given["reviewed"] or given["grain"] or given["apply"]):
        raise UsageError("--dry-run shows the changes, it judges and applies none", "leave one of them out")
    limits = Limits(given["max_cost"], given["max_tokens"], given["max_time"], given["max_rounds"])
    request = Request(
        verb,
        words,
        (*given["paths"], *given["context"]),
        _input(verb, given),
        given["diff"],
        given["budget"],
        model,
        limits,
    )
    grain = given["grain"] or ("hunk" if given["reviewed"] else "")
    asked = applying.Asked(grain, "", True, tuple(given["grant"]), "", given["as_json"])
    apply = bool(given["apply"] or found.apply)
    check = _check(verb, given, found.check)
    return _Doing(request, applying.shelf_here(), asked, given["dry_run"], apply, given["verbose"], check)


def _check(verb: "Verb", given: dict[str, Any], usual: str) -> "Check | None":
    """What has to pass: what is named, or for a verb that mends what is set.

    Raises:
        UsageError: a verb that mends has nothing to go by.
    """
    from prunejuice.mending import Check  # noqa: PLC0415

    told = bool(given["given"]) or "given_text" in given
    command = given["command"] or given["check"] or (usual if verb.mends else "")
    if command:
        return Check(command, bool(given["command"]) or (verb.mends and not told), given["tests"])
    if verb.mends and not (told or verb.input):
        fix = f"codebot {verb.name} --check 'pytest -q', or `check:` in your config.yaml"
        raise UsageError(f"{verb.name} has to know what shall pass", fix)
    return None


def _input(verb: "Verb", given: dict[str, Any]) -> str:
    from prunejuice.cli.codeclip import text_of  # noqa: PLC0415

    if "given_text" in given:
        return str(given["given_text"])
    source = given["given"] or ("" if given["command"] or given["check"] else verb.input)
    return text_of(source) if source else ""


def _done(doing: _Doing, agent: "Agent", stop: "Stop") -> int:
    from prunejuice import asking, mending, project, settings  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.contexts.gather import Engine  # noqa: PLC0415
    from prunejuice.text import safe_line, safe_text  # noqa: PLC0415

    engine = Engine(project.here(), settings.environment())

    def tell(text: str) -> None:
        for line in text.splitlines():
            render.say(safe_line(line))

    means = asking.Means(engine, doing.shelf.house, agent, stop, tell)
    if doing.request.verb.result is not None:
        return _reported(doing, means)
    try:
        answered = _answered(doing, means)
    except (asking.UnplacedError, mending.StuckError, mending.WeakenedError) as error:
        raise _kept(error) from error
    if doing.verbose:
        render.say(safe_text(answered.text))
    render.say(_took(answered.rounds, answered.spent))
    if answered.taken is None or not answered.taken.differences:
        return _nothing(doing, answered)
    again = _again(doing, means) if doing.asked.grain else ""
    return _settled(doing, answered, again)


def _reported(doing: _Doing, means: "Means") -> int:
    """Show data that an agent answers with: as Markdown, or as it is."""
    from prunejuice import asking, report  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415

    found = asking.report(doing.request, means)
    spent = found.spent
    if doing.asked.as_json:
        used = {"input": spent.input, "output": spent.output, "cached": spent.cached}
        body = {"result": found.output, "tokens": used, "cost": spent.cost}
        render.json("report", {"verb": doing.request.verb.name, **body})
    else:
        render.raw(report.markdown(doing.request.verb.result or {}, found.output))
    render.say(_took(1, spent))
    return 0


def _answered(doing: _Doing, means: "Means") -> "Answered":
    """What an agent answers: once, or until a check passes."""
    from prunejuice import asking, change, mending  # noqa: PLC0415
    from prunejuice.answer import Taken  # noqa: PLC0415

    if doing.check is None:
        return asking.ask(doing.request, means)
    made = mending.mend(doing.request, doing.check, means)
    taken = Taken(change.ChangeSet(change.of_differences(made.differences)), made.differences, "checked")
    context = made.context or asking.NO_CONTEXT
    return asking.Answered(taken if made.differences else None, made.text, made.spent, made.rounds, context)


def _settled(doing: _Doing, answered: "Answered", again: "str | Callable[[Sequence[Any]], str]") -> int:
    from prunejuice import pending  # noqa: PLC0415
    from prunejuice.cli import applying  # noqa: PLC0415

    taken = answered.taken
    if taken is None:
        return 0
    if doing.dry_run:
        return applying.previewed(taken.differences, taken, as_json=doing.asked.as_json)
    if doing.asked.grain or doing.apply:
        return applying.settle(doing.shelf, None, taken, doing.asked._replace(again=again))
    record = pending.propose(doing.shelf, taken.change_set, taken.differences)
    applying.waits(record, taken, doing.asked, about(answered))
    return 0


def about(answered: "Answered") -> dict[str, Any]:
    """What was shown, what was said, and what it took."""
    spent = answered.spent
    return {
        "summary": _prose(answered.text),
        "rounds": answered.rounds,
        "tokens": {"input": spent.input, "output": spent.output, "cached": spent.cached},
        "cost": spent.cost,
        "context": {
            "tokens": answered.context.used,
            "files": [{"path": item.path, "mode": item.mode} for item in answered.context.items],
        },
    }


def _prose(text: str) -> str:
    """What an answer says before its first block."""
    before = text.partition("<<<<<<<")[0].rstrip().splitlines()
    return "\n".join(before[:-1] if "<<<<<<<" in text else before).strip()[:2000]


def _nothing(doing: _Doing, answered: "Answered") -> int:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_text  # noqa: PLC0415

    if doing.asked.as_json:
        render.json("nothing", {"files": [], **about(answered)})
    else:
        render.say("nothing has to be changed")
        render.say(safe_text(answered.text.strip()[:2000]))
    return 0


def _took(rounds: int, spent: "Spent") -> str:
    cost = "" if spent.cost is None else f", ${spent.cost:.4f}"
    times = "1 round" if rounds == 1 else f"{rounds} rounds"
    return f"{times}, {spent.input + spent.output:,} tokens{cost}"


def _kept(error: Any) -> Exception:
    """The error, with what was answered kept in a file: what was paid for is not lost."""
    import time  # noqa: PLC0415

    from prunejuice import settings  # noqa: PLC0415

    if error.answer:
        folder = settings.home(settings.environment()) / "answers"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000:03}.md"
        path.write_text(error.answer, encoding="utf-8", errors="surrogateescape")
        error.fix = f"{error.fix}; what was answered is kept: codebot apply {path}"
    return error  # type: ignore[no-any-return]


def _again(doing: _Doing, means: "Means") -> "Callable[[Sequence[Any]], str]":
    """Who is asked again for the hunks that a person sent back: the same agent, for those hunks only."""
    from prunejuice import asking  # noqa: PLC0415
    from prunejuice.cli.again import sent  # noqa: PLC0415

    def asked(back: Sequence[Any]) -> str:
        hunks = [sent(hunk, decision) for hunk, decision in back]
        shown = "\n\n".join(
            f"{each['filepath']}: {each['action']}: {each['reason']}\n{each['diff']}" for each in hunks
        )
        words = (
            f"{doing.request.words}\n\nA person looked at your changes. What was approved is in the files. "
            f"These were sent back, with the reason; make them again, and nothing else:\n\n{shown}"
        )
        paths = tuple(dict.fromkeys(each["filepath"] for each in hunks))
        return asking.ask(doing.request._replace(words=words, paths=paths), means).text

    return asked


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

    found = vocabulary.every(project.find(project.here()), settings.environment())
    if as_json:
        render.json(
            "verbs", [{"name": v.name, "description": v.description, "source": v.source} for v in found]
        )
        return
    for row in render.columns((v.name, safe_line(v.description, 90), v.source) for v in found):
        render.out(row)
