"""Questions to a human on the terminal."""

import os
import select
import shutil
import sys
import termios
import tty

import click

from prunejuice.cli import render
from prunejuice.system import settings
from prunejuice.text import safe_line


def is_interactive() -> bool:
    """Tell whether a human can read messages and answer them."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr.isatty())


def read_key(choices: str) -> str:
    """Return one key press, including keys that were typed ahead.

    Raises:
        click.Abort: at the end of input, or if Ctrl-C was pressed.
    """
    fd = sys.stdin.fileno()
    attributes = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSADRAIN)  # TCSAFLUSH would discard keys typed ahead
        mode = termios.tcgetattr(fd)
        mode[3] &= ~termios.ISIG  # Ctrl-C must arrive as a key: signal handlers would not end the read
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)
        # The prompt comes after the switch to cbreak: before it, Ctrl-D is not readable as a key.
        click.echo(f"{choices}\n? ", nl=False, err=True)
        pressed = os.read(fd, 1)
        _skip_sequence(fd, pressed)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, attributes)
    if pressed in {b"", b"\x03", b"\x04"}:
        raise click.Abort
    key = pressed.decode("ascii", "ignore")
    render.print_message(key if key.isprintable() else "")
    return key if key.isprintable() else ""


def _skip_sequence(fd: int, first: bytes) -> None:
    """Discard the rest of an arrow key's escape sequence or of a multi-byte character."""

    def read_byte() -> bytes:
        return os.read(fd, 1) if select.select([fd], [], [], 0.05)[0] else b""

    if first == b"\x1b" and read_byte() in {b"[", b"O"}:
        while (byte := read_byte()) and not b"@" <= byte <= b"~":
            pass
    for length, lead in ((1, 0xC0), (1, 0xE0), (1, 0xF0)):
        if first and first[0] >= lead:
            os.read(fd, length)


def read_answer(question: str) -> str:
    """Return a line that the user types, without surrounding blanks.

    Raises:
        click.Abort: at the end of input.
    """
    click.echo(f"  {question}: ", nl=False, err=True)
    answer = b""
    # Read byte by byte, past Python's buffer: keys typed ahead belong to the next question.
    while not answer.endswith(b"\n"):
        if not (byte := os.read(sys.stdin.fileno(), 1)):
            raise click.Abort
        answer += byte
    return answer.decode("utf-8", "replace").strip()


def confirm(question: str) -> bool:
    """Ask a yes/no question; anything but yes means no."""
    return read_answer(f"{question} [y/N]").lower() in {"y", "yes"}


def find_editor() -> str:
    """Return the user's editor, or a common one; click would open a menu of the system."""
    environ = settings.environment()
    if chosen := environ.get("VISUAL") or environ.get("EDITOR"):
        return chosen
    path = environ.get("PATH")
    return next((name for name in ("nano", "vim", "vi") if shutil.which(name, path=path)), "")


def edit_text(text: str, name: str) -> str | None:
    """Return the text as edited in the user's editor, or None if it was not saved."""
    suffix = name[name.rfind(".") :] if "." in name.rpartition("/")[2] else ".txt"
    editor = find_editor()
    if not editor:
        render.print_message("no editor was found: set $EDITOR")
        return None
    try:
        return click.edit(text, editor, extension=suffix)
    except click.ClickException as error:
        render.print_message(safe_line(error.format_message(), 200))
        return None
