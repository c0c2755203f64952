"""Issues from the exports of trackers, and exports with odd fields."""

import json

import pytest

from prunejuice.errors import NotFoundError, UsageError
from prunejuice.forges.tracker_export import find_issue, is_export, parse_export

ADF = {
    "type": "doc",
    "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": "Round "}, {"type": "text", "text": "up."}]},
        {"type": "bulletList", "content": [{"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "always"}]}]}, None, 3]},
        {"type": "codeBlock", "content": [{"type": "text", "text": "round(x)"}]},
    ],
}  # fmt: skip
EXPORTS = {
    "github": ([{"number": 12, "title": "Sum", "body": "is 0", "html_url": "https://x/12", "state": "open", "labels": [{}]}], ("12", 12, "Sum", "is 0", "https://x/12", True)),
    "gh issue list": ([{"number": 12, "title": "Sum", "body": "is 0", "url": "https://x/12", "state": "CLOSED"}], ("12", 12, "Sum", "is 0", "https://x/12", False)),
    "gitlab": ([{"id": 991, "iid": 12, "title": "Sum", "description": "is 0", "web_url": "https://x/12", "state": "opened"}], ("12", 12, "Sum", "is 0", "https://x/12", True)),
    "one issue": ({"number": "12", "title": " Sum "}, ("12", 12, "Sum", "", "", True)),
    "a page": ({"items": [{"number": 12, "title": "Sum", "body": None}], "total": 1}, ("12", 12, "Sum", "", "", True)),
    "jira": ({"issues": [{"key": "SHOP-7", "fields": {"summary": "Sum", "description": "is 0", "status": {"name": "Done"}}}]}, ("SHOP-7", 0, "Sum", "is 0", "", False)),
    "jira 3": ({"issues": [{"key": "SHOP-7", "self": "https://j/7", "fields": {"summary": "Sum", "description": ADF, "status": {"statusCategory": {"key": "new"}}}}]},
               ("SHOP-7", 0, "Sum", "Round up.\nalways\n\nround(x)", "https://j/7", True)),
    "odd fields": ([{"number": 12, "title": "Sum", "body": {"x": 1}, "html_url": 7, "state": ["open"], "state_reason": None}], ("12", 12, "Sum", "", "", True)),
    "odd fields of jira": ([{"key": "SHOP-7", "fields": {"summary": "Sum", "description": 3, "status": "open"}}], ("SHOP-7", 0, "Sum", "", "", True)),
    "surrogates": ([{"number": 1, "title": "\ud800 Sum"}], ("1", 1, "? Sum", "", "", True)),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_are_read(name):
    data, (key, number, title, body, url, is_open) = EXPORTS[name]
    text = json.dumps(data)
    assert is_export(text)
    [found] = parse_export(text, "x.json")
    assert (found.key, found.issue, found.is_open) == (key, (number, title, body, url), is_open)


WRONG = {
    "[{]": "x.json is no JSON",
    '[{"number": 1}]': "issue 1 has no title",
    '[{"number": 1, "title": "a"}, {"title": "b"}]': "issue 2 has no number",
    '[{"number": true, "title": "b"}]': "issue 1 has no number",
    '[{"number": -1, "title": "b"}]': "issue 1 has no number",
    '[{"number": 1e400, "title": "b"}]': "issue 1 has no number",
    '[{"number": "9999999999999999999999", "title": "b"}]': "issue 1 has no number",
    "[1]": "issue 1 is no object",
    '{"a": 1}': "has no list of issues",
    '[{"fields": {"summary": "a"}}]': "issue 1 has no key",
    '[{"key": "A-1", "fields": {"summary": ""}}]': "issue 1 has no summary",
    '[{"iid": 1, "title": "a"}, {"iid": 1, "title": "b"}]': "issue 2 has the number 1 of another one",
    "[" * 100_000: "x.json is",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_what_is_wrong_is_named_with_its_place(text):
    with pytest.raises(UsageError, match=WRONG[text]):
        parse_export(text, "x.json")


def test_pull_requests_of_github_are_no_issues():
    rows = [{"number": 1, "title": "a", "pull_request": {"url": "x"}}, {"number": 2, "title": "b"}]
    assert [each.key for each in parse_export(json.dumps(rows), "x")] == ["2"]


@pytest.mark.parametrize("text", ["[null, 3]", '["a", "b"]', '\ufeff[{"number": 1, "title": "a"}]'])
def test_any_json_is_an_export(text):
    assert is_export(text)


def test_people_who_are_mentioned_stay_in_a_text():
    document = {"type": "doc", "content": [{"type": "mention", "attrs": {"text": "@bob"}}]}
    row = {"key": "A-1", "fields": {"summary": "a", "description": document}}
    assert parse_export(json.dumps([row]), "x")[0].issue.body == "@bob"


def test_lines_of_json_are_an_export_and_the_first_of_a_number_counts():
    text = '{"number": 1, "title": "a"}\n\n{"number": 2, "title": "b"}\n{"number": 1, "title": "a"}\n'
    assert [each.issue.title for each in parse_export(text, "x")] == ["a", "b"]
    assert parse_export("[]", "x") == []


@pytest.mark.parametrize(
    "text", ["# Backlog\n", "- [ ] one\n", "[ ] one\n[x] two\n", "{one}\n", "", "[link](x)"]
)
def test_a_list_of_tasks_is_no_export(text):
    assert not is_export(text)


def test_an_issue_is_found_by_its_number(tmp_path):
    path = tmp_path / "issues.json"
    path.write_bytes(b'\xef\xbb\xbf[{"number": 1, "title": "a"}]')
    assert find_issue(path, "1").title == "a"
    with pytest.raises(NotFoundError, match="has no issue 2"):
        find_issue(path, "2")
    with pytest.raises(UsageError, match="could not read"):
        find_issue(tmp_path, "1")
