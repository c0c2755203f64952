"""Submit change sets: one commit each on a new branch, a push, and a pull request."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from msgspec import Struct

from prunejuice.changes import pending
from prunejuice.changes.change_set import ChangeSet, FileChange, reasons_by_path
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.edits import diff
from prunejuice.errors import NotFoundError, PruneJuiceError, PublishError, UsageError
from prunejuice.forges import branch as branches
from prunejuice.forges.branch import Remote
from prunejuice.forges.forge import Forge
from prunejuice.forges.registry import find_forge
from prunejuice.forges.remote_url import parse_remote_url
from prunejuice.forges.request_template import fill_template, find_template
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git

_LOCAL_PROGRAM = re.compile(r"(?<!\S)/(?:[^\s/]+/)+([^\s/]+)")
"""A program by its absolute path."""
_MAX_TITLE = 100
_MAX_BODY = 60_000


class PRSubmission(Struct, frozen=True, omit_defaults=True):
    """A pull request to submit: `file_changes` on the branch `branch_name`, for `base_branch`."""

    title: str
    description: str
    branch_name: str
    file_changes: tuple[FileChange, ...]
    base_branch: str = "main"
    draft: bool = False


class SubmitOptions(NamedTuple):
    """How to submit; empty options have defaults.

    `onto` is the commit to build on instead of the base; `only` are ids of change sets.
    """

    title: str = ""
    description: str = ""
    branch: str = ""
    base: str = ""
    remote: str = ""
    onto: str = ""
    only: tuple[str, ...] = ()
    draft: bool = False
    request: bool = True


class SubmitPlan(NamedTuple):
    """What a submission would do: the commit to build on, and the change sets with their differences.

    `parts` has the differences of each of the `records`. A branch at the commit `continued` moves on. The
    branch is pushed to `remote`, and requested to be merged into `upstream`, which may be the same. `kept`
    names what is still there if that fails.
    """

    submission: PRSubmission
    records: tuple[ChangeSetRecord, ...]
    parts: tuple[tuple[diff.FileDiff, ...], ...]
    remote: Remote | None
    onto: str
    continued: str = ""
    upstream: Remote | None = None
    kept: str = "the pending change sets"


SubmitStage = Literal["branch", "pushed", "requested"]


class SubmitResult(NamedTuple):
    """The result of a submission: the branch, the last `stage` reached, and the pull request's URL.

    `draft` says whether the pull request is a draft, which not every repository allows.
    """

    branch: str
    stage: SubmitStage
    url: str = ""
    draft: bool = False


def plan_submission(store: ChangeSetStore, git: Git, options: SubmitOptions) -> SubmitPlan:
    """Return what a submission would do; change nothing.

    Raises:
        NotFoundError: no change set is pending, or an id is unknown.
        ConflictError: a change does not fit the base.
        UsageError: the base, remote or commit does not exist.
    """
    records = _select_records(store, options.only)
    remote = _find_remote(git, options.remote)
    upstream = branches.find_upstream(git, remote) if remote and not options.remote else remote
    base, commit = branches.find_base(git, upstream or Remote("origin", ""), options.base)
    onto = _resolve_commit(git, options.onto) if options.onto else commit

    def find_bases(path: str) -> list[bytes]:
        versions = (record.original_version(path) for record in records)
        return [version.data for version in versions if version.data is not None]

    stack, _ = pending.stack_records(records, branches.commit_file_reader(git, onto, find_bases))
    for stacked in stack:
        if stacked.conflict is not None:
            stacked.conflict.fix = _conflict_fix(git, onto, base, getattr(stacked.conflict, "files", ()))
        pending.require_no_conflict(stacked)
    title = options.title or _format_title(records)
    files = tuple(change for record in records for change in record.change_set.file_changes)
    body = _format_body(options.description, records, [stacked.differences for stacked in stack])
    body = fill_template(find_template(git, onto), body)[:_MAX_BODY]
    name = options.branch or f"codebot/{format_slug(title)}"
    submission = PRSubmission(title, body, name, files, base, options.draft)
    parts = tuple(stacked.differences for stacked in stack)
    return SubmitPlan(submission, tuple(records), parts, remote, onto, upstream=upstream)


def _conflict_fix(git: Git, commit: str, base: str, paths: Sequence[str]) -> str:
    """Return how to submit files that a commit does not have as the changes expect them."""
    for path in paths:
        if module := branches.find_submodule(git, commit, path):
            name = safe_line(module, 120)
            return f"the file belongs to the submodule {name}: apply the changes, and commit them in {name}"
    return f"its files differ at {base}; use `--onto HEAD` to build on the current commit"


def _find_remote(git: Git, name: str) -> Remote | None:
    """Return the remote, or None if the repository has none and no name is given."""
    try:
        return branches.find_remote(git, name)
    except UsageError:
        if name or git.run("remote").split():
            raise
        return None


def _resolve_commit(git: Git, name: str) -> str:
    commit = git.resolve(name)
    if not commit:
        raise UsageError(
            f"commit {safe_line(name, 80)!r} does not exist", "run `git log` to see the commits"
        )
    return commit


def _select_records(store: ChangeSetStore, only: Sequence[str]) -> list[ChangeSetRecord]:
    """Return the pending change sets, or those that are named, which may be applied already."""
    if only:
        records = [store.find(name) for name in only]
        for record in records:
            if record.state not in {"pending", "applied", "submitted"}:
                fix = "run `codebot pending list --all` to see the change sets"
                raise UsageError(f"change set {record.id} is {record.state}", fix)
        return sorted(records, key=lambda record: record.at)
    records = store.load_in_state("pending")
    if not records:
        raise NotFoundError(
            "no change sets are pending",
            "request changes with a codebot verb, or submit applied ones with --only ID",
        )
    return records


def submit_changes(
    store: ChangeSetStore,
    git: Git,
    plan: SubmitPlan,
    environ: Mapping[str, str],
    *,
    request: bool,
    exact: bool,
) -> SubmitResult:
    """Create the branch, push it, and open the pull request; a failure keeps what is done before it.

    Raises:
        UsageError: the repository has no remote, its forge is unknown, or there is no token.
        PublishError: the remote or the forge refused, or is unreachable.
    """
    tip = plan.onto
    for record, differences in zip(plan.records, plan.parts, strict=True):
        tip = branches.commit_differences(git, tip, differences, _format_commit_message(record))
    name = branches.create_branch(
        git, plan.submission.branch_name, plan.onto, tip, exact=exact, continued=plan.continued
    )
    if plan.remote is None:
        fix = (
            f"run `git remote add origin URL` and try again; "
            f"the local branch {name} and {plan.kept} are kept"
        )
        raise UsageError("the repository has no remote", fix)
    # Find the token before the push: without one, nothing leaves this machine.
    forge = _require_login(plan, environ, name) if request else None
    branches.push_branch(git, plan.remote, name)
    url, is_draft = "", False
    if forge is not None:
        with _add_fix_on_failure(f"branch {name} is pushed, and {plan.kept} are kept; try again"):
            url, is_draft = _open_pull_request(forge, _format_head(plan, name), plan.submission)
    for record in plan.records:
        state = "submitted" if record.state == "pending" else record.state
        store.save(record.with_event("submitted", state, note=url or f"branch {name}"))
    return SubmitResult(name, "requested" if url else "pushed", url, is_draft)


def _format_head(plan: SubmitPlan, name: str) -> str:
    """Return the branch of a pull request, with the path of the fork if it is pushed to one."""
    if plan.remote is None or plan.upstream in {None, plan.remote}:
        return name
    fork = parse_remote_url(plan.remote.forge_url or plan.remote.url)
    return f"{fork.path}:{name}" if fork else name


def _open_pull_request(forge: Forge, head: str, submission: PRSubmission) -> tuple[str, bool]:
    """Open a pull request; return its URL and whether it is a draft, which a forge may not allow."""
    texts = head, submission.base_branch, submission.title, submission.description
    try:
        return forge.open_pull_request(*texts, draft=submission.draft), submission.draft
    except PublishError as error:
        if not submission.draft or "draft" not in error.message.lower():
            raise
    return forge.open_pull_request(*texts, draft=False), False


@contextmanager
def _add_fix_on_failure(sentence: str) -> Iterator[None]:
    """Append a sentence to the fix of an error."""
    try:
        yield
    except PruneJuiceError as error:
        error.fix = "; ".join(filter(None, (error.fix, sentence)))
        raise


def _require_login(plan: SubmitPlan, environ: Mapping[str, str], name: str) -> Forge:
    remote = plan.upstream or plan.remote or Remote("", "")
    with _add_fix_on_failure(
        f"or use --no-pr to only push the branch; the local branch {name} and {plan.kept} are kept"
    ):
        forge = find_forge(remote.forge_url or remote.url, environ)
        if forge.login_fix:
            raise UsageError(f"no login for {forge.title}", forge.login_fix)
    return forge


# -- texts ------------------------------------------------------------------------------------------


def format_title(changes: ChangeSet) -> str:
    """Return the first sentence of a summary, or else what the changes are, as a title."""
    return _join_title(
        changes.summary, [changes.command], [change.filepath for change in changes.file_changes]
    )


def _format_title(records: Sequence[ChangeSetRecord]) -> str:
    first = next((record.change_set.summary for record in records if record.change_set.summary), "")
    paths = [path for record in records for path in record.paths]
    return _join_title(first, [record.change_set.command for record in records], paths)


def _join_title(summary: str, commands: Sequence[str], paths: Sequence[str]) -> str:
    sentence = re.split(r"(?<=[.!?])\s|\n", summary.strip())[0].rstrip(".")
    names, files = dict.fromkeys(name or "change" for name in commands), list(dict.fromkeys(paths))
    what = f"{', '.join(files[:3])}{' …' if len(files) > 3 else ''}"
    return safe_line(sentence or f"{' and '.join(names).capitalize()} {what}", _MAX_TITLE)


def format_slug(title: str) -> str:
    """Return a title as a part of the name of a branch."""
    plain = re.sub("(?<=[a-z])[\u0300-\u036f]+", "", normalize("NFKD", title.lower()))  # u for ü
    return re.sub(r"[\W_]+", "-", normalize("NFC", plain)).strip("-")[:50].strip("-") or "changes"


def _format_commit_message(record: ChangeSetRecord) -> str:
    """Return the commit message of a change set, with its command, run and id as trailers."""
    changes = record.change_set
    title, _, rest = (changes.summary or _format_title([record])).strip().partition("\n")
    trailer_values = {
        "Codebot-Command": changes.command,
        "Codebot-Run": changes.run,
        "Codebot-Change-Set": record.id,
    }
    trailers = "\n".join(
        f"{name}: {safe_line(value, 80)}" for name, value in trailer_values.items() if value
    )
    if len(title) > _MAX_TITLE:
        title, rest = _format_title([record]), changes.summary
    return "\n\n".join(filter(None, [title, rest.strip(), trailers])) + "\n"


def _format_body(
    description: str, records: Sequence[ChangeSetRecord], parts: Sequence[Sequence[diff.FileDiff]]
) -> str:
    """Return the body of the pull request: the description, then a section per change set."""
    sections = [description.strip(), *map(_format_section, records, parts)]
    return "\n\n".join(filter(None, sections)) + "\n"


def _format_section(record: ChangeSetRecord, differences: Sequence[diff.FileDiff]) -> str:
    changes = record.change_set
    lines = [f"## {changes.command or 'Changes'} ({record.id})", "", changes.summary.strip(), ""]
    if closes := _format_closing_line(changes.metadata.get("closes")):
        lines += [closes, ""]
    reasons = reasons_by_path(changes)
    for difference in differences:
        added, removed = _count_lines(difference)
        reason = f": {safe_line(reasons[difference.path], 200)}" if difference.path in reasons else ""
        lines.append(f"- `{difference.to or difference.path}` +{added} -{removed}{reason}")
    evidence = changes.metadata.get("evidence")
    if isinstance(evidence, list):
        # A check may name a program of this machine by its path, which tells others nothing.
        items = (_LOCAL_PROGRAM.sub(r"\1", safe_line(str(item), 300)) for item in evidence)
        lines += ["", "Evidence:", "", *(f"- {item}" for item in items)]
    return "\n".join(lines).strip()


def _format_closing_line(closes: object) -> str:
    """Return the line by which a forge closes the issue `12: title`, or ""."""
    number, _, title = str(closes or "").partition(":")
    if not number.strip().isascii() or not number.strip().isdigit():
        return ""
    return f"Closes #{number.strip()}" + (f": {safe_line(title.strip(), 200)}" if title.strip() else "")


def _count_lines(difference: diff.FileDiff) -> tuple[int, int]:
    if not (diff.is_text(difference.old.data) and diff.is_text(difference.new.data)):
        return 0, 0
    counts = [diff.count_changed_lines(hunk) for hunk in diff.compute_hunks(difference)]
    return sum(added for added, _ in counts), sum(removed for _, removed in counts)


def format_patch(plan: SubmitPlan) -> str:
    """Return the differences of a plan as one patch."""
    return "".join(diff.format_diff(each) for part in plan.parts for each in part)


def plan_to_data(plan: SubmitPlan) -> dict[str, Any]:
    """Return a plan as plain data for JSON output."""
    submission = plan.submission
    return {
        "title": submission.title,
        "description": submission.description,
        "branch": submission.branch_name,
        "base": submission.base_branch,
        "draft": submission.draft,
        "remote": branches.redact_url(plan.remote.url) if plan.remote else None,
        "change_sets": [record.id for record in plan.records],
        "files": sorted({difference.to or difference.path for part in plan.parts for difference in part}),
    }
