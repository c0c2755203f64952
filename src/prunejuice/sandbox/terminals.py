"""Whether a process in a sandbox could leave it through the terminal of its user."""

import sys
from pathlib import Path

_SWITCH = Path("/proc/sys/dev/tty/legacy_tiocsti")


def can_be_typed_into(switch: Path = _SWITCH) -> bool:
    """Return whether a process can put keys into the terminal that it has, as if a person had typed them.

    Linux since 6.2 can forbid it; on other systems a sandbox does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return switch.read_text().strip() != "0"
    except OSError:
        return True
