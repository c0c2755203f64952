"""A terminal for tests, on which a person types."""

import os
import pty
import select
import subprocess
import sys
import time


def call_on_terminal(program, folder, environ, react=lambda _child, _terminal, _seen: None):
    """Run a program on a terminal of its own; its exit code and the bytes that it showed.

    `react` is called with the process, the terminal to type on and all that was shown so far, whenever more
    is shown.
    """
    main, terminal = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    with subprocess.Popen(program, cwd=folder, env=environ, **streams) as child:
        os.close(terminal)
        seen = b""
        until = time.monotonic() + 120
        while select.select([main], [], [], max(0, until - time.monotonic()))[0]:
            try:
                chunk = os.read(main, 4096)
            except OSError:  # the end, on Linux
                break
            if not chunk:
                break
            seen += chunk
            react(child, main, seen)
        if time.monotonic() > until:
            child.kill()
        child.wait()
    os.close(main)
    return child.returncode, seen


class Terminal:
    """`codebot`, or another of our programs, on a terminal of its own, typed at key by key.

    `shown` is everything that the terminal showed, `seen` what came after the last text waited for.
    """

    def __init__(self, root, *words, program="codebot", **env):
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.chdir(root)
            for name in ("NO_COLOR", "CI", "PYTEST_VERSION"):  # a library says less where these are set
                os.environ.pop(name, None)
            os.environ |= {"TERM": "xterm", "COLUMNS": "120", **env}
            text = f"import sys; from prunejuice.cli.{program} import main; main()"
            os.execv(sys.executable, [sys.executable, "-c", text, *words])
        self.seen = self.shown = ""

    def wait(self, text, seconds=120):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} did not come: {self.seen}")
            if not self._read():
                raise AssertionError(f"{text!r} did not come: {self.seen}")
        self.seen = self.seen.split(text, 1)[1]

    def key(self, keys, after="q quit"):
        self.wait(after)
        os.write(self.fd, keys.encode())

    def end(self, seconds=120):
        deadline = time.monotonic() + seconds
        while select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
            if not self._read():
                return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        os.kill(self.child, 9)
        os.waitpid(self.child, 0)
        raise AssertionError(f"it did not end: {self.seen}")

    def _read(self):
        """Read what is there; False at the end."""
        try:
            text = os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:  # the end, on Linux
            return False
        self.seen += text
        self.shown += text
        return bool(text)
