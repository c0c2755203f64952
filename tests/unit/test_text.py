"""Text from outside cannot control a terminal."""

import pytest

from prunejuice.text import format_dollars, safe_line, safe_text, spelling_hint


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b]52;c;AAAA\x07",
        "\x1b[2J",
        "\x9b31m",
        "a\rb",
        "\x07",
        "\x7f",
        "\u202e",
        "\u200b",
        "\ud800",
        "\U000e0041",
        "\ufeff",
        b"\xff\xfe",
    ],
)
def test_every_steering_character_becomes_visible(hostile):
    shown = safe_text(hostile)
    assert shown.isprintable()
    assert "\\" in shown


def test_ordinary_text_stays():
    assert safe_text("tab\there\nnew [bold]é漢😀[/bold]") == "tab\there\nnew [bold]é漢😀[/bold]"


def test_a_line_is_one_line_and_short():
    assert safe_line("a\nb\tc") == "a b c"
    assert len(safe_line("x" * 64_000_000)) == 200


def test_the_nearest_word_is_named():
    assert spelling_hint("stauts", ["status", "list"]) == "did you mean 'status'?"
    assert spelling_hint("zzz", ["status"]) == ""


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "$0.0000"), (0.00002, "$0.00002"), (0.0015, "$0.0015"), (1.13, "$1.13"), (1234.5, "$1,234.50")],
)
def test_amounts_show_cents_or_the_digits_that_matter(amount, shown):
    assert format_dollars(amount) == shown
