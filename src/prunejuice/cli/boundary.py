"""Where errors become exit codes, and nowhere else.

0 done · 1 failed · 2 usage or configuration · 3 a gate was not met · 4 edits or a merge could not be
applied · 5 a limit was reached · 6 model or agent failed · 7 denied · 8 a human is needed · 9 nothing
to do · 130 interrupted
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from prunejuice import diagnostics, errors, settings
from prunejuice.cli import render
from prunejuice.event import Reason
from prunejuice.run import RunStatus

_CODES: Mapping[type[errors.PruneJuiceError], int] = {
    errors.UsageError: 2,
    errors.ConditionError: 2,
    errors.DeniedError: 7,
    errors.HumanNeededError: 8,
}
_REASONS: Mapping[Reason, int] = {
    "": 1, "failed": 1, "usage": 2, "gate": 3, "conflict": 4, "limit": 5, "agent": 6, "denied": 7,
}  # fmt: skip
_STATUSES: Mapping[RunStatus, int] = {
    "completed": 0, "waiting": 8, "cancelled": 130, "interrupted": 130,
}  # fmt: skip


def run_code(status: RunStatus, reason: Reason) -> int:
    """The exit code that says how a run ended."""
    return _STATUSES.get(status, _REASONS[reason])


def guarded(group: click.Group, arguments: list[str] | None = None) -> int:
    """Run a command line; its exit code. Every error that gets here is shown, none is a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        code = group.main(arguments, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _usage(error, as_json=as_json)
    except errors.PruneJuiceError as error:
        render.error(error.message, error.fix, as_json=as_json)
        diagnostics.note("error", message=error.message)
        return next((c for kind, c in _CODES.items() if isinstance(error, kind)), 1)
    except (KeyboardInterrupt, click.Abort):
        render.say("interrupted")
        return 130
    except BrokenPipeError:
        render.drop_stdout()
        return 0
    except Exception as error:  # noqa: BLE001 - the last place
        return _crashed(error, arguments, as_json=as_json)
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, *, as_json: bool) -> int:
    fix = ""
    if isinstance(error, click.UsageError) and error.ctx:
        fix = f"{error.ctx.command_path} --help"
    render.error(error.format_message(), fix, as_json=as_json)
    return 2


def _crashed(error: Exception, arguments: list[str], *, as_json: bool) -> int:
    diagnostics.configure(log_file(), verbose=False)
    place = diagnostics.crash(error, arguments=arguments)
    fix = f"this is a bug; what a report needs is in {place}" if place else "this is a bug"
    render.error(f"unexpected {type(error).__name__}: {error}", fix, as_json=as_json)
    return 1


def log_file() -> Path:
    """The program's own log."""
    return settings.home(settings.environment()) / "log" / "prunejuice.log"
