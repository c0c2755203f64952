"""How a secret is told: by the name of what holds it, or by the form of its value."""

import re

_WORDS = frozenset({
    "token", "tokens", "secret", "secrets", "password", "passwords", "passwd", "passphrase", "passphrases",
    "passcode", "pass", "pwd", "key", "keys", "apikey", "apikeys", "authorization", "auth", "oauth",
    "credential", "credentials", "creds", "cred", "private", "cert", "certificate", "pat", "jwt", "bearer",
    "cookie", "cookies", "sk", "webhook", "webhooks", "dsn", "salt", "otp", "totp", "mnemonic", "pgpass",
    "accesskey", "secretkey", "privatekey", "authtoken", "connstr",
})  # fmt: skip
_COMPOUND = re.compile(
    r"token|secret|passw|passphrase|credential|apikey|connection_?strings?"
    r"|(?:encryption|decryption|ssh|access|private|signing|sign|master|deploy|service|account|storage|client"
    r"|host|gpg|pgp|license|licence|session|cipher|crypto|aes|rsa|hmac|jwt|auth|root|admin|user|db|data|app|api)keys?"
    r"(?![a-z])",
    re.IGNORECASE,
)
_STORE_URL = re.compile(
    r"(?:redis|valkey|database|db|postgres\w*|pg|mysql|maria\w*|mongo\w*|amqp|rabbit\w*|broker|celery\w*|kafka"
    r"|elastic\w*|opensearch|clickhouse|cassandra|neo4j|smtp|mail\w*|ldap|sentry|memcache\w*|cloudamqp|nats|jdbc"
    r"|sql\w*|proxy)_(?:\w+_)?(?:url|uri|dsn)s?$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"^(?:old)?pwd$|_(?:sock|path|dir|file|folder|home|ttl|type|bits|length|size)$", re.IGNORECASE
)
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_PREFIXES = (
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-", "gldt-", "glrt-",
    "glsa_", "xoxa-", "xoxb-", "xoxp-", "xoxo-", "xoxs-", "xoxr-", "xoxe.", "xapp-", "sk-", "sk_live_",
    "sk_test_", "rk_live_", "rk_test_", "whsec_", "hf_", "npm_", "pypi-", "hvs.", "hvb.", "hvr.",
    "dop_v1_", "doo_v1_", "shpat_", "shpss_", "shpca_", "GOCSPX-", "ATATT", "ATCTT", "lin_api_", "ntn_",
    "figd_", "pscale_tkn_", "pscale_pw_", "dckr_pat_", "PMAK-", "nvapi-", "gsk_", "r8_", "pplx-",
    "xai-", "sntrys_", "sntryu_", "sbp_", "rubygems_", "AGE-SECRET-KEY-", "dp.pt.", "dp.st.", "ya29.",
    "EAACEdEose0cBA", "tfp_", "sq0atp-", "sq0csp-", "AIza", "tskey-", "CFPAT-", "shippo_live_",
    "shippo_test_",
)  # fmt: skip
"""The beginnings of tokens, each followed by at least 16 characters."""
_FORMS = (
    (
        ("PRIVATE KEY",),
        r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (tuple(_PREFIXES), rf"(?<![\w-])(?:{'|'.join(map(re.escape, _PREFIXES))})[\w.=/+-]{{16,}}"),
    (("key-",), r"(?<![\w-])key-[0-9a-f]{32}\b"),
    (("SG.",), r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
    (("eyJ",), r"(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}"),
    (("hooks.slack.com/",), r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/]{20,}"),
    (("/api/webhooks/",), r"(?<=/api/webhooks/)\d{5,}/[\w-]{20,}"),
    (("webhook.office.com",), r"(?<=webhook\.office\.com/)\S{20,}"),
    (("AccountKey=", "SharedAccessKey="), r"(?<=Key=)[A-Za-z0-9+/]{40,}={0,2}"),
    (("sig=",), r"(?<=[?&]sig=)[\w%+/-]{20,}"),
    ((".atlasv1.",), r"\b\w{14}\.atlasv1\.[\w-]{40,}"),
    ((":AA",), r"\b\d{8,10}:AA[\w-]{30,}"),
)
FORMS = tuple((markers, re.compile(pattern, re.DOTALL)) for markers, pattern in _FORMS)
"""Strings, one of which is in every match and which are cheaper to look for, with the pattern."""


def is_secret_name(name: str) -> bool:
    """Return whether the name of a variable or an argument suggests a secret, such as `API_TOKEN`."""
    if _NO_SECRET.search(name):
        return False
    words = {part.lower() for part in _PARTS.findall(name)}
    return bool(words & _WORDS or _COMPOUND.search(name) or _STORE_URL.search(name))


def find_secret_forms(text: str) -> list[str]:
    """Return the parts of a text that have the form of a known kind of secret."""
    return [
        match.group()
        for markers, pattern in FORMS
        if any(marker in text for marker in markers)
        for match in pattern.finditer(text)
    ]
