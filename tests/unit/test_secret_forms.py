"""Secrets are recognized by names and forms, and masked in every encoding."""

import base64
import html
import json
import shlex
import urllib.parse

import pytest

from prunejuice.code.exclude import exclusion_reason
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.system.redact import SecretFilter, secret_values
from prunejuice.system.secret_forms import is_secret_name

WORD = "a1B2c3D4"


@pytest.mark.parametrize(
    "name",
    [
        "SMTP_PASS",
        "PASSPHRASE",
        "REDIS_URL",
        "SLACK_WEBHOOK_URL",
        "JWT",
        "SESSION_COOKIE",
        "ENCRYPTIONKEY",
        "SSHKEY",
        "STRIPE_SK",
        "KEYS",
        "CREDS",
        "BEARER",
        "DB_PASS",
        "GITHUB_PAT",
        "MYSQL_PWD",
        "API_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "apiKey",
        "db_password",
        "DATABASE_URL",
        "SENTRY_DSN",
        "api_token",
        "authToken",
        "MONGODB_URI",
        "SIGNING_KEY",
        "OAUTH_CLIENT_SECRET",
        "HTTP_AUTHORIZATION",
        "TLS_CERT",
        "VAULT_TOKEN",
    ],
)
def test_a_name_suggests_a_secret(name):
    assert is_secret_name(name)
    assert secret_values({name: "x" * 12}) == ("x" * 12,)


@pytest.mark.parametrize(
    "name",
    [
        "PWD",
        "OLDPWD",
        "PATH",
        "HOME",
        "KEYBOARD",
        "MONKEY",
        "AUTHOR",
        "COMPASS",
        "PASSENGER",
        "SSH_AUTH_SOCK",
        "SSL_CERT_FILE",
        "BYPASS",
        "LANG",
        "BASE_URL",
        "COLUMNS",
        "TURKEY",
        "HOCKEY",
        "TOKEN_FILE",
        "KEY_PATH",
    ],
)
def test_an_ordinary_name_does_not(name):
    assert not is_secret_name(name)


def test_a_value_is_told_by_its_form_and_by_a_setting():
    assert secret_values({"X": f"ghp_{WORD * 4}", "Y": "plain value"}) == (f"ghp_{WORD * 4}",)
    assert secret_values({"MY_NUMBER": "12345678", "Y": "plain value"}, ["*_number"]) == ("12345678",)


KEY = "-----BEGIN X KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nBKcwggSjAgEAAoIBAQC7VJTU\n-----END X KEY-----"
ODD = "ab/cd+ef=12345 'q' \"r\" & <s>"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (WORD * 3, base64.b64encode(b"x:" + WORD.encode() * 3).decode()),
        (WORD * 3, base64.b64encode(b"user:" + WORD.encode() * 3 + b"tail").decode()),
        (WORD * 30, base64.encodebytes(WORD.encode() * 30).decode()),
        (f"{WORD}??>>" * 3, base64.urlsafe_b64encode(f"{WORD}??>>".encode() * 3).decode()),
        (ODD, urllib.parse.quote(ODD)),
        (ODD, urllib.parse.quote(ODD, safe="")),
        (ODD, urllib.parse.quote_plus(ODD)),
        (ODD, urllib.parse.quote(ODD, safe="").lower().replace("ab", "ab")),
        (ODD, json.dumps(ODD)),
        (ODD, json.dumps(json.dumps(ODD))),
        (ODD, html.escape(ODD)),
        (ODD, repr(ODD)),
        (ODD, shlex.quote(ODD)),
        (ODD, ODD.encode().hex()),
        (KEY, KEY),
        (KEY, "  " + KEY.replace("\n", "\n  ")),
        (KEY, KEY.split("\n")[1]),
        (KEY, json.dumps(KEY)),
        (KEY, KEY.replace("\n", "\\n")),
        ("tokenvalue123\n", "tokenvalue123"),
    ],
)  # fmt: skip
def test_what_programs_make_of_a_secret_is_masked(value, printed):
    for cut in (0, 3, len(printed) // 2):
        mask = SecretFilter([value])
        data = f"before {printed} after".encode()
        shown = mask.feed(data[:cut]) + mask.feed(data[cut:]) + mask.flush()
        assert b"***" in shown
        assert printed.encode() not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"sk_test_{WORD * 3}", "SG.abcdefghijklmnop.qrstuvwxyz0123456789ABCDEFG", f"hvs.{WORD * 4}",
        f"Authorization: Bearer {WORD * 4}", f"//r.invalid/:_authToken={WORD * 4}", "password: hunter2hunter2",
        f"https://hooks.slack.com/services/T00000000/B00000000/{WORD * 3}", "DB_PASSWORD=hunter2hunter2",
        "token: a1b2c3d4e5", '"api_key": "a1b2c3d4e5f6"', "mysql://u:pw12345@h/x", f"AccountKey={'a' * 60}==",
        "x-api-key: abc12345def", "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
        f"whsec_{WORD * 3}", f"glsa_{WORD * 4}", "Basic dXNlcjpwYXNzd29yZDEyMw==", f"AIza{'a' * 35}",
        "curl -u user:hunter2hunter2 https://x", "mysql --password hunter2hunter2", f"xapp-1-{WORD * 4}",
        f"GOCSPX-{WORD * 3}", f"shpat_{WORD * 4}", f"dckr_pat_{WORD * 3}", f"AGE-SECRET-KEY-1{WORD * 5}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["notes.txt", "", "conf.yaml"])
def test_a_known_form_is_masked_in_text(text, path):
    assert "***" in mask_secrets(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "password = get_password2()"), ("a.py", "connect(password=password1)"), ("a.py", "token = tokens[i1]"),
        ("notes.txt", "the key: value pairs"), ("a.yaml", "key: my-cache-key-v1"), ("Makefile", "TOKEN=$(shell cat x)"),
        ("a.yaml", "token: ${{ secrets.GH_TOKEN1 }}"), ("a.md", "password: see below"), ("a.md", "tokens: 31149 of 32000"),
        ("a.json", '"tokenizer": "cl100k_base"'), ("a.ts", "const token: string2 = abc"), ("a.md", "basic introduction"),
    ],
)  # fmt: skip
def test_ordinary_text_stays(path, text):
    assert mask_secrets(path, text) == text


@pytest.mark.parametrize(
    "path",
    [
        ".pgpass",
        "id_rsa.bak",
        "terraform.tfstate.backup",
        "env.production",
        ".my.cnf",
        "client_secret_1.json",
        ".SSH/id",
        ".env.bak",
        ".env~",
        ".env.local",
        "prod.env",
        "id_rsa_work",
        "id_ed25519.old",
        "server.pem.bak",
        ".netrc.bak",
        ".AWS/config",
        "kubeconfig.bak",
        "secrets.yml.old",
        "my-credentials.json",
        ".npmrc.orig",
        ".env_backup",
        ".envrc.save",
        "id_rsa.1",
        "a/b/.vault-token",
        "auth.json",
        "x.kdbx",
    ],
)
def test_a_file_of_secrets_is_left_out_whatever_its_copy_is_called(path):
    assert exclusion_reason(path) in {"a key", "may hold secrets"}


@pytest.mark.parametrize(
    "path",
    [
        "env.py",
        "environment.ts",
        "keys.py",
        "mask_secrets.py",
        ".env.example",
        ".env.sample",
        "id_rsa.pub",
        "credentials.py",
        "tokens.py",
        "key.go",
        "notes.bak",
        "copy.py",
        "main.old",
        "app.1",
        "password_test.go",
        "secrets.md",
        "src/secrets.rs",
        "config.json",
        "auth.ts",
        "new.txt",
    ],
)
def test_code_about_secrets_is_shown(path):
    assert exclusion_reason(path) == ""
