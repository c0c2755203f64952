"""Conversion of exceptions to exit codes, in this one place.

0 success · 1 failure · 2 usage or configuration · 3 a gate failed · 4 edits or a merge could not be
applied · 5 a limit was reached · 6 the model or agent failed · 7 denied · 8 a human is needed
· 9 nothing to do · 130 interrupted

Modules that only error handling needs are imported when an error occurs, to keep the normal start fast.
"""

import errno
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from prunejuice import errors

if TYPE_CHECKING:
    from pathlib import Path

    from prunejuice.engine.event import FailureReason
    from prunejuice.engine.run import RunStatus


_ERROR_CODES: Mapping[type[errors.PruneJuiceError], int] = {
    errors.UsageError: 2,
    errors.ConditionError: 2,
    errors.GateError: 3,
    errors.ConflictError: 4,
    errors.LimitError: 5,
    errors.AgentError: 6,
    errors.DeniedError: 7,
    errors.HumanNeededError: 8,
}
_REASON_CODES: "Mapping[FailureReason, int]" = {
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
_STATUS_CODES: "Mapping[RunStatus, int]" = {
    "completed": 0,
    "waiting": 8,
    "cancelled": 130,
    "interrupted": 130,
}


def run_exit_code(status: "RunStatus", reason: "FailureReason") -> int:
    """Return the exit code for the status of a run and the reason it failed."""
    return _STATUS_CODES.get(status, _REASON_CODES[reason])


def run_command_line(group: click.Command, arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code; print every error instead of a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_closed_streams()
    try:
        code = group.main(arguments, standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # Click turns a broken pipe into SystemExit
        from prunejuice.cli import render  # noqa: PLC0415

        render.discard_stdout()
        return 0
    except (KeyboardInterrupt, click.Abort):
        return _report_interrupt(arguments)
    except Exception as error:  # noqa: BLE001 - the outermost handler
        try:
            return _report_error(error, arguments)
        except OSError as output_error:  # stdout is unusable, for example a full disk
            sys.stderr.write(f"error: {output_error}\n")
            return 1
    return code if isinstance(code, int) else 0


def _open_closed_streams() -> None:
    """Open the null device in place of standard streams that the caller closed (`2>&-`).

    Otherwise the next file that is opened would be taken for the terminal.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _wants_json(arguments: list[str]) -> bool:
    return "--json" in arguments or "-p" in arguments


def _report_interrupt(arguments: list[str]) -> int:
    from prunejuice.cli import render  # noqa: PLC0415

    if _wants_json(arguments):
        render.print_error("interrupted", "", as_json=True)
    else:
        click.echo("interrupted", err=True)
    return 130


def _report_error(error: Exception, arguments: list[str]) -> int:
    """Print an error and return its exit code."""
    from prunejuice.cli import render  # noqa: PLC0415

    as_json = _wants_json(arguments)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.ClickException):
        render.print_error(*_describe_usage_error(error), as_json=as_json, exit_code=2)
        return 2
    if isinstance(error, errors.PruneJuiceError):
        code = next((code for kind, code in _ERROR_CODES.items() if isinstance(error, kind)), 1)
        render.print_error(error.message, error.fix, as_json=as_json, exit_code=code)
        return code
    # A full disk cannot take the JSON object either: stdout may be on it.
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        render.print_error(
            f"{error.filename or 'the output'}: {error.strerror}", "free some disk space", as_json=False
        )
        return 1
    if isinstance(error, OSError) and error.filename and _is_unusable(error):
        fix = "make it writable, or set PRUNEJUICE_HOME to a writable directory"
        render.print_error(f"{error.filename}: {error.strerror}", fix, as_json=as_json)
        return 2
    report = _write_crash_report(error, arguments)
    fix = f"report this bug and attach {report}" if report else "report this bug"
    render.print_error(f"unexpected {type(error).__name__}: {error}", fix, as_json=as_json)
    return 1


def _describe_usage_error(error: click.ClickException) -> tuple[str, str]:
    """Return the message and the fix for an error in the words of a command line."""
    context = getattr(error, "ctx", None)
    fix = f"run `{context.command_path} --help`" if context else ""
    if not isinstance(error, click.NoSuchOption) or context is None:
        return error.format_message(), fix
    from prunejuice.text import most_similar_word, safe_line  # noqa: PLC0415

    name = safe_line(error.option_name, 60)
    options = (param.opts + param.secondary_opts for param in context.command.get_params(context))
    known = {each.lstrip("-"): each for names in options for each in names if each.startswith("--")}
    # Compared without dashes, which would make all options alike.
    if similar := most_similar_word(name.lstrip("-"), known):
        return f"unknown option {name}: did you mean {known[similar]}?", fix
    if any("NAME=VALUE" in str(param.metavar) for param in context.command.params if param.metavar):
        fix = f"write an argument as {name.lstrip('-')}=VALUE, without dashes; options: {fix[4:]}"
    return f"unknown option {name}", fix


def _is_unusable(error: OSError) -> bool:
    """Return whether an error says that a file, or the state directory, cannot be used as it is."""
    from pathlib import Path  # noqa: PLC0415

    if isinstance(error, PermissionError | NotADirectoryError) or error.errno == errno.EROFS:
        return True
    path, state = Path(os.fsdecode(error.filename)), log_file().parents[1]
    is_of_state = path.is_relative_to(state) or state.is_relative_to(path)
    return is_of_state and isinstance(error, FileExistsError | FileNotFoundError)


def _write_crash_report(error: Exception, arguments: list[str]) -> "Path | None":
    from prunejuice.system import diagnostics  # noqa: PLC0415

    diagnostics.configure(log_file(), verbose=False)
    return diagnostics.log_crash(error, arguments=arguments)


def log_file() -> "Path":
    """Return the path of the program's own log."""
    from prunejuice.system import settings  # noqa: PLC0415

    return settings.state_directory(settings.environment()) / "log" / "prunejuice.log"
