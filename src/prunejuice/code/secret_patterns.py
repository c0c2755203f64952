"""Masking of secrets in the text of files."""

import re

from prunejuice.code.exclude import exclusion_reason

_VALUE = re.compile(
    r"^([+\- ]?[ \t]*(?:export[ \t]+)?[\w.]+[ \t]*=[ \t]*)"
    r"(?:\"[^\"]*\"|'[^']*'|\S.*)",
    re.MULTILINE,
)
"""An assignment, whose quoted value may span lines; in a diff it has a prefix."""
_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abposr]-|sk-(?:ant-|proj-)?|rk_live_|sk_live_|hf_|npm_|pypi-)[\w-]{16,}"
    r"|\bAIza[\w-]{35}\b"
    r"|(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}",
    re.DOTALL,
)
_SECRET_ASSIGNMENT = re.compile(
    r"((?:passwd|password|secret|(?:api|access|private)_?key|auth_?token)[\w.-]{0,40}[\"']?"
    r"[ \t]{0,9}[:=][ \t]{0,9})"
    r"([\"'])(?=[^\"'\s]*[0-9])(?=[^\"'\s]*[a-z])[^\"'\s]{8,}\2",
    re.IGNORECASE,
)
"""A secret-sounding name, assigned a quoted word with letters and digits."""
_AWS = re.compile(r"(secret_?access_?key[\"']?[ \t]*[:=][ \t]*)[A-Za-z0-9/+=]{40}\b", re.IGNORECASE)
_LOGIN = re.compile(r"(://[^\s/:@\"']{1,64}:)[^\s/@\"'{}$<]{3,}(?=@)")
"""A URL with a user name and a password."""
_SECRET_WORDS = ("passw", "secret", "_key", "apikey", "accesskey", "privatekey", "auth")
"""Lower-case words, one of which is in every text that `_SECRET_ASSIGNMENT` or `_AWS` matches."""
_SECRET_MARKERS = (
    "PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox",
    "sk-", "k_live_", "hf_", "npm_", "pypi-", "AIza", "eyJ",
)  # fmt: skip
"""Strings, one of which is in every match of `_SECRETS`; a search for them is much cheaper."""


def mask_secrets(path: str, text: str) -> str:
    """Return the text with secrets replaced by `***`.

    Secrets are recognized by their format, or by the kind of file at `path`. The number of lines stays
    the same, so line numbers remain valid.
    """
    if any(marker in text for marker in _SECRET_MARKERS):
        text = _SECRETS.sub(_mask_match, text)
    if "://" in text and "@" in text:
        text = _LOGIN.sub(r"\1***", text)
    lowered = text.lower()
    if any(word in lowered for word in _SECRET_WORDS):
        text = _AWS.sub(r"\1***", _SECRET_ASSIGNMENT.sub(r"\1\2***\2", text))
    if exclusion_reason(path) == "may hold secrets":
        text = _VALUE.sub(lambda match: match[1] + "***" + "\n" * match[0].count("\n"), text)
    return text


def _mask_match(match: "re.Match[str]") -> str:
    return "***" + "\n" * match.group().count("\n")
