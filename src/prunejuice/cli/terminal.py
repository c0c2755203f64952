"""Asking a person, on a terminal."""

import os
import select
import sys
import termios
import tty

import click

from prunejuice.cli import render
from prunejuice.text import safe_line

_ENDS = {"", "\x04"}


def is_there() -> bool:
    """Whether a person can see what we say and answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def key(choices: str) -> str:
    """One key that a person presses, those typed ahead included; `q` at the end of input."""
    click.echo(f"{choices}\n? ", nl=False, err=True)
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSADRAIN)  # what was typed ahead must not be thrown away
        pressed = os.read(fd, 1).decode("utf-8", "replace")
        while pressed == "\x1b" and select.select([fd], [], [], 0.05)[0]:
            os.read(fd, 64)  # an arrow, for example
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
    pressed = "q" if pressed in _ENDS else pressed
    render.say(safe_line(pressed, 4))
    return pressed


def asked(question: str) -> str:
    """A line that a person writes; empty when it is."""
    answer: str = click.prompt(f"  {question}", default="", show_default=False, err=True)
    return answer.strip()


def confirmed(question: str) -> bool:
    """Whether a person says yes."""
    return click.confirm(question, err=True)


def edited(text: str, name: str) -> str | None:
    """A text as a person leaves it in their editor; nothing when it was not saved."""
    suffix = name[name.rfind(".") :] if "." in name.rpartition("/")[2] else ".txt"
    return click.edit(text, extension=suffix)
