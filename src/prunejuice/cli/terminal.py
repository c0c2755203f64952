"""Asking a person, on a terminal."""

import os
import select
import sys
import termios
import tty

import click

from prunejuice.cli import render
from prunejuice.text import safe_line


def is_there() -> bool:
    """Whether a person can see what we say and answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def key(choices: str) -> str:
    """One key that a person presses, those typed ahead included.

    Raises:
        click.Abort: the input is at its end, or Ctrl-C was pressed.
    """
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSADRAIN)  # what was typed ahead must not be thrown away
        mode = termios.tcgetattr(fd)
        mode[3] &= ~termios.ISIG  # whoever handles signals now would not end this
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)
        click.echo(
            f"{choices}\n? ", nl=False, err=True
        )  # now, for an end of input is a key only from here on
        pressed = os.read(fd, 1)
        _skip_rest(fd, pressed)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
    if pressed in {b"", b"\x03", b"\x04"}:
        raise click.Abort
    plain = pressed.decode("ascii", "ignore")
    render.say(plain if plain.isprintable() else "")
    return plain if plain.isprintable() else ""


def _skip_rest(fd: int, first: bytes) -> None:
    """Read the rest of an arrow key, or of a letter of several bytes."""

    def more() -> bytes:
        return os.read(fd, 1) if select.select([fd], [], [], 0.05)[0] else b""

    if first == b"\x1b" and more() in {b"[", b"O"}:
        while (sign := more()) and not b"@" <= sign <= b"~":
            pass
    for length, lead in ((1, 0xC0), (1, 0xE0), (1, 0xF0)):
        if first and first[0] >= lead:
            os.read(fd, length)


def asked(question: str) -> str:
    """A line that a person writes; empty when it is.

    Raises:
        click.Abort: the input is at its end.
    """
    click.echo(f"  {question}: ", nl=False, err=True)
    answer = b""
    while not answer.endswith(b"\n"):  # one by one, past Python's buffer: what was typed ahead is for later
        if not (sign := os.read(sys.stdin.fileno(), 1)):
            raise click.Abort
        answer += sign
    return answer.decode("utf-8", "replace").strip()


def confirmed(question: str) -> bool:
    """Whether a person says yes."""
    return asked(f"{question} [y/N]").lower() in {"y", "yes"}


def edited(text: str, name: str) -> str | None:
    """A text as a person leaves it in their editor; nothing when it was not saved."""
    suffix = name[name.rfind(".") :] if "." in name.rpartition("/")[2] else ".txt"
    try:
        return click.edit(text, extension=suffix)
    except click.ClickException as error:
        render.say(safe_line(error.format_message(), 200))
        return None
