"""A program in a window of a terminal, in the environment that was handed over; its exit code is kept.

The first argument names a file of JSON, which is gone as soon as it is read: `argv`, `cwd`, `env`, and
`ended`, the file that the exit code is written to. The others are variables of the terminal, as NAME=VALUE.
"""

import json
import os
import signal
import sys
from pathlib import Path


def main(order: Path, own: dict[str, str]) -> None:
    """Run the program, which has the keys, and say how it ended."""
    given = json.loads(order.read_text())
    order.unlink()
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)  # unlike what is ignored, no program inherits this
    argv, ours = given["argv"], (signal.SIGPIPE, signal.SIGXFSZ)
    os.chdir(given["cwd"])
    pid = os.posix_spawn(argv[0], argv, {**given["env"], **own}, setsigdef=ours)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ended = Path(given["ended"])
    draft = ended.with_suffix(".draft")
    draft.write_text(str(code if code >= 0 else 128 - code))
    draft.replace(ended)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:]))
