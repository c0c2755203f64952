"""The clipboard: by a program of the desktop, by tmux, or by the terminal itself (OSC 52), over ssh too."""

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice import process
from prunejuice.errors import MissingToolError, UsageError

LARGEST = 8 << 20
"""Bytes that are read."""
_TERMINAL = 74_994
"""Bytes that terminals take at once, in base64."""
_SECONDS = 5.0


class Tool(NamedTuple):
    """A program that holds the clipboard: how it is read and written, and the variable it needs."""

    name: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    needs: str = ""


TOOLS = (
    Tool("pbcopy", ("pbpaste",), ("pbcopy",)),
    Tool("wl-clipboard", ("wl-paste", "--no-newline"), ("wl-copy",), "WAYLAND_DISPLAY"),
    Tool(
        "xclip", ("xclip", "-selection", "clipboard", "-o"), ("xclip", "-selection", "clipboard"), "DISPLAY"
    ),
    Tool("xsel", ("xsel", "--clipboard", "--output"), ("xsel", "--clipboard", "--input"), "DISPLAY"),
    Tool("clip.exe", ("powershell.exe", "-NoProfile", "Get-Clipboard"), ("clip.exe",), "WSL_DISTRO_NAME"),
    Tool("tmux", ("tmux", "show-buffer"), ("tmux", "load-buffer", "-w", "-"), "TMUX"),
)


def read(environ: Mapping[str, str], only: str = "") -> str:
    """What the clipboard holds; `only` names one tool that is asked.

    Raises:
        MissingToolError: nothing here can read it.
        UsageError: it is empty, or holds no text.
    """
    tool = next(iter(_usable(environ, only)), None)
    if tool is None:
        what = f"{only} cannot be asked here" if only else "no clipboard can be read here"
        raise MissingToolError(what, "pipe the text in, or name a file")
    done = process.capture(process.Call(tool.read, "/", environ, _SECONDS), LARGEST)
    text = done.out.decode("utf-8", "replace")
    if done.code or not text.strip():
        raise UsageError(
            f"the clipboard ({tool.name}) holds no text", "copy something, pipe it in, or name a file"
        )
    return text


def write(text: str, environ: Mapping[str, str], terminal: Path = Path("/dev/tty")) -> str:
    """Put a text into the clipboard; says by what.

    Raises:
        MissingToolError: nothing here can do it.
    """
    data = text.encode("utf-8", "surrogateescape")
    for tool in _usable(environ, ""):
        if process.capture(process.Call(tool.write, "/", environ, _SECONDS, given=data)).code == 0:
            return tool.name
    packed = base64.b64encode(data)
    if len(packed) > _TERMINAL:
        fix = "install wl-clipboard, xclip or xsel, work in tmux, or lower --budget"
        raise MissingToolError(
            f"a terminal takes {_TERMINAL * 3 // 4:,} bytes at most, not {len(data):,}", fix
        )
    try:
        with terminal.open("wb") as screen:
            screen.write(b"\033]52;c;" + packed + b"\a")
    except OSError as error:
        raise MissingToolError(
            "there is no clipboard and no terminal here", "write to a file instead"
        ) from error
    return "the terminal"


def _usable(environ: Mapping[str, str], only: str) -> list[Tool]:
    """The tools that are there. Over ssh the desktop's are those of another machine: tmux comes first."""
    path = environ.get("PATH")
    found = [
        tool
        for tool in TOOLS
        if (not only or tool.name == only)
        and (not tool.needs or environ.get(tool.needs))
        and shutil.which(tool.write[0], path=path)
        and shutil.which(tool.read[0], path=path)
    ]
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return [tool for tool in found if tool.name == "tmux"]
    return found
