"""The request that the options of `codebot VERB` describe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.app.wiring import App
from prunejuice.cli.codebot.apply_options import ApplyOptions
from prunejuice.cli.codebot.verb_options import CHANGE_FLAGS
from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.errors import MissingToolError, UsageError
from prunejuice.verbs.verb import Verb


class VerbOptions(NamedTuple):
    """The options of a verb on the command line. Empty texts and None stand for options that are not given.

    `given_text` is additional input that was read already, from JSON on stdin or from an issue. `closes`
    is the number and the title of that issue.
    """

    paths: Sequence[str] = ()
    words: str = ""
    issue: int | None = None
    context: Sequence[str] = ()
    given: str = ""
    diff: str = ""
    budget: int = DEFAULT_BUDGET
    model: str = ""
    agent: str = ""
    claudesdk: bool = False
    interactive: bool = False
    access: str = "edit"
    script: str = ""
    record: str = ""
    replay: str = ""
    max_cost: float | None = None
    max_tokens: int | None = None
    max_time: float | None = None
    max_rounds: int = 3
    max_turns: int | None = None
    check: str = ""
    command: str = ""
    tests: bool = False
    dry_run: bool = False
    reviewed: bool = False
    grain: str | None = None
    apply: bool = False
    grant: Sequence[str] = ()
    piped: bool = False
    verbose: bool = False
    as_json: bool = False
    given_text: str | None = None
    closes: str = ""


def build_invocation(verb: "Verb", prompt: str, options: VerbOptions) -> "VerbInvocation":
    """Return the invocation that the options describe, after checking that they fit together.

    Raises:
        UsageError: options contradict each other, or no model is set.
    """
    from prunejuice.app import wiring  # noqa: PLC0415
    from prunejuice.cli.review import interactive  # noqa: PLC0415

    app = wiring.open_app()
    _require_compatible_options(verb, prompt, options)
    options = options._replace(
        agent=_choose_agent(options) or app.settings.agent,
        script=options.script or ("" if options.replay else app.settings.script),
    )
    _require_model(options, app)
    grain = options.grain or ("hunk" if options.reviewed else "")
    apply_options = ApplyOptions(grain, "", True, tuple(options.grant), "", options.as_json)
    apply = bool(options.apply or app.settings.apply)
    if grain:
        interactive.require_terminal()
    arguments = _step_arguments(verb, prompt, options)
    return VerbInvocation(
        app,
        verb,
        arguments,
        apply_options,
        options.dry_run,
        apply,
        options.verbose,
        options.interactive,
    )


def _choose_agent(options: VerbOptions) -> str:
    """Return the agent that the options name, or nothing.

    Raises:
        UsageError: the options name two agents, or a human is needed in a pipe.
    """
    named = "claude" if options.claudesdk else options.agent
    if options.script and named not in {"", "oneshot", "scripted"}:
        raise UsageError(f"--script cannot be combined with --agent {named}", "pass only one of them")
    if options.piped and str(named).startswith("interactive"):
        raise UsageError("-p cannot be combined with an interactive agent", "pass only one of them")
    if options.claudesdk and options.agent not in {"", "claude", "claudesdk"}:
        raise UsageError(
            f"--claudesdk cannot be combined with --agent {options.agent}", "pass only one of them"
        )
    if not options.interactive:
        return str(named)
    if options.piped:
        raise UsageError("-p cannot be combined with -i", "pass only one of them")
    return str(named) if str(named).startswith("interactive") else f"interactive:{named or 'claude'}"


def _require_compatible_options(verb: "Verb", prompt: str, options: VerbOptions) -> None:
    if verb.needs and not prompt.strip() and not options.interactive:
        fix = f'run `codebot {verb.name} --prompt "…"`'
        fix = f'{fix}, or add the field to stdin: {{"prompt": "…"}}' if options.piped else fix
        raise UsageError(f"{verb.name} needs instructions", fix)
    changing = [flag for name, flag in CHANGE_FLAGS.items() if getattr(options, name)]
    if verb.result is not None and changing:
        raise UsageError(f"{verb.name} answers with a report and changes nothing", f"drop {changing[0]}")
    if options.command and options.check:
        raise UsageError("--from-cmd and --check cannot be combined", "pass only one of them")
    if options.dry_run and (options.reviewed or options.grain or options.apply):
        raise UsageError(
            "--dry-run cannot be combined with -r, --review or --apply", "pass only one of them"
        )


def _require_model(options: VerbOptions, app: App) -> None:
    model = options.model or app.settings.model or options.script or options.replay
    if (options.agent or "oneshot") == "oneshot" and not model:
        fix = (
            "pass --model provider:name or set `model:` in config.yaml, with the provider's key set; "
            "or pass --agent claude or codex, which choose their own"
        )
        if app.has_untrusted_settings():
            fix = f"{app.project.config} is ignored until you review it and run `prj trust`; or {fix}"
        raise UsageError("no model is set", fix)


def _step_arguments(verb: "Verb", prompt: str, options: VerbOptions) -> dict[str, Any]:
    """Return the arguments of the agent step."""
    from prunejuice.verbs.arguments import ARGUMENTS  # noqa: PLC0415

    files = {
        name: str(Path(path).absolute())
        for name in ("script", "record", "replay")
        if (path := getattr(options, name))
    }
    return {
        **{name: getattr(options, name) for name in ARGUMENTS if name in options._fields},
        **files,
        "prompt": prompt,
        "paths": list(options.paths),
        "context": list(options.context),
        "grant": list(options.grant),
        "input": _read_input(verb, options),
        "agent": options.agent,
        "check": options.command or options.check,
        "first": bool(options.command),
        "allow_tests_change": options.tests,
        "changes": "keep" if options.dry_run else "wait",
    }


def _read_input(verb: "Verb", options: VerbOptions) -> str:
    from prunejuice.cli.text_source import is_stdin_piped, read_source  # noqa: PLC0415

    if options.given_text is not None:
        return options.given_text
    source = options.given or ("" if options.command or options.check else verb.input)
    source = "-" if source == "clipboard" and not options.given and is_stdin_piped() else source
    try:
        return read_source(source) if source else ""
    except MissingToolError as error:
        fix = "pass --input - for piped input, or --input FILE"
        raise MissingToolError(error.message, fix if not options.given else error.fix) from error


class VerbInvocation(NamedTuple):
    """A verb with its arguments, and how its changes are handled."""

    app: App
    verb: Verb
    arguments: dict[str, Any]
    apply_options: ApplyOptions
    dry_run: bool
    apply: bool
    verbose: bool
    interactive: bool
