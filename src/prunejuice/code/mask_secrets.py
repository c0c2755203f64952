"""Masking of secrets in the text of files."""

import re

from prunejuice.code.exclude import exclusion_reason
from prunejuice.code.languages import is_program
from prunejuice.system.secret_forms import FORMS

_VALUE = re.compile(
    r"^([+\- ]?[ \t]*(?:export[ \t]+)?[\w.]+[ \t]*=[ \t]*)"
    r"(?:\"[^\"]*\"|'[^']*'|\S.*)",
    re.MULTILINE,
)
"""An assignment, whose quoted value may span lines; in a diff it has a prefix."""
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
_SECRET_WORDS = (
    "passw",
    "passphrase",
    "secret",
    "key",
    "token",
    "credential",
    "auth",
    "bearer",
    "basic",
    "curl",
)
"""Lower-case words, one of which is in every text that the patterns of assignments match."""
_HEADER = re.compile(
    r"((?:authorization|auth)[\"']?[ \t]*[:=][ \t]*[\"']?(?:bearer|basic|token|apikey|digest)[ \t]+"
    r"|\bbearer[ \t]+(?=\S*[0-9])|\bbasic[ \t]+(?=\S*[0-9=]))[\w.~+/=-]{16,}",
    re.IGNORECASE,
)
_OPTION = re.compile(
    r"(--?(?:password|passwd|token|secret|api-?key|auth-token|access-key)[ =][\"']?"
    r"|\bcurl\b[^\n]{0,200}? -u ?\S{1,60}?:)[^\s\"'$]{8,}",
    re.IGNORECASE,
)
"""An option of a command with a secret."""
_AUTH_TOKEN = re.compile(r"(_(?:authToken|auth|password)[ \t]*=[ \t]*)[^\s$\"']{8,}", re.IGNORECASE)
_BARE = r"[^\s\"'(){}\[\]<>$,;&*]"
_UNQUOTED = re.compile(
    r"((?:^|[\s,;{&?\"'+])[\w.-]{0,40}(?:passw(?:or)?d|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|credentials?)[\w.-]{0,20}[\"']?[ \t]{0,9}[:=][ \t]{0,9})"
    rf"(?={_BARE}*[0-9])(?={_BARE}*[A-Za-z]){_BARE}{{8,}}",
    re.IGNORECASE | re.MULTILINE,
)
"""A secret-sounding name with an unquoted word, as configuration, logs and prompts have it."""


def mask_secrets(path: str, text: str) -> str:
    """Return the text with secrets replaced by `***`.

    Secrets are recognized by their format, or by the kind of file at `path`. The number of lines stays
    the same, so line numbers remain valid.
    """
    for markers, pattern in FORMS:
        if any(marker in text for marker in markers):
            text = pattern.sub(_mask_match, text)
    if "://" in text and "@" in text:
        text = _LOGIN.sub(r"\1***", text)
    lowered = text.lower()
    if any(word in lowered for word in _SECRET_WORDS):
        text = _AWS.sub(r"\1***", _SECRET_ASSIGNMENT.sub(r"\1\2***\2", text))
        for pattern in (_HEADER, _OPTION, _AUTH_TOKEN):
            text = pattern.sub(r"\1***", text)
        if not is_program(path):
            text = _UNQUOTED.sub(r"\1***", text)
    if exclusion_reason(path) == "may hold secrets":
        text = _VALUE.sub(lambda match: match[1] + "***" + "\n" * match[0].count("\n"), text)
    return text


def _mask_match(match: "re.Match[str]") -> str:
    return "***" + "\n" * match.group().count("\n")
