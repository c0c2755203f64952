"""Outcomes of tests are read from the output of `go test -v`."""

from prunejuice.verbs.verify import go_outcome

OUTPUT = """\
=== RUN   TestAdd
    app_test.go:7: no sum
--- FAIL: TestAdd (0.00s)
=== RUN   TestTable
=== RUN   TestTable/one_case
--- PASS: TestTable (0.00s)
    --- PASS: TestTable/one_case (0.00s)
FAIL
FAIL\texample.com/app\t0.003s
=== RUN   TestAdd
--- SKIP: TestAdd (0.00s)
PASS
ok  \texample.com/app/more\t0.003s
?   \texample.com/app/cmd\t[no test files]
"""


def test_each_test_has_the_name_of_its_package():
    assert go_outcome.parse_output(OUTPUT) == {
        "example.com/app::TestAdd": "FAILED",
        "example.com/app::TestTable": "PASSED",
        "example.com/app::TestTable/one_case": "PASSED",
        "example.com/app/more::TestAdd": "SKIPPED",
    }
    assert go_outcome.parse_output("1 passed\nok then\n") == {}


def test_only_what_failed_is_shown():
    shown = go_outcome.strip_passed_lines(OUTPUT)
    assert "no sum" in shown
    assert "--- FAIL: TestAdd" in shown
    assert "RUN" not in shown
    assert "--- PASS" not in shown
