"""The files that are excluded from a context unless the user names them."""

import re
from functools import lru_cache

MAX_BYTES = 400_000
"""The size above which a file is left out, in bytes."""
MAX_NAMED_BYTES = 4_000_000
"""The size above which even a named file is left out, in bytes."""
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


@lru_cache(maxsize=1 << 17)
def exclusion_reason(path: str) -> str:
    """Return the reason why a path is excluded, or an empty string if it is not."""
    folder, _, name = path.rpartition("/")
    lowered = name.lower()
    if _ENV.search(lowered) and not _SAMPLE.search(lowered):
        return "may hold secrets"
    if reason := _BY_NAME.get(lowered) or _suffix_reason(lowered):
        return reason
    return next((_BY_FOLDER[part] for part in folder.split("/") if part in _BY_FOLDER), "")


def _suffix_reason(name: str) -> str:
    _, *rest = name.split(".")
    for start in range(max(0, len(rest) - 2), len(rest)):
        if reason := _BY_SUFFIX.get(".".join(rest[start:])):
            return reason
    return "generated" if name.endswith(("_pb2.py", "_pb2.pyi")) else ""
