"""A program in a window of a terminal, in the environment that was handed over; how it ended is kept.

The first argument names a file of JSON, which is gone as soon as it is read: `argv`, `cwd`, `env`, `lock`,
which whoever wants the program holds, and `ended`, the file that says its exit code or why there is none.
The others are variables of the terminal, as NAME=VALUE.
"""

import fcntl
import json
import os
import signal
import sys
from pathlib import Path


def main(order: Path, own: dict[str, str]) -> None:
    """Run the program, which has the keys, and say how it ended."""
    given = json.loads(order.read_text())
    order.unlink()
    if not is_held(given["lock"]):  # whoever wanted it was killed meanwhile
        return
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)  # unlike what is ignored, no program inherits this
    argv, ours = given["argv"], (signal.SIGPIPE, signal.SIGXFSZ)
    try:
        os.chdir(given["cwd"])
        pid = os.posix_spawn(argv[0], argv, {**given["env"], **own}, setsigdef=ours)
    except OSError as error:
        keep(Path(given["ended"]), {"code": 127, "error": error.strerror})
        return
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    keep(Path(given["ended"]), {"code": code if code >= 0 else 128 - code, "error": ""})


def is_held(lock: str) -> bool:
    """Whether somebody holds a lock."""
    with Path(lock).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def keep(place: Path, ended: dict[str, object]) -> None:
    """Write how it ended, whole or not at all."""
    draft = place.with_suffix(".draft")
    draft.write_text(json.dumps(ended))
    draft.replace(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:]))
