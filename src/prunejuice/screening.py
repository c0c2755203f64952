"""Which files are kept out of a context unless they are named, and which secrets are masked."""

import re
from functools import lru_cache

LARGEST = 400_000
"""Bytes of a file that is read; a larger one is left out."""
LARGEST_NAMED = 4_000_000
"""Bytes of a file that is read because it is named."""
_SUFFIXES = {
    "a picture": "avif bmp gif ico icns jpeg jpg png psd svg tif tiff webp",
    "not text": (
        "7z a avi bin bz2 class dat db dll dylib exe flac gz jar lib mp3 mp4 o ogg onnx parquet pdf "
        "pickle pkl pyc pyd so sqlite sqlite3 tar tgz ttf eot otf wasm wav webm whl woff woff2 xz zip zst"
    ),
    "a key": "jks key keystore p12 pem pfx ppk tfstate tfvars",
    "generated": "lock map min.css min.js pb.go po pot mo snap sum ipynb csv tsv",
}
_BY_SUFFIX = {suffix: reason for reason, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_NAMES = {
    "a key": (
        "id_dsa id_ecdsa id_ed25519 id_rsa .npmrc .pypirc .netrc .htpasswd .git-credentials credentials "
        "credentials.json kubeconfig secrets.json secrets.toml secrets.yaml secrets.yml"
    ),
    "generated": "package-lock.json pnpm-lock.yaml npm-shrinkwrap.json yarn.lock bun.lockb",
}
_BY_NAME = {name: reason for reason, names in _NAMES.items() for name in names.split()}
_FOLDERS = {
    "vendored": "node_modules vendor _vendor third_party bower_components site-packages .venv venv",
    "generated": (
        "dist build target __pycache__ __snapshots__ cassettes locale .git .tox .mypy_cache .ruff_cache "
        ".codebot"
    ),
    "a key": ".ssh .aws .gnupg .docker .kube",
}
_BY_FOLDER = {name: reason for reason, names in _FOLDERS.items() for name in names.split()}
_ENV = re.compile(r"^\.env(rc|[._-].+)?$|\.env$|^service-?account.*\.json$")
_SAMPLE = re.compile(r"\.(example|sample|template|dist)$")
_VALUE = re.compile(
    r"^([+\- ]?[ \t]*(?:export[ \t]+)?[\w.]+[ \t]*=[ \t]*)"
    r"(?:\"[^\"]*\"|'[^']*'|\S.*)",
    re.MULTILINE,
)
"""A name and what it is set to, over several lines in quotes; in a difference with a sign before it."""
_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abposr]-|sk-(?:ant-|proj-)?|rk_live_|sk_live_|hf_|npm_|pypi-)[\w-]{16,}"
    r"|\bAIza[\w-]{35}\b"
    r"|(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}",
    re.DOTALL,
)

_SET = re.compile(
    r"((?:passwd|password|secret|(?:api|access|private)_?key|auth_?token)[\w.-]{0,40}[\"']?"
    r"[ \t]{0,9}[:=][ \t]{0,9})"
    r"([\"'])(?=[^\"'\s]*[0-9])(?=[^\"'\s]*[a-z])[^\"'\s]{8,}\2",
    re.IGNORECASE,
)
"""A name that says it is secret, set to a quoted word with letters and digits."""
_AWS = re.compile(r"(secret_?access_?key[\"']?[ \t]*[:=][ \t]*)[A-Za-z0-9/+=]{40}\b", re.IGNORECASE)
_LOGIN = re.compile(r"(://[^\s/:@\"']{1,64}:)[^\s/@\"'{}$<]{3,}(?=@)")
"""An address with a name and a password in it."""
_SAID = ("passw", "secret", "_key", "apikey", "accesskey", "privatekey", "auth")
"""One of these, in small letters, is in every text that has a name which says it is secret."""

_MARKS = (
    "PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox",
    "sk-", "k_live_", "hf_", "npm_", "pypi-", "AIza", "eyJ",
)  # fmt: skip
"""One of these is in every secret that the pattern finds; looking for them is cheaper."""


@lru_cache(maxsize=1 << 17)
def unfit(path: str) -> str:
    """Why a file of this name is kept out; empty when it is not."""
    folder, _, name = path.rpartition("/")
    lowered = name.lower()
    if _ENV.search(lowered) and not _SAMPLE.search(lowered):
        return "may hold secrets"
    if reason := _BY_NAME.get(lowered) or _by_suffix(lowered):
        return reason
    return next((_BY_FOLDER[part] for part in folder.split("/") if part in _BY_FOLDER), "")


def _by_suffix(name: str) -> str:
    _, *rest = name.split(".")
    for start in range(max(0, len(rest) - 2), len(rest)):
        if reason := _BY_SUFFIX.get(".".join(rest[start:])):
            return reason
    return "generated" if name.endswith(("_pb2.py", "_pb2.pyi")) else ""


def masked(path: str, text: str) -> str:
    """A text without the secrets that can be told by their form, or by the kind of file they are in."""
    if any(mark in text for mark in _MARKS):
        text = _SECRETS.sub(_stars, text)
    if "://" in text and "@" in text:
        text = _LOGIN.sub(r"\1***", text)
    small = text.lower()
    if any(word in small for word in _SAID):
        text = _AWS.sub(r"\1***", _SET.sub(r"\1\2***\2", text))
    if unfit(path) == "may hold secrets":
        text = _VALUE.sub(lambda match: match[1] + "***" + "\n" * match[0].count("\n"), text)
    return text


def _stars(match: "re.Match[str]") -> str:
    return "***" + "\n" * match.group().count("\n")
