"""Where errors become exit codes, and nowhere else.

0 done · 1 failed · 2 usage or configuration · 3 a gate was not met · 4 edits or a merge could not be
applied · 5 a limit was reached · 6 model or agent failed · 7 denied · 8 a human is needed · 9 nothing
to do · 130 interrupted

What only an error needs is imported when there is one, so that the good case stays fast.
"""

import errno
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from prunejuice import errors

if TYPE_CHECKING:
    from pathlib import Path

    from prunejuice.event import Reason
    from prunejuice.run import RunStatus

_CODES: Mapping[type[errors.PruneJuiceError], int] = {
    errors.UsageError: 2,
    errors.ConditionError: 2,
    errors.GateError: 3,
    errors.ConflictError: 4,
    errors.LimitError: 5,
    errors.AgentError: 6,
    errors.DeniedError: 7,
    errors.HumanNeededError: 8,
}
_REASONS: "Mapping[Reason, int]" = {
    "": 1,
    "failed": 1,
    "stopped": 1,
    "usage": 2,
    "gate": 3,
    "conflict": 4,
    "limit": 5,
    "agent": 6,
    "denied": 7,
}
_STATUSES: "Mapping[RunStatus, int]" = {"completed": 0, "waiting": 8, "cancelled": 130, "interrupted": 130}


def run_code(status: "RunStatus", reason: "Reason") -> int:
    """The exit code that says how a run ended."""
    return _STATUSES.get(status, _REASONS[reason])


def guarded(group: click.Command, arguments: list[str] | None = None) -> int:
    """Run a command line; its exit code. Every error that gets here is shown, none is a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = group.main(arguments, standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # Click turns the one into the other
        from prunejuice.cli import render  # noqa: PLC0415

        render.drop_stdout()
        return 0
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(arguments)
    except Exception as error:  # noqa: BLE001 - the last place
        try:
            return _shown(error, arguments)
        except OSError as worse:  # nobody can be told, or only on stderr
            sys.stderr.write(f"error: {worse}\n")
            return 1
    return code if isinstance(code, int) else 0


def _as_json(arguments: list[str]) -> bool:
    return "--json" in arguments or "-p" in arguments


def _interrupted(arguments: list[str]) -> int:
    from prunejuice.cli import render  # noqa: PLC0415

    if _as_json(arguments):
        render.error("interrupted", "", as_json=True)
    else:
        click.echo("interrupted", err=True)
    return 130


def _shown(error: Exception, arguments: list[str]) -> int:
    """Say what went wrong; the exit code for it."""
    from prunejuice.cli import render  # noqa: PLC0415

    as_json = _as_json(arguments)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        render.error(
            error.format_message(),
            f"{context.command_path} --help" if context else "",
            as_json=as_json,
            exit_code=2,
        )
        return 2
    if isinstance(error, errors.PruneJuiceError):
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), 1)
        render.error(error.message, error.fix, as_json=as_json, exit_code=code)
        return code
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        render.error(f"{error.filename or 'the output'}: {error.strerror}", "make room", as_json=False)
        return 1
    if isinstance(error, PermissionError | NotADirectoryError) and error.filename:
        fix = "make it writable; where our own files are: PRUNEJUICE_HOME"
        render.error(f"{error.filename}: {error.strerror}", fix, as_json=as_json)
        return 2
    place = _report(error, arguments)
    fix = f"this is a bug; what a report needs is in {place}" if place else "this is a bug"
    render.error(f"unexpected {type(error).__name__}: {error}", fix, as_json=as_json)
    return 1


def _report(error: Exception, arguments: list[str]) -> "Path | None":
    from prunejuice import diagnostics  # noqa: PLC0415

    diagnostics.configure(log_file(), verbose=False)
    return diagnostics.crash(error, arguments=arguments)


def log_file() -> "Path":
    """The program's own log."""
    from prunejuice import settings  # noqa: PLC0415

    return settings.home(settings.environment()) / "log" / "prunejuice.log"
