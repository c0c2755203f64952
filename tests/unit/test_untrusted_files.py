"""Small files are read, and nothing else hangs, fails or leads elsewhere."""

import os

import pytest

from prunejuice.system.untrusted_files import read_small_text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a\n", "a\n"),
        (b"\xff", "\ufffd"),
        (b"x" * (1 << 20), "x" * (1 << 20)),
        (b"x" * (1 << 20) + b"x", ""),
    ],
)
def test_the_text_of_a_file(tmp_path, content, text):
    (tmp_path / "file").write_bytes(content)
    assert read_small_text(tmp_path / "file") == text


def test_what_is_no_file_has_no_text(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "none", tmp_path / ("n" * 300)):
        assert read_small_text(path) == ""


def test_a_link_is_followed_only_if_that_is_wanted(tmp_path):
    (tmp_path / "file").write_text("a")
    (tmp_path / "link").symlink_to("file")
    assert read_small_text(tmp_path / "link") == ""
    assert read_small_text(tmp_path / "link", follow_link=True) == "a"
