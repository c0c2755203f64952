"""The commands by which change sets come to the disk and back: apply, undo, redo."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import click

from prunejuice import answer as answers
from prunejuice import change, hunk, pathname, pending, project, review, settings
from prunejuice.answer import Taken
from prunejuice.cli import again as makers
from prunejuice.cli import render, reviewing, terminal
from prunejuice.errors import ConflictError, DeniedError, NotFoundError, PruneJuiceError, UsageError
from prunejuice.formats import FORMATS
from prunejuice.hunk import Difference
from prunejuice.review import Review
from prunejuice.shelf import Record, Shelf, State
from prunejuice.text import counted, safe_line, safe_text, utf8
from prunejuice.workspaces import house as houses

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


class Declined(PruneJuiceError):  # noqa: N818 - nothing went wrong
    """A person does not want it."""

    def __init__(self) -> None:
        super().__init__("nothing was changed: you said no")


class Asked(NamedTuple):
    """How changes are to be applied."""

    grain: str
    decisions: str
    yes: bool
    grant: tuple[str, ...]
    again: str | Callable[[Sequence[Any]], str]
    as_json: bool


class After(NamedTuple):
    """What a review left: what waits now, and what became of asking again."""

    found: Review | None = None
    kept: Record | None = None
    more: Mapping[str, Any] = MappingProxyType({})


_NOTHING = After()


def shelf_here() -> Shelf:
    """The change sets of the tree around the current directory."""
    return Shelf(houses.around(project.here(), settings.environment()))


@click.command("apply")
@click.argument("what", required=False, default="", metavar="[ID|FILE|-]")
@click.option("--all", "every", is_flag=True, help="Every change set that waits, in order.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", *FORMATS]),
    help="What the file is in  [what it looks like].",
)
@click.option("--dry-run", is_flag=True, help="Only show the diff.")
@click.option("-r", "reviewed", is_flag=True, help="Judge every hunk first.")
@click.option(
    "--review", "grain", type=click.Choice(["hunk", "file"]), help="The same, by hunk or by file."
)
@click.option("--decisions", default="", metavar="FILE|-", help="The judgements of a program, as JSON.")
@click.option("--again", default="", metavar="COMMAND", help="Who is asked again for what was sent back.")
@click.option("--grant", multiple=True, metavar="GLOB", help="Files that decide what runs, and may change.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; a question of safety is not answered by it.")
@_JSON
def apply_command(
    *,
    what: str,
    every: bool,
    form: str | None,
    dry_run: bool,
    reviewed: bool,
    grain: str | None,
    **more: Any,
) -> int:
    """Apply a pending change set, or the changes in a FILE (- is stdin): JSON, or an answer with edits.

    All files are changed or none. Names are relative to the top of the tree. codebot undo takes it back.
    """
    shelf = shelf_here()
    asked = Asked(
        grain or ("hunk" if reviewed else ""),
        more["decisions"],
        more["yes"],
        more["grant"],
        more["again"],
        more["as_json"],
    )
    _demand_sense(what, asked, dry_run=dry_run)
    records = _waiting(shelf, what, every=every)
    if records:
        return apply_records(shelf, records, asked, dry_run=dry_run)
    taken = answers.take(text_of(what), shelf.house, format_of(form), as_json=form == "json" or None)
    if taken.rejected:
        return refused(taken, as_json=asked.as_json)
    if dry_run:
        return previewed(taken.differences, _judged(taken), as_json=asked.as_json)
    return settle(shelf, None, taken, asked)


def _demand_sense(what: str, asked: Asked, *, dry_run: bool) -> None:
    judged = bool(asked.grain or asked.decisions)
    if what == "-" and asked.decisions == "-":
        raise UsageError("stdin cannot be both the changes and the decisions", "give one of them as a file")
    if dry_run and judged:
        raise UsageError(
            "--dry-run shows the changes, it judges none", "leave out -r, --review and --decisions"
        )
    if asked.again and not judged:
        raise UsageError("--again is asked for what a review sends back", "say -r or --decisions too")


def format_of(form: str | None) -> Any:
    """The format of edits that an option names; nothing for JSON, or when it is to be found out."""
    return None if form == "json" else form


def _waiting(shelf: Shelf, what: str, *, every: bool) -> list[Record]:
    """The records that are meant; none when it is a file."""
    if every or not what:
        if what:
            raise UsageError("name a change set, or say --all", "codebot pending list shows them")
        found = shelf.of_state("pending")
        if not found:
            raise NotFoundError("no change set waits", "codebot apply FILE applies the changes in a file")
        if len(found) > 1 and not every:
            names = " ".join(each.id for each in found)
            raise UsageError(f"{len(found)} change sets wait: {names}", "name one of them, or say --all")
        return found
    if what == "-" or Path(what).is_file():
        return []
    if Path(what).exists() or "/" in what or "." in what:
        raise NotFoundError(f"there is no file {safe_line(what, 120)!r}", "- reads from stdin")
    return [shelf.find(what)]


def text_of(what: str) -> str:
    """The text of a file, or of stdin.

    Raises:
        UsageError: it cannot be read, is too long, or is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read(change.LARGEST + 1) if what == "-" else _read(Path(what))
    except OSError as error:
        raise UsageError(f"{what} cannot be read: {error.strerror}") from error
    if len(data) > change.LARGEST:
        raise UsageError(
            f"the changes have more than {change.LARGEST // 1_000_000} MB", "ask for less at once"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8: byte {error.start}", "write it in UTF-8") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(change.LARGEST + 1)


def refused(taken: Taken, *, as_json: bool) -> int:
    """Say why edits have no place; nothing of the answer is applied."""
    count, all_of = len(taken.rejected), len(taken.outcomes)
    for each in taken.rejected:
        error = each.rejected
        where = f"{safe_line(each.edit.path, 120)} (line {each.edit.said} of the answer)"
        render.error(
            f"{where}: {error.message if error else ''}", error.fix if error else "", as_json=False
        )
    render.say(f"{count} of {all_of} edits have no place; nothing was changed")
    if as_json:
        message = f"{count} of {all_of} edits have no place"
        render.json(
            "rejected",
            {"error": {"message": message}, "format": taken.format, "edits": answers.placed(taken)},
        )
    return 4


def _judged(taken: Taken) -> dict[str, Any]:
    return {"format": taken.format, "edits": answers.placed(taken)}


def previewed(differences: Sequence[Difference], about: Mapping[str, Any], *, as_json: bool) -> int:
    """Show what would be changed; nothing is."""
    text = "".join(hunk.diff(each) for each in differences)
    if as_json:
        found = review.begin(differences)
        items = [reviewing.item(found, each) for each in found.hunks]
        body = {"dry_run": True, "files": _files(differences), "diff": utf8(text), "hunks": items}
        render.json("preview", {**about, **body})
    elif sys.stdout.isatty():
        for line in text.split("\n")[:-1]:
            render.out(render.patch_line(safe_text(line)))
    else:
        render.bytes_out(text.encode("utf-8", "surrogateescape"))
    return 0


def _files(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    return [_file(each) for each in differences]


def _file(each: Difference) -> dict[str, Any]:
    shown = hunk.is_text(each.old.data) and hunk.is_text(each.new.data)
    counted = [hunk.counted(one) for one in hunk.hunks(each)] if shown else []
    operation = "write"
    if each.new.data is None:
        operation = "delete"
    elif each.to:
        operation = "rename"
    elif each.new.data == each.old.data:
        operation = "mode"
    about = {"filepath": each.path, "operation": operation, **({"to": each.to} if each.to else {})}
    if not shown:
        return {**about, "added": None, "removed": None}
    return {**about, "added": sum(a for a, _ in counted), "removed": sum(r for _, r in counted)}


def apply_records(shelf: Shelf, records: list[Record], asked: Asked, *, dry_run: bool = False) -> int:
    """Apply change sets that wait, reviewed where that is asked for."""
    ready = pending.standings(shelf, records)
    for each in ready:
        pending.demand_fit(each)
    differences = [one for each in ready for one in each.differences]
    if dry_run:
        return previewed(differences, {}, as_json=asked.as_json)
    if asked.grain or asked.decisions:
        if len(records) > 1:
            raise UsageError("one change set is reviewed at a time", "name it: codebot apply ID -r")
        return settle(shelf, records[0], Taken(records[0].change_set, tuple(differences), "pending"), asked)
    _question(len({one.path for one in differences}), asked)
    approved = _granted_by_person(differences, asked)
    made = pending.apply(shelf, records, asked.grant, approved)
    _told(made, differences, asked, None)
    return 0


def waits(
    record: Record, differences: Sequence[Difference], asked: Asked, about: Mapping[str, Any]
) -> None:
    """Say that a change set waits, and how to go on."""
    if asked.as_json:
        text = "".join(hunk.diff(each) for each in differences)
        files = _files(differences)
        render.json("proposed", {"id": record.id, "diff": utf8(text), **about, "files": files})
        return
    _show_files(differences, asked)
    render.out(record.id)
    if needs := change.ungranted(differences, asked.grant):
        words = " ".join(f"--grant {safe_line(name, 80)!r}" for name in needs[:3])
        render.say(f"it changes what runs on this machine, so to apply it takes {words}")
    render.say(f"waits: codebot pending show {record.id}, codebot apply {record.id} (-r judges every hunk)")


def _question(files: int, asked: Asked) -> None:
    """Ask before files are changed, where there is a person to ask."""
    if not asked.yes and not asked.as_json and terminal.is_there():
        word = "file" if files == 1 else "files"
        if not terminal.confirmed(f"change {files} {word}?"):
            raise Declined


def _granted_by_person(differences: Sequence[Difference], asked: Asked) -> list[str]:
    """The files that decide what runs, which a person says may change; --yes never says so."""
    open_ones = change.ungranted(differences, asked.grant)
    if not open_ones or asked.as_json or asked.yes or not terminal.is_there():
        return []
    return [
        name
        for name in open_ones
        if terminal.confirmed(f"{safe_line(name, 120)} decides what runs on this machine. Change it?")
    ]


def settle(shelf: Shelf, record: Record | None, taken: Taken, asked: Asked) -> int:
    """Review if that is wanted; apply what is accepted, keep what was left open."""
    if not taken.differences:
        _told([], [], asked, taken)
        return 0
    if not (asked.grain or asked.decisions):
        _show_files(taken.differences, asked)
        _question(len(taken.differences), asked)
        approved = _granted_by_person(taken.differences, asked)
        change.demand_grants(taken.differences, asked.grant, approved)
        proposed = pending.propose(shelf, taken.change_set, taken.differences)
        _told(_applied(shelf, proposed, asked, approved), taken.differences, asked, taken)
        return 0
    found = _reviewed(taken, asked)
    return _after_review(shelf, record, taken, found, asked)


def _applied(shelf: Shelf, record: Record, asked: Asked, approved: Sequence[str]) -> list[Any]:
    """Apply a record that was made for it; when that fails it never was."""
    try:
        made = pending.apply(shelf, [record], asked.grant, approved)
    except (ConflictError, DeniedError):
        shelf.forget(record)
        raise
    pending.expire(shelf, settings.load(settings.environment()).trash_days)
    return made


def _reviewed(taken: Taken, asked: Asked) -> Review:
    found = review.begin(taken.differences, "file" if asked.grain == "file" else "hunk")
    if asked.decisions:
        return reviewing.by_program(found, text_of(asked.decisions))
    return reviewing.by_person(found, change.reasons(taken.change_set))


def _after_review(shelf: Shelf, record: Record | None, taken: Taken, found: Review, asked: Asked) -> int:
    decisions = [found.decisions[each.id] for each in found.hunks if each.id in found.decisions]
    if record is not None and not decisions:
        _told([], [], asked, taken, After(found))
        return 0
    accepted, left = review.accepted(found), review.left_open(found)
    approved = sorted(review.granted(found))
    change.demand_grants(accepted, asked.grant, approved)
    if record is not None:
        pending.demand_same(shelf, record)
    made: list[Any] = []
    if accepted:
        proposed = pending.propose(shelf, taken.change_set, accepted, decisions)
        made = _applied(shelf, proposed, asked, approved)
    if record is not None:
        note = " ".join(each.id for each, _ in made)
        shelf.keep(record.judged(decisions).happened("reviewed", "dropped", note=note))
    kept = pending.propose(shelf, taken.change_set, left) if left else None
    back = review.sent_back(found)
    if not (back and asked.again):
        _told(made, accepted, asked, taken, After(found, kept))
        return 0
    if not asked.as_json:
        _told(made, accepted, asked, taken, After(found, kept))
    return _again(
        shelf,
        back,
        asked,
        lambda more: _told(made, accepted, asked, taken, After(found, kept, more)),
    )


def _again(shelf: Shelf, back: Sequence[Any], asked: Asked, tell: Callable[[dict[str, Any]], None]) -> int:
    """Let the maker make again what was sent back; a person judges that in turn, or it waits."""
    try:
        text = (
            asked.again(back) if callable(asked.again) else makers.ask(asked.again, shelf.house.root, back)
        )
        taken = answers.take(text, shelf.house)
    except PruneJuiceError as error:
        if not asked.as_json:
            raise
        tell({"again": {"error": {"message": error.message, "fix": error.fix}}})
        return 1
    if taken.rejected:
        if not asked.as_json:
            return refused(taken, as_json=False)
        tell({"again": {"format": taken.format, "edits": answers.placed(taken)}})
        return 4
    if not asked.decisions and not asked.as_json:
        return settle(shelf, None, taken, asked._replace(again=""))
    kept = pending.propose(shelf, taken.change_set, taken.differences)
    if asked.as_json:
        tell({"again": {"pending": kept.id}})
    else:
        render.say(f"made again: {kept.id} waits (codebot pending show {kept.id})")
    return 0


def _show_files(differences: Sequence[Difference], asked: Asked) -> None:
    if not asked.as_json:
        for row in render.columns(_row(each) for each in differences):
            render.say(row)


def _row(each: Difference) -> tuple[str, ...]:
    about = _file(each)
    name = f"{each.path} → {each.to}" if each.to else each.path
    word = "" if about["operation"] == "write" and each.old.data is not None else about["operation"]
    word = "new" if each.old.data is None else word
    care = {"granted": "decides what runs", "shown": "may decide what runs"}.get(
        pathname.care(each.to or each.path), ""
    )
    return (
        *render.change_line(name, about["added"], about["removed"]),
        word,
        click.style(care, fg="red") if care else "",
    )


def _told(
    made: Sequence[tuple[Record, Any]],
    differences: Sequence[Difference],
    asked: Asked,
    taken: Taken | None,
    after: After = _NOTHING,
) -> None:
    found, kept, more = after
    back = review.sent_back(found) if found else []
    if asked.as_json:
        body: dict[str, Any] = {"ids": [each.id for each, _ in made], "files": _files(differences)}
        body |= {"format": taken.format, "edits": answers.placed(taken)} if taken else {}
        body |= {"pending": kept.id} if kept else {}
        body |= {"hunks": [reviewing.item(found, each) for each in found.hunks]} if found else {}
        body |= {"sent_back": [makers.sent(each, why) for each, why in back]} if back else {}
        render.json("applied", {**body, **more})
        return
    for each, _ in made:
        render.out(f"applied {each.id}: {counted(len(each.paths), 'file')} (codebot undo takes it back)")
    if not made:
        render.out("nothing was changed")
    if kept:
        render.out(f"left open: {kept.id} waits (codebot apply {kept.id} -r)")
    if back:
        render.out(f"sent back: {counted(len(back), 'hunk')}")


@click.command("undo")
@click.argument("what", required=False, default="", metavar="[ID]")
@_JSON
def undo_command(*, what: str, as_json: bool) -> None:
    """Take back the change set that was applied last, or the one named; what was changed since stays.

    Where the same lines were changed since it is a conflict, and nothing is changed.
    """
    shelf = shelf_here()
    record = (
        shelf.find(what) if what else _last(shelf, "applied", "nothing is applied that could be undone")
    )
    undone, paths = pending.undo(shelf, record)
    _moved(undone, paths, "undone", "redo", as_json=as_json)


@click.command("redo")
@click.argument("what", required=False, default="", metavar="[ID]")
@_JSON
def redo_command(*, what: str, as_json: bool) -> None:
    """Make again the change set that was taken back last, or the one named."""
    shelf = shelf_here()
    record = shelf.find(what) if what else _last(shelf, "undone", "nothing was undone")
    if record.state != "undone":
        raise UsageError(f"{record.id} is {record.state}, not undone", "codebot pending list --all")
    made = pending.apply(shelf, [record], approved=[*record.paths, *record.targets])
    _moved(made[0][0], [each.path for each in made[0][1].targets], "redone", "undo", as_json=as_json)


def _last(shelf: Shelf, state: State, nothing: str) -> Record:
    found = sorted(shelf.of_state(state), key=lambda each: each.history[-1].at)
    if not found:
        raise NotFoundError(nothing, "codebot pending list --all")
    return found[-1]


def _moved(record: Record, paths: Sequence[str], word: str, back: str, *, as_json: bool) -> None:
    if as_json:
        render.json(word, {"id": record.id, "state": record.state, "files": list(paths)})
        return
    for path in paths:
        render.say(f"  {safe_line(path, 200)}")
    render.out(
        f"{word} {record.id}: {counted(len(paths), 'file')} (codebot {back} {record.id} takes that back)"
    )
