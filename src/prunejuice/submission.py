"""Handing changes in: those that wait as a branch, commit by commit, pushed, and a pull request for it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from msgspec import Struct

from prunejuice import change, hunk, pending
from prunejuice.change import FileChange
from prunejuice.errors import NotFoundError, PruneJuiceError, UsageError
from prunejuice.git import Git
from prunejuice.publishers import branch as branches
from prunejuice.publishers import github
from prunejuice.publishers.branch import Remote
from prunejuice.publishers.github import GitHub
from prunejuice.shelf import Record, Shelf
from prunejuice.text import safe_line

_TITLE = 100
_BODY = 60_000


class PRSubmission(Struct, frozen=True, omit_defaults=True):
    """What is handed in: `file_changes` on a branch of that name, for `base_branch`."""

    title: str
    description: str
    branch_name: str
    file_changes: tuple[FileChange, ...]
    base_branch: str = "main"
    draft: bool = False


class Wanted(NamedTuple):
    """How to hand in; what is empty is found out. `onto` is the commit to build on instead of the base."""

    title: str = ""
    description: str = ""
    branch: str = ""
    base: str = ""
    remote: str = ""
    onto: str = ""
    only: tuple[str, ...] = ()
    draft: bool = False
    request: bool = True


class Plan(NamedTuple):
    """What would be handed in, and where: the commit to build on, each change set with its differences."""

    submission: PRSubmission
    records: tuple[Record, ...]
    parts: tuple[tuple[hunk.Difference, ...], ...]
    remote: Remote | None
    onto: str


Stage = Literal["branch", "pushed", "requested"]


class Submitted(NamedTuple):
    """How far it came: the branch here, at the remote, and the address of the pull request."""

    branch: str
    stage: Stage
    url: str = ""


def plan(shelf: Shelf, git: Git, wanted: Wanted) -> Plan:
    """What would be handed in; nothing is touched.

    Raises:
        NotFoundError: no change set waits, or none has that id.
        ConflictError: a change does not fit the base.
        UsageError: there is no such base or remote.
    """
    records = _records(shelf, wanted.only)
    to = _remote(git, wanted.remote)
    base, commit = branches.base(git, to or Remote("origin", ""), wanted.base)
    onto = _commit(git, wanted.onto) if wanted.onto else commit
    ready, _ = pending.stacked(records, branches.seeing(git, onto))
    for each in ready:
        if each.conflict is not None:
            each.conflict.fix = f"its files differ at {base}: --onto HEAD builds on what is checked out"
        pending.demand_fit(each)
    title = wanted.title or _title(records)
    files = tuple(one for record in records for one in record.change_set.file_changes)
    body = _body(wanted.description, records, [each.differences for each in ready])
    name = wanted.branch or f"codebot/{_slug(title)}"
    made = PRSubmission(title, body, name, files, base, wanted.draft)
    return Plan(made, tuple(records), tuple(each.differences for each in ready), to, onto)


def _remote(git: Git, name: str) -> Remote | None:
    """The remote; none where there is none and none is named."""
    try:
        return branches.remote(git, name)
    except UsageError:
        if name or git.run("remote").split():
            raise
        return None


def _commit(git: Git, name: str) -> str:
    found = git.resolve(name)
    if not found:
        raise UsageError(f"there is no commit {safe_line(name, 80)!r}", "name one that git log shows")
    return found


def _records(shelf: Shelf, only: Sequence[str]) -> list[Record]:
    """The change sets that wait, or those that are named, which may be applied already."""
    if only:
        found = [shelf.find(name) for name in only]
        for each in found:
            if each.state not in {"pending", "applied", "submitted"}:
                raise UsageError(f"{each.id} is {each.state}", "codebot pending list --all shows them")
        return sorted(found, key=lambda each: each.at)
    found = shelf.of_state("pending")
    if not found:
        raise NotFoundError(
            "no change set waits", "codebot VERB asks for changes; --only ID hands in applied ones"
        )
    return found


def hand_in(
    shelf: Shelf, git: Git, made: Plan, environ: Mapping[str, str], *, request: bool, exact: bool
) -> Submitted:
    """Make the branch, push it, and open the pull request; what fails leaves all before it as it is.

    Raises:
        UsageError: there is no remote, no login, or the forge is not known.
        PublishError: the remote or the forge refuses, or cannot be reached.
    """
    tip = made.onto
    for record, differences in zip(made.records, made.parts, strict=True):
        tip = branches.commit(git, tip, differences, _message(record))
    name = branches.named(git, made.submission.branch_name, made.onto, tip, exact=exact)
    if made.remote is None:
        fix = (
            f"git remote add origin URL, and do it again; the branch {name} is here, what waits still waits"
        )
        raise UsageError("the repository has no remote", fix)
    forge = _forge(made.remote, environ, name) if request else None
    branches.push(git, made.remote, name)
    url = ""
    if forge is not None:
        sent = made.submission
        with _staying(f"the branch {name} is pushed, what waits still waits: say it again"):
            url = forge.pull_request(name, sent.base_branch, sent.title, sent.description, draft=sent.draft)
    for record in made.records:
        state = "submitted" if record.state == "pending" else record.state
        shelf.keep(record.happened("submitted", state, note=url or f"branch {name}"))
    return Submitted(name, "requested" if url else "pushed", url)


@contextmanager
def _staying(what: str) -> Iterator[None]:
    """Say with a refusal what of the work is there all the same."""
    try:
        yield
    except PruneJuiceError as error:
        error.fix = "; ".join(filter(None, (error.fix, what)))
        raise


def _forge(to: Remote, environ: Mapping[str, str], name: str) -> GitHub:
    where = github.place(to.url, environ)
    stays = f"the branch {name} is here, what waits still waits"
    if where is None:
        what = f"{safe_line(branches.shown(to.url), 200)} is at no forge that is known"
        raise UsageError(
            what, f"--no-pr only pushes the branch; or set GITHUB_REPOSITORY=owner/name; {stays}"
        )
    found = github.token(where, environ)
    if not found:
        fix = f"{github.login(where, environ)}; --no-pr only pushes the branch; {stays}"
        raise UsageError(f"there is no login for {where.owner}/{where.name} at {where.api}", fix)
    return GitHub(where, found)


# -- words ------------------------------------------------------------------------------------------


def _title(records: Sequence[Record]) -> str:
    first = next((each.change_set.summary for each in records if each.change_set.summary), "")
    said = re.split(r"(?<=[.!?])\s|\n", first.strip())[0].rstrip(".")
    commands = " and ".join(dict.fromkeys(each.change_set.command or "change" for each in records))
    paths = list(dict.fromkeys(path for each in records for path in each.paths))
    named = f"{commands.capitalize()} {', '.join(paths[:3])}{' …' if len(paths) > 3 else ''}"
    return safe_line(said or named, _TITLE)


def _slug(title: str) -> str:
    plain = normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()  # u for ü
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:50].strip("-") or "changes"


def _message(record: Record) -> str:
    """The message of a commit: what was done, why, and what made it."""
    made = record.change_set
    title, _, rest = (made.summary or _title([record])).strip().partition("\n")
    facts = {"Codebot-Command": made.command, "Codebot-Run": made.run, "Codebot-Change-Set": record.id}
    trailers = "\n".join(f"{name}: {safe_line(value, 80)}" for name, value in facts.items() if value)
    if len(title) > _TITLE:
        title, rest = _title([record]), made.summary
    return "\n\n".join(filter(None, [title, rest.strip(), trailers])) + "\n"


def _body(description: str, records: Sequence[Record], parts: Sequence[Sequence[hunk.Difference]]) -> str:
    """What a reviewer should know: why, what each change set does, and what it was held to."""
    found = [description.strip(), *map(_section, records, parts)]
    return "\n\n".join(filter(None, found))[:_BODY] + "\n"


def _section(record: Record, differences: Sequence[hunk.Difference]) -> str:
    made = record.change_set
    lines = [f"## {made.command or 'Changes'} ({record.id})", "", made.summary.strip(), ""]
    reasons = change.reasons(made)
    for each in differences:
        added, removed = _counted(each)
        why = f": {safe_line(reasons[each.path], 200)}" if each.path in reasons else ""
        lines.append(f"- `{each.to or each.path}` +{added} -{removed}{why}")
    evidence = made.metadata.get("evidence")
    if isinstance(evidence, list):
        lines += ["", "Held to:", "", *(f"- {safe_line(str(each), 300)}" for each in evidence)]
    return "\n".join(lines).strip()


def _counted(each: hunk.Difference) -> tuple[int, int]:
    if not (hunk.is_text(each.old.data) and hunk.is_text(each.new.data)):
        return 0, 0
    counts = [hunk.counted(one) for one in hunk.hunks(each)]
    return sum(a for a, _ in counts), sum(r for _, r in counts)


def told(made: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    sent = made.submission
    return {
        "title": sent.title,
        "description": sent.description,
        "branch": sent.branch_name,
        "base": sent.base_branch,
        "draft": sent.draft,
        "remote": branches.shown(made.remote.url) if made.remote else None,
        "change_sets": [each.id for each in made.records],
        "files": sorted({one.to or one.path for part in made.parts for one in part}),
    }
