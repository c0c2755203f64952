"""Run a program in a terminal window with a given environment, and write how it ended to a file.

The first argument names a JSON file, which is deleted as soon as it is read: `argv`, `cwd`, `env`, `lock`
(a file that the driver of the run keeps locked), and `ended` (the file for the exit code or the error).
The other arguments are variables of the terminal, as NAME=VALUE.
"""

import fcntl
import json
import os
import signal
import sys
from pathlib import Path


def main(order_file: Path, terminal_variables: dict[str, str]) -> None:
    """Run the program in the foreground, and write how it ended."""
    order = json.loads(order_file.read_text())
    order_file.unlink()
    if not is_locked(order["lock"]):  # the driver was killed meanwhile
        return
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, a handler is not inherited
    argv, default_signals = order["argv"], (signal.SIGPIPE, signal.SIGXFSZ)
    try:
        os.chdir(order["cwd"])
        pid = os.posix_spawn(
            argv[0], argv, {**order["env"], **terminal_variables}, setsigdef=default_signals
        )
    except OSError as error:
        write_exit_status(Path(order["ended"]), {"code": 127, "error": error.strerror})
        return
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    write_exit_status(Path(order["ended"]), {"code": code if code >= 0 else 128 - code, "error": ""})


def is_locked(lock: str) -> bool:
    """Return whether another process holds the lock."""
    with Path(lock).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def write_exit_status(path: Path, status: dict[str, object]) -> None:
    """Write the exit status atomically."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(status))
    draft.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:]))
