"""Notebooks as they are shown: with every line, and without the pictures of their outputs."""

import re

_MIN_CUT_CHARS = 1000
_LONG_VALUE = re.compile(
    rf'^([ \t]*(?:"[^"\n]{{1,200}}": )?")((?:[^"\\\n]|\\.){{{_MIN_CUT_CHARS},}}?)(\\n)?("[, \t\]]*)$',
    re.MULTILINE,
)
"""A line of JSON that is one long string, such as a picture in base64."""
CUT_VALUE = re.compile(r"\[[\d,]+ characters not shown\]")
"""What stands for a long value; no such line may be written to a file."""


def is_notebook(path: str) -> bool:
    """Return whether a path names a notebook."""
    return path.lower().endswith(".ipynb")


def shown_text(path: str, text: str) -> str:
    """Return the text of a file as it is shown to a model: that of a notebook without long values."""
    return cut_long_values(text) if is_notebook(path) else text


def cut_long_values(text: str) -> str:
    """Return the text of a notebook with long values replaced by their length; lines keep their numbers."""
    return _LONG_VALUE.sub(
        lambda value: f"{value[1]}[{len(value[2]):,} characters not shown]{value[3] or ''}{value[4]}", text
    )
