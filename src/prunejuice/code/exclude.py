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
    "a key": (
        "jks key keystore p12 p8 pem pfx ppk der kdbx keychain keytab ovpn jwk tfstate tfvars "
        "kubeconfig gpg  "
        "agekey pgpass mobileprovision"
    ),
    "generated": "lock map min.css min.js pb.go po pot mo snap sum csv tsv",
}
_BY_SUFFIX = {suffix: reason for reason, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_NAMES = {
    "a key": (
        "id_dsa id_ecdsa id_ed25519 id_rsa id_ecdsa_sk id_ed25519_sk .npmrc .pypirc .netrc _netrc "
        ".htpasswd  "
        ".htdigest .git-credentials credentials credentials.json credentials.toml credentials.yaml "
        "credentials.yml credentials.xml credentials.ini kubeconfig secrets.json secrets.toml secrets.yaml "
        "secrets.yml secrets.ini secrets.env secrets.properties secret.json secret.yaml secret.yml "
        ".secrets  "
        "secrets secret secret.txt secrets.txt .pgpass pgpass.conf .my.cnf my.cnf .mylogin.cnf .mongorc.js "
        ".rediscli_auth .dockercfg .dockerconfigjson .boto .s3cfg .passwd shadow .vault-token .vault_pass "
        ".vault_pass.txt vault_pass vault_pass.txt vault_password .vault_password "
        "application_default_credentials.json access_tokens.db accesstokens.json azureprofile.json "
        "auth.json  "
        ".terraformrc terraform.rc credentials.tfrc.json rclone.conf .rclone.conf .authinfo .msmtprc "
        ".fetchmailrc .esmtprc .cvspass .ossutilconfig .hub .databrickscfg .snowsql.cfg kaggle.json .token "
        ".tokens token.txt password.txt passwords.txt passwords.csv .password .passwords apikey.txt "
        "api_key.txt"
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
    "a key": ".ssh .aws .gnupg .docker .kube .azure .gcloud .oci .password-store .secrets .vault .chef",
}
_BY_FOLDER = {name: reason for reason, names in _FOLDERS.items() for name in names.split()}
_ENV = re.compile(
    r"^\.env(rc|[._-].+)?$|\.env$|^service[-_]?account.*\.json$"
    r"|^\.?env[._-](?:prod|production|dev|devel|development|local|stag|staging|stage|test|testing|live|secrets?"
    r"|private|ci|docker|shared|backup|old|orig|save)\b"
)
_KEY_NAME = re.compile(
    r"^id_(?:rsa|dsa|ecdsa|ed25519)(?![\w-]*\.pub$)|^client_secrets?[\w.-]*\.json$"
    r"|^gcp[\w-]*key[\w.-]*\.json$|firebase-adminsdk[\w-]*\.json$"
    r"|[-_.](?:credentials?|secrets?|private[-_]?key)\.(?:json|ya?ml|toml|ini|txt)$"
    r"|^(?:credentials?|secrets?)[._-][\w-]+\.(?:json|ya?ml|toml|ini|txt|env|enc)$|^kubeconfig[._-]"
)
_COPY = re.compile(
    r"(?:~|[._ -](?:bak|backup|old|orig\w*|saved?|copy|tmp|temp|swp|disabled|enc|new|prev|previous)\d*"
    r"|\.\d{1,8}| \(\d+\))$"
)
"""The end of the name of a copy."""
_SAMPLE = re.compile(r"\.(example|sample|template|dist)$")
_UNUSUAL = re.compile(
    r"env|account|id_|secret|credential|gcp|firebase|private|kubeconfig|orig|tmp|temp|back|bak|old|sav|copy|swp"
    r"|disabled|enc|new|prev|[~)\d]$"
)
"""In every name to which one of the patterns above applies; most names have nothing of it."""


def exclusion_reason(path: str) -> str:
    """Return the reason why a path is excluded, or an empty string if it is not."""
    folder, _, name = path.rpartition("/")
    return _name_reason(name.lower()) or _folder_reason(folder.lower())


@lru_cache(maxsize=1 << 16)
def _folder_reason(lowered: str) -> str:
    return next((_BY_FOLDER[part] for part in lowered.split("/") if part in _BY_FOLDER), "")


@lru_cache(maxsize=1 << 17)
def _name_reason(lowered: str) -> str:
    if not _UNUSUAL.search(lowered):
        return _BY_NAME.get(lowered) or _suffix_reason(lowered)
    if _ENV.search(lowered) and not _SAMPLE.search(lowered):
        return "may hold secrets"
    original = _COPY.sub("", lowered)
    for each in dict.fromkeys((lowered, original)):
        reason = _BY_NAME.get(each) or _suffix_reason(each) or ("a key" if _KEY_NAME.search(each) else "")
        if reason and (each == lowered or reason == "a key"):
            return reason
    return "may hold secrets" if original != lowered and _ENV.search(original) else ""


def _suffix_reason(name: str) -> str:
    _, *suffixes = name.rsplit(".", 2)
    if reason := _BY_SUFFIX.get(".".join(suffixes)) or (_BY_SUFFIX.get(suffixes[-1]) if suffixes else ""):
        return reason
    return "generated" if name.endswith(("_pb2.py", "_pb2.pyi")) else ""
