"""The log of a step: complete up to its limit, with its end, without secrets."""

from prunejuice.system.output import END_BYTES, OutputLog


def test_everything_is_kept_up_to_the_limit(tmp_path):
    log = OutputLog(tmp_path / "deep" / "log", 1000)
    log(b"a" * 400)
    log(b"b" * 400)
    log.close()
    assert (tmp_path / "deep" / "log").read_bytes() == b"a" * 400 + b"b" * 400
    assert (tmp_path / "deep" / "log").stat().st_mode & 0o777 == 0o600


def test_beyond_the_limit_the_end_is_kept_and_the_gap_is_named(tmp_path):
    log = OutputLog(tmp_path / "log", 10)
    log(b"0123456789abc")
    log(b"x" * (2 * END_BYTES))
    log(b"the end\n")
    log.close()
    text = (tmp_path / "log").read_bytes()
    assert text.startswith(b"0123456789\n[")
    assert b"bytes left out]" in text
    assert text.endswith(b"the end\n")
    assert log.tail().endswith("the end\n")


def test_a_little_too_much_leaves_nothing_out(tmp_path):
    log = OutputLog(tmp_path / "log", 10)
    log(b"0123456789abc")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"0123456789abc"


def test_secrets_are_masked_in_the_log_file_tail_and_progress_line(tmp_path):
    told = []
    log = OutputLog(tmp_path / "log", 1000, ["correcthorse"], told.append)
    log(b"pass correct")
    log(b"horse in\n" + b"." * 20 + b"\n")
    log.close()
    assert b"correcthorse" not in (tmp_path / "log").read_bytes()
    assert "correcthorse" not in log.tail() + "".join(told)


def test_last_complete_line_is_reported_as_progress(tmp_path):
    told = []
    log = OutputLog(tmp_path / "log", 1000, tell=told.append)
    log(b"one\ntwo\n\n")
    assert told == ["two"]
    log.close()
