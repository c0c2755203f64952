"""The clipboard, through a desktop program, tmux, or the terminal itself (OSC 52), also over ssh."""

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import MissingToolError, UsageError
from prunejuice.system import process

MAX_BYTES = 8 << 20
"""The most bytes that are read."""
_MAX_OSC52_BYTES = 74_994
"""The most base64 bytes that common terminals accept in one OSC 52 sequence."""
_SECONDS = 5.0


class ClipboardTool(NamedTuple):
    """A program that accesses the clipboard: its commands, and the environment variable it requires."""

    name: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    needs: str = ""


TOOLS = (
    ClipboardTool("pbcopy", ("pbpaste",), ("pbcopy",)),
    ClipboardTool("wl-clipboard", ("wl-paste", "--no-newline"), ("wl-copy",), "WAYLAND_DISPLAY"),
    ClipboardTool(
        "xclip", ("xclip", "-selection", "clipboard", "-o"), ("xclip", "-selection", "clipboard"), "DISPLAY"
    ),
    ClipboardTool(
        "xsel", ("xsel", "--clipboard", "--output"), ("xsel", "--clipboard", "--input"), "DISPLAY"
    ),
    ClipboardTool(
        "clip.exe", ("powershell.exe", "-NoProfile", "Get-Clipboard"), ("clip.exe",), "WSL_DISTRO_NAME"
    ),
    ClipboardTool("tmux", ("tmux", "show-buffer"), ("tmux", "load-buffer", "-w", "-"), "TMUX"),
)


def read(environ: Mapping[str, str], only: str = "") -> str:
    """Return the text in the clipboard; `only` restricts the search to one tool.

    Raises:
        MissingToolError: no tool can read the clipboard here.
        UsageError: the clipboard is empty, or holds no text.
    """
    tool = next(iter(_usable_tools(environ, only)), None)
    if tool is None:
        message = f"{only} is not available here" if only else "no clipboard is available here"
        raise MissingToolError(message, "pipe the text in, or name a file")
    result = process.capture_output(process.ProcessSpec(tool.read, "/", environ, _SECONDS), MAX_BYTES)
    text = result.stdout.decode("utf-8", "replace")
    if result.code or not text.strip():
        raise UsageError(
            f"the clipboard ({tool.name}) holds no text", "copy something, pipe it in, or name a file"
        )
    return text


def write(text: str, environ: Mapping[str, str], terminal: Path = Path("/dev/tty")) -> str:
    """Put a text into the clipboard, and return the name of the tool that was used.

    Raises:
        MissingToolError: no tool can write the clipboard here.
    """
    data = text.encode("utf-8", "surrogateescape")
    for tool in _usable_tools(environ, ""):
        if (
            process.capture_output(process.ProcessSpec(tool.write, "/", environ, _SECONDS, stdin=data)).code
            == 0
        ):
            return tool.name
    packed = base64.b64encode(data)
    if len(packed) > _MAX_OSC52_BYTES:
        most = _MAX_OSC52_BYTES * 3 // 4
        fix = "install wl-clipboard, xclip or xsel, work in tmux, or lower --budget"
        raise MissingToolError(
            f"the text has {len(data):,} bytes, a terminal accepts at most {most:,}", fix
        )
    try:
        with terminal.open("wb") as screen:
            screen.write(b"\033]52;c;" + packed + b"\a")
    except OSError as error:
        raise MissingToolError(
            "no clipboard and no terminal is available here", "write to a file instead"
        ) from error
    return "the terminal"


def _usable_tools(environ: Mapping[str, str], only: str) -> list[ClipboardTool]:
    """Return the available tools.

    Over ssh the desktop tools would use the clipboard of the remote machine, so only tmux is left.
    """
    path = environ.get("PATH")
    tools = [
        tool
        for tool in TOOLS
        if (not only or tool.name == only)
        and (not tool.needs or environ.get(tool.needs))
        and shutil.which(tool.write[0], path=path)
        and shutil.which(tool.read[0], path=path)
    ]
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return [tool for tool in tools if tool.name == "tmux"]
    return tools
