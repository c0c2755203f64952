"""Secrets are removed from logs."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunejuice.system.redact import SecretFilter, mask_argument, mask_text, secret_values

SECRET = 'hunter2/"tophat'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        quote(SECRET, safe=""),
        SECRET.replace('"', '\\"'),
    ],
)
def test_every_form_of_a_secret_is_masked(shown):
    mask = SecretFilter([SECRET])
    assert mask.feed(f"a {shown} b".encode()) + mask.flush() in {b"a *** b", b"a ***= b", b"a ***== b"}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_a_secret_is_masked_wherever_chunks_end(cuts):
    text = b"x" * 7 + b"correcthorse" + b"y" * 7 + b"correcthorse"
    mask, out, at = SecretFilter(["correcthorse"]), b"", 0
    for size in [*cuts, len(text)]:
        out += mask.feed(text[at : at + size])
        at += size
    assert out + mask.flush() == b"x" * 7 + b"***" + b"y" * 7 + b"***"


def test_short_values_and_no_values_change_nothing():
    for mask in (SecretFilter(["short"]), SecretFilter()):
        assert mask.feed(b"a short text") + mask.flush() == b"a short text"


def test_secret_names_are_known():
    found = secret_values({
        "GITHUB_TOKEN": "1",
        "DB_PASSWORD": "2",
        "API_KEY": "3",
        "MONKEY": "4",
        "PATH": "5",
    })
    assert found == ("1", "2", "3")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("issue", 12, 12),
        ("title", "fix it", "fix it"),
        ("api_token", "hunter2hunter2", "***"),
        ("customer_code", "hunter2hunter2", "***"),
        ("url", "https://bob:hunter2pass@host/x", "https://bob:***@host/x"),
        ("url", "https://host/x?a=b:c@d", "https://host/x?a=b:c@d"),
        ("data", {"api_token": "abcdefgh", "n": 1}, {"api_token": "***", "n": 1}),
        ("data", [{"customer_x": "abcdefgh"}, "plain"], [{"customer_x": "***"}, "plain"]),
        ("customer_list", ["abcdefgh"], ["***"]),
    ],
)
def test_the_value_of_an_argument_is_shown_without_secrets(name, value, shown):
    assert mask_argument(name, value, ["customer_*"]) == shown


def masked(text, *values):
    filter_ = SecretFilter(values)
    return filter_.feed(text) + filter_.flush()


@pytest.mark.parametrize("values", [("abcdefgh", "abcdefghijkl"), ("abcdefghijkl", "abcdefgh")])
def test_a_value_that_contains_another_is_masked_as_a_whole(values):
    assert masked(b"is abcdefghijkl and abcdefgh", *values) == b"is *** and ***"


@pytest.mark.parametrize("length", range(10, 16))
@pytest.mark.parametrize("before", [b"", b"x", b"xy"])
@pytest.mark.parametrize("after", [b"", b"A", b"\xff\xff", b"abc"])
def test_base64_is_masked_at_every_offset(length, before, after):
    value = "s3cr3tVALUE9876"[:length]
    encoded = base64.b64encode(before + value.encode() + after)
    shown = masked(encoded, value)
    assert b"***" in shown
    assert len(shown) <= len(before) + len(after) + 3 + 6


def test_bytes_that_are_no_text_are_masked():
    value = b"\xff\xfepassword\xff".decode("utf-8", "surrogateescape")
    assert masked(b"x \xff\xfepassword\xff y", value) == b"x *** y"


def test_a_text_is_masked():
    assert mask_text("größer: hunter2hunter2 \udcff", ["hunter2hunter2"]) == "größer: *** \udcff"
    assert mask_text("nothing", []) == "nothing"
