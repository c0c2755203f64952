"""The template of a repository for pull requests, filled with a body."""

import re
from pathlib import Path

from prunejuice.worktrees.git import Git

_FOLDERS = (".github/", ".forgejo/", ".gitea/", "", "docs/", ".gitlab/merge_request_templates/")
"""Where forges look for a template, the first place first."""
_NAME = re.compile(r"(?:pull_request_template|default)\.md", re.IGNORECASE)
_MAX_BYTES = 100_000
_DESCRIPTION = re.compile(
    r"^#{1,6}[^\n]*\b(?:description|summary|overview|changes|what)\b[^\n]*$", re.IGNORECASE | re.MULTILINE
)

_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
"""Comments and fenced code: what they say is no heading, and a body inside them would not be seen."""
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?:[\w-]+:.*\r?\n(?:[ \t-].*\r?\n)*)+---[ \t]*(?:\r?\n|\Z)")
"""Settings of the template, such as labels, which are no part of a body."""


def find_template(git: Git, commit: str) -> str:
    """Return the template for pull requests that a commit has; empty if it has none."""
    files = git.with_clean_config(Path(git.git_dir) / "index")
    for folder in _FOLDERS:
        listed = files.run("ls-tree", "-z", commit, *([folder] if folder else []))
        for entry in filter(None, listed.split("\0")):
            details, _, path = entry.partition("\t")
            _, kind, blob = details.split()
            name = path.removeprefix(folder)
            if kind == "blob" and _NAME.fullmatch(name) and _is_template(folder, name):
                shown = files.try_run("cat-file", "blob", blob, limit=_MAX_BYTES)
                text = "" if shown.code else shown.stdout.decode("utf-8", "replace")
                return _FRONT_MATTER.sub("", text).strip()
    return ""


def _is_template(folder: str, name: str) -> bool:
    """Return whether a name is that of a template in its folder: `default.md` is one on GitLab only."""
    return folder.startswith(".gitlab") == (name.lower() == "default.md")


def fill_template(template: str, body: str) -> str:
    """Return a template with a body under its heading for descriptions, or else before the template."""
    # Each hidden part is one blank line of the same length, so that no body is placed inside it.
    heading = _DESCRIPTION.search(_HIDDEN.sub(lambda found: " " * len(found[0]), template))
    if not heading:
        return "\n\n".join(filter(None, [body.strip(), template])) + "\n"
    before, after = template[: heading.end()], template[heading.end() :]
    return "\n\n".join(filter(None, [before, body.strip(), after.strip()])) + "\n"
