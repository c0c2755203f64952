"""Steps that are programs: an inline `script:`, or a file in `.prj/steps`. The only place for shell text.

A value never becomes part of the text; it reaches the script as an environment variable. How the
program ended is also written to a file by the shell that ran it, so that a step which finished after
its driver was killed is known to have finished.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from prunejuice import process
from prunejuice.errors import StepError
from prunejuice.output import TAIL, Log
from prunejuice.process import Call
from prunejuice.protocols import Handle, StepResult
from prunejuice.redact import Mask
from prunejuice.settings import Settings
from prunejuice.steps.environment import Surroundings, outputs_file
from prunejuice.text import safe_line

MAX_OUTPUTS = 1024 * 1024
SIGNALLED = 128
"""Exit codes from here on mean that a signal ended the program, perhaps one of ours."""

# $1 is the file for the exit code, the rest the program.
_PROGRAM = 'end=$1; shift; "$@"; code=$?; printf %s "$code" >"$end"; exit "$code"'
# $1 is the file for the exit code, $2 the script: a subshell costs half of another shell.
_SCRIPT = (
    '_prj_end=$1 _prj_text=$2; shift 2; (set -eo pipefail; . "$_prj_text"); '
    'code=$?; printf %s "$code" >"$_prj_end"; exit "$code"'
)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")


def inline(handle: Handle, around: Surroundings, settings: Settings) -> StepResult:
    """Run the text of a `script:` step with bash; it stops at the first command that fails."""
    path = outputs_file(handle).with_suffix(".sh")
    path.write_text(handle.step.script, encoding="utf-8")
    bash = process.which("bash", around.variables.get("PATH"))
    argv = [bash, "--noprofile", "--norc", "-c", _SCRIPT, "bash", str(_end_file(handle)), str(path)]
    return _carried_out(argv, handle, around, settings)


def file(path: Path, handle: Handle, around: Surroundings, settings: Settings) -> StepResult:
    """Run a step file: Python with our interpreter, anything else with bash."""
    program = [process.python(), "-B"] if path.suffix == ".py" else [process.which("bash")]
    shell = process.which("sh", around.variables.get("PATH"))
    argv = [shell, "-c", _PROGRAM, "sh", str(_end_file(handle)), *program, str(path)]
    return _carried_out(argv, handle, around, settings)


def _end_file(handle: Handle) -> Path:
    return outputs_file(handle).with_suffix(".exit")


def adopted(directory: Path, log_name: str, hidden: Iterable[str] = ()) -> StepResult | None:
    """The result of a program that ended by itself although nobody was there to see it."""
    log = directory / log_name
    ended = directory / "outputs" / f"{log.stem}.exit"
    written = ended.read_text() if ended.is_file() else ""
    if not written.isdigit() or int(written) >= SIGNALLED:
        return None
    try:
        return _verdict(int(written), handed_on(ended.with_suffix(".out"), hidden), _tail(log))
    except StepError:
        return None


def _carried_out(argv: list[str], handle: Handle, around: Surroundings, settings: Settings) -> StepResult:
    outputs = outputs_file(handle)
    call = Call(
        argv=argv,
        cwd=around.directory,
        env=around.variables,
        timeout=handle.timeout,
        grace=settings.grace,
        tag=handle.tag,
    )
    log = Log(handle.log, settings.log_limit, around.hidden, handle.tell)
    try:
        ended = process.run(call, log, handle.stop)
    finally:
        log.close()
    return _result(ended, handle, log.text(), outputs, around.hidden)


def _result(
    ended: process.Exit, handle: Handle, output: str, outputs: Path, hidden: Iterable[str]
) -> StepResult:
    if ended.timed_out:
        error = f"timed out after {round(handle.timeout, 1):g} s"
        return StepResult(False, error, "limit", ended.code, output=output)
    if ended.stopped:
        return StepResult(False, "stopped", "stopped", ended.code, output=output)
    return _verdict(ended.code, handed_on(outputs, hidden), output)


def _verdict(code: int, outputs: Mapping[str, Any], output: str) -> StepResult:
    return StepResult(not code, f"exit code {code}" if code else "", "", code, outputs, output)


def handed_on(path: Path, hidden: Iterable[str] = ()) -> Mapping[str, Any]:
    """What a step wrote to `PRUNEJUICE_OUTPUT`: one JSON object, or lines of `key=value`.

    Values that must not be shown are masked, because outputs are kept in the history.

    Raises:
        StepError: it is neither, or too much.
    """
    if not path.exists():
        return {}
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_OUTPUTS:
        raise StepError(f"PRUNEJUICE_OUTPUT is not a file of at most {MAX_OUTPUTS >> 20} MiB")
    mask = Mask(hidden)
    text = mask.feed(path.read_bytes()) + mask.flush()
    if text.lstrip()[:1] == b"{":
        return _object(text)
    found: dict[str, Any] = {}
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        key, equals, value = line.partition("=")
        if line.strip() and not (equals and _KEY.match(key.strip())):
            shown = safe_line(line, 60)
            raise StepError(f"PRUNEJUICE_OUTPUT line {number} is not key=value: {shown!r}")
        if line.strip():
            found[key.strip()] = value
    return found


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise StepError(f"PRUNEJUICE_OUTPUT is not JSON: {error}") from error


def _tail(log: Path) -> str:
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return file.read().decode("utf-8", "replace")
