"""Steps that are programs: an inline `script:`, or a file in `.prj/steps`. The only place for shell text.

A value never becomes part of the script text; it reaches the script as an environment variable. The shell
that runs the program also writes its exit code to a file, so that a step which finishes after its driver
was killed still counts as finished.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.environments.origin import find_shadowed_module
from prunejuice.errors import StepError
from prunejuice.steps import containment
from prunejuice.steps.environment import StepEnvironment, outputs_file
from prunejuice.system import process
from prunejuice.system.output import TAIL_BYTES, OutputLog
from prunejuice.system.process import ProcessSpec, SandboxEntry
from prunejuice.system.redact import mask_bytes
from prunejuice.system.settings import Settings
from prunejuice.text import safe_line

MAX_OUTPUT_BYTES = 1024 * 1024
FIRST_SIGNAL_CODE = 128
"""Exit codes from 128 mean that a signal ended the program, possibly one that the driver sent."""

# $1 is the file for the exit code, the rest the program.
_PROGRAM_WRAPPER = 'end=$1; shift; "$@"; code=$?; printf %s "$code" >"$end"; exit "$code"'
# $1 is the file for the exit code, $2 the script. A subshell costs half as much as a second shell.
_SCRIPT_WRAPPER = (
    '_prj_end=$1 _prj_text=$2; shift 2; (set -eo pipefail; . "$_prj_text"); '
    'code=$?; printf %s "$code" >"$_prj_end"; exit "$code"'
)
_OUTPUT_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")


def run_script(
    handle: StepContext,
    environment: StepEnvironment,
    settings: Settings,
    sandbox: SandboxEntry | None = None,
) -> StepResult:
    """Run the text of a `script:` step with bash, which stops at the first command that fails."""
    path = outputs_file(handle).with_suffix(".sh")
    path.write_text(handle.step.script, encoding="utf-8")
    bash = process.require_program("bash", environment.variables.get("PATH"))
    argv = [
        bash,
        "--noprofile",
        "--norc",
        "-c",
        _SCRIPT_WRAPPER,
        "bash",
        str(_exit_code_file(handle)),
        str(path),
    ]
    return _run_program(argv, handle, environment, settings, sandbox)


def run_step_file(
    path: Path,
    handle: StepContext,
    environment: StepEnvironment,
    settings: Settings,
    sandbox: SandboxEntry | None = None,
) -> StepResult:
    """Run a step file: a `.py` file with the interpreter of this process, any other file with bash."""
    program = (
        [process.python_executable(), "-B", "-X", f"pycache_prefix={handle.directory}/pycache"]
        if path.suffix == ".py"
        else [process.require_program("bash")]
    )
    shell = process.require_program("sh", environment.variables.get("PATH"))
    argv = [shell, "-c", _PROGRAM_WRAPPER, "sh", str(_exit_code_file(handle)), *program, str(path)]
    return _run_program(argv, handle, environment, settings, sandbox)


def _exit_code_file(handle: StepContext) -> Path:
    return outputs_file(handle).with_suffix(".exit")


def recover_result(directory: Path, log_name: str, hidden: Iterable[str] = ()) -> StepResult | None:
    """Return the result of a program that ended without its driver, or None if it did not end by itself."""
    log = directory / log_name
    exit_file = directory / "outputs" / f"{log.stem}.exit"
    exit_code = exit_file.read_text() if exit_file.is_file() else ""
    if not exit_code.isdigit() or int(exit_code) >= FIRST_SIGNAL_CODE:
        return None
    try:
        return _build_result(int(exit_code), exit_file.with_suffix(".out"), hidden, _read_tail(log))
    except StepError:
        return None


def _run_program(
    argv: list[str],
    handle: StepContext,
    environment: StepEnvironment,
    settings: Settings,
    sandbox: SandboxEntry | None,
) -> StepResult:
    outputs = outputs_file(handle)
    call = ProcessSpec(
        argv=argv,
        cwd=environment.directory,
        env=environment.variables,
        timeout=handle.timeout,
        grace=settings.grace,
        tag=handle.tag,
        sandbox=sandbox,
        shown=(str(outputs.with_suffix(".sh")),),
    )
    log = OutputLog(handle.log, settings.log_limit, environment.hidden, handle.report_line)
    try:
        status = process.run(call, log, handle.stop)
    finally:
        log.close()
        containment.collect_outputs(handle.directory, handle.log)
    return _to_result(status, handle, log.tail(), outputs, environment.hidden)


def _to_result(
    status: process.ExitStatus, handle: StepContext, output: str, outputs: Path, hidden: Iterable[str]
) -> StepResult:
    if status.timed_out:
        error = f"timed out after {round(handle.timeout, 1):g} s"
        return StepResult(False, error, "limit", status.code, output=output)
    if status.stopped:
        return StepResult(False, "stopped", "stopped", status.code, output=output)
    return _build_result(status.code, outputs, hidden, output)


def _build_result(code: int, outputs_file: Path, hidden: Iterable[str], output: str) -> StepResult:
    outputs = read_outputs(outputs_file, hidden)
    if not code and (shadowed := find_shadowed_module(outputs_file.with_suffix(".origin"))):
        return StepResult(False, str(shadowed), "gate", code, outputs, output)
    return StepResult(not code, f"exit code {code}" if code else "", "", code, outputs, output)


def read_outputs(path: Path, hidden: Iterable[str] = ()) -> Mapping[str, Any]:
    """Return the outputs that a step wrote to `PRUNEJUICE_OUTPUT`: one JSON object, or `key=value` lines.

    Values in `hidden` are masked, because outputs are stored in the history.

    Raises:
        StepError: the file has another format, or is larger than 1 MiB.
    """
    if not path.exists():
        return {}
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_OUTPUT_BYTES:
        raise StepError(f"PRUNEJUICE_OUTPUT must be a regular file of at most {MAX_OUTPUT_BYTES >> 20} MiB")
    content = path.read_bytes()
    text = mask_bytes(content, hidden)
    if text != content:
        path.write_bytes(text)  # the file is kept with the run
    if text.lstrip()[:1] == b"{":
        return _parse_json_object(text)
    outputs: dict[str, Any] = {}
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        key, equals, value = line.partition("=")
        if line.strip() and not (equals and _OUTPUT_KEY.match(key.strip())):
            shown = safe_line(line, 60)
            raise StepError(f"PRUNEJUICE_OUTPUT line {number} is not key=value: {shown!r}")
        if line.strip():
            outputs[key.strip()] = value
    return outputs


def _parse_json_object(text: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise StepError(f"PRUNEJUICE_OUTPUT is not valid JSON: {error}") from error


def _read_tail(log: Path) -> str:
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace")
