"""How often an edit lands in the right place: single hunks of real commits, each malformed in 29 ways.

    python bench/edits.py REPOSITORY… [--hunks 1000] [--aider FOLDER]

Takes hunks from the history of git repositories (Python, TypeScript, Go), makes from each the search/replace
edit that a model would have to write, malforms it as models do, and lets the ladder, exact-and-unique
matching, and aider's `do_replace` (from the unpacked wheel of aider-chat) place it. Right is the file that
the hunk alone makes, byte for byte, or the same syntax tree (Python), or the same but for white space.
"""

import argparse
import ast
import difflib
import html
import json
import random
import re
import subprocess
import sys
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
warnings.simplefilter("ignore")

from prunejuice.edits import proposal, syntax  # noqa: E402
from prunejuice.edits.diff import Version  # noqa: E402
from prunejuice.edits.edit import Edit  # noqa: E402
from prunejuice.edits.overlay import Overlay  # noqa: E402

SUFFIXES = (".py", ".ts", ".go")


class Hunk(NamedTuple):
    path: str
    before: list[str]  # of the file, as lines
    start: int
    search: list[str]
    replace: list[str]

    @property
    def after(self):
        return self.before[: self.start] + self.replace + self.before[self.start + len(self.search) :]


class Case(NamedTuple):
    """`wanted` is the file that is right; None when only a refusal is.

    `anchors` and `line` are hints of the place; `whole` if `replace` is given as the whole file.
    """

    path: str
    file: str
    search: list[str]
    replace: list[str]
    wanted: str | None
    anchors: tuple[str, ...] = ()
    line: int = 0
    whole: bool = False


# -- hunks of real commits --------------------------------------------------------------------------


def git(repository, *words):
    done = subprocess.run(["git", "-C", repository, *words], capture_output=True, check=False)
    return done.stdout


def hunks(repository, wanted, rng):
    listed = git(
        repository,
        "log",
        "--no-merges",
        "--format=%H",
        "-n",
        "4000",
        "--diff-filter=M",
        "--",
        *(f"*{s}" for s in SUFFIXES),
    )
    commits = listed.decode().split()
    rng.shuffle(commits)
    found = 0
    for commit in commits:
        names = git(
            repository, "diff-tree", "--no-commit-id", "-r", "--name-only", "--diff-filter=M", commit
        )
        paths = [p for p in names.decode("utf-8", "replace").split("\n") if p.endswith(SUFFIXES)]
        if not paths:
            continue
        hunk = one_hunk(repository, commit, rng.choice(paths), rng)
        if hunk:
            yield hunk
            found += 1
        if found >= wanted:
            return


def one_hunk(repository, commit, path, rng):
    old, new = (git(repository, "show", f"{rev}:{path}") for rev in (f"{commit}^", commit))
    try:
        before, after = old.decode().split("\n"), new.decode().split("\n")
    except UnicodeDecodeError:
        return None
    if "\r" in old.decode() or not 10 < len(before) < 3000 or before.pop() or after.pop():
        return None
    groups = list(difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(3))
    if not groups:
        return None
    group = rng.choice(groups)
    start, end, begin, stop = group[0][1], group[-1][2], group[0][3], group[-1][4]
    hunk = Hunk(path, before, start, before[start:end], after[begin:stop])
    if not 3 <= len(hunk.search) <= 60 or len(hunk.replace) > 80 or count(before, hunk.search) != 1:
        return None
    if not all(parses(path, lines) for lines in (before, hunk.after)):
        return None
    return hunk


def parses(path, lines):
    return syntax.is_well_formed(path, joined(lines)) is not False


def count(lines, wanted):
    return sum(lines[at : at + len(wanted)] == wanted for at in range(len(lines)))


# -- the ways to malform an edit --------------------------------------------------------------------


def as_case(hunk, **more):
    whole = {"path": hunk.path, "file": joined(hunk.before), "search": hunk.search, "replace": hunk.replace}
    return Case(**{**whole, "wanted": joined(hunk.after), **more})


def joined(lines, end="\n"):
    return "".join(line + end for line in lines)


def pairs(hunk):
    """Which lines of search are context, and where each is in replace."""
    matcher = difflib.SequenceMatcher(None, hunk.search, hunk.replace, autojunk=False)
    return {a + n: b + n for a, b, size in matcher.get_matching_blocks() for n in range(size)}


def both(hunk, change):
    """The edit with a function of all its lines applied to both sides."""
    return as_case(hunk, search=[change(s) for s in hunk.search], replace=[change(s) for s in hunk.replace])


def exact(hunk, rng, others):
    return as_case(hunk)


def stray_space(hunk, rng, others):
    search, replace = list(hunk.search), list(hunk.replace)
    for at in rng.sample(range(len(search)), min(len(search), rng.randint(1, 3))):
        search[at] += rng.choice([" ", "  ", "\t"])
        if at in pairs(hunk) and rng.random() < 0.5:
            replace[pairs(hunk)[at]] = search[at]
    return as_case(hunk, search=search, replace=replace)


def margin(hunk):
    lines = [line for line in hunk.search + hunk.replace if line.strip()]
    leads = [re.match(r"[ \t]*", line)[0] for line in lines]
    shortest = min(leads, key=len)
    return shortest if all(lead.startswith(shortest) for lead in leads) else ""


def no_indent(hunk, rng, others):
    lead = margin(hunk)
    return both(hunk, lambda line: line.removeprefix(lead) if line.strip() else line) if lead else None


def less_indent(hunk, rng, others):
    lead = margin(hunk)
    half = lead[: len(lead) // 2]
    return both(hunk, lambda line: line.removeprefix(half) if line.strip() else line) if half else None


def unit(hunk):
    leads = [len(line) - len(line.lstrip(" ")) for line in hunk.before if line.startswith(" ")]
    return 2 if sum(lead % 4 == 2 for lead in leads) * 4 > len(leads) else 4


def tabs(hunk, rng, others):
    if any(line.startswith("\t") for line in hunk.search + hunk.replace) or not any(
        s.startswith("  ") for s in hunk.search
    ):
        return None
    size = unit(hunk)

    def tabbed(line):
        lead = len(line) - len(line.lstrip(" "))
        return "\t" * (lead // size) + " " * (lead % size) + line.lstrip(" ")

    return both(hunk, tabbed)


def leading_blank(hunk, rng, others):
    return as_case(hunk, search=["", *hunk.search], replace=["", *hunk.replace])


def typed_wrong(line, rng):
    words = list(re.finditer(r"[A-Za-z]{4,}", line))
    if not words:
        return None
    word = rng.choice(words)
    at = rng.randint(word.start() + 1, word.end() - 2)
    way = rng.choice(["swap", "drop", "double"])
    if way == "swap" and line[at] != line[at + 1]:
        return line[:at] + line[at + 1] + line[at] + line[at + 2 :]
    return line[:at] + (line[at] * 2 if way == "double" else "") + line[at + 1 :]


def context_of(hunk, rng):
    """A context line that can be typed wrong: its index in search and in replace, and how it is typed."""
    found = [(at, to, typed_wrong(hunk.search[at], rng)) for at, to in pairs(hunk).items()]
    found = [each for each in found if each[2] and each[2] != hunk.search[each[0]]]
    return rng.choice(found) if found else None


def context_typo(hunk, rng, others):
    if not (chosen := context_of(hunk, rng)):
        return None
    at, to, typed = chosen
    search, replace = list(hunk.search), list(hunk.replace)
    search[at], replace[to] = typed, typed
    return as_case(hunk, search=search, replace=replace)


def stale_context(hunk, rng, others):
    if not (chosen := context_of(hunk, rng)):
        return None
    at, to, typed = chosen
    file, wanted = list(hunk.before), list(hunk.after)
    file[hunk.start + at], wanted[hunk.start + to] = typed, typed
    if not (parses(hunk.path, file) and parses(hunk.path, wanted)):
        return None
    return as_case(hunk, file=joined(file), wanted=joined(wanted))


def elided(hunk, rng, others):
    before = hunk.before[max(0, hunk.start - 9) : hunk.start]
    if len(before) < 7 or not before[0].strip() or count(hunk.before, before[:2]) != 1:
        return None
    mark = rng.choice(["...", "    ...", "# ...", "// ..."])
    head = [*before[:2], mark]
    return as_case(hunk, search=head + hunk.search, replace=head + hunk.replace)


def numbered(hunk, rng, others):
    form = rng.choice(["{:>5} | {}", "{}: {}", "{:>6}\t{}", "{:4d}|{}"])

    def lines(texts):
        return [form.format(hunk.start + 1 + n, text) for n, text in enumerate(texts)]

    return as_case(hunk, search=lines(hunk.search), replace=lines(hunk.replace))


def escaped(hunk, rng, others):
    if not any('"' in line or "'" in line for line in hunk.search):
        return None
    mark = '"' if any('"' in line for line in hunk.search) else "'"
    return both(hunk, lambda line: line.replace(mark, "\\" + mark))


def entities(hunk, rng, others):
    if not any(re.search("[<>&]", line) for line in hunk.search):
        return None
    return both(hunk, lambda line: html.escape(line, quote=False))


def curled(line):
    return re.sub(r'"([^"]*)"', "“\\1”", line).replace("'", "’")


def curly_file(hunk, rng, others):
    """A text whose quotes are curly, edited in plain ones."""
    if not any(curled(line) != line for line in hunk.search):
        return None
    file = [curled(line) for line in hunk.before]
    wanted = (
        file[: hunk.start] + [curled(line) for line in hunk.replace] + file[hunk.start + len(hunk.search) :]
    )
    return as_case(hunk, path=hunk.path + ".txt", file=joined(file), wanted=joined(wanted))


def crlf(hunk, rng, others):
    return as_case(hunk, file=joined(hunk.before, "\r\n"), wanted=joined(hunk.after, "\r\n"))


def fenced(hunk, rng, others):
    return as_case(
        hunk, search=["```python", *hunk.search, "```"], replace=["```python", *hunk.replace, "```"]
    )


def ambiguous(hunk, rng, others):
    at = hunk.start + len(hunk.search)
    file = [*hunk.before[:at], *hunk.search, *hunk.before[at:]]
    return as_case(hunk, file=joined(file), wanted=None)


def from_elsewhere(hunk, rng, others):
    other = rng.choice(others)
    if other.path == hunk.path or count(hunk.before, other.search):
        return None
    return as_case(hunk, search=other.search, replace=other.replace, wanted=None)


def other_body(hunk, rng, others):
    other = rng.choice(others)
    body = [line for line in other.search if line.strip()][: len(hunk.search) - 2]
    if len(hunk.search) < 6 or len(body) < len(hunk.search) - 2 or other.path == hunk.path:
        return None
    return as_case(hunk, search=[hunk.search[0], *body, hunk.search[-1]], wanted=None)


def already(hunk, rng, others):
    after = joined(hunk.after)
    if count(hunk.after, hunk.replace) != 1 or not hunk.replace or count(hunk.after, hunk.search):
        return None
    return as_case(hunk, file=after, wanted=after)


def misremembered(hunk, rng, others):
    gone = [at for at in range(len(hunk.search)) if at not in pairs(hunk)]
    typed = [(at, typed_wrong(hunk.search[at], rng)) for at in gone]
    typed = [each for each in typed if each[1] and each[1] != hunk.search[each[0]]]
    if not typed:
        return None
    at, line = rng.choice(typed)
    search = [*hunk.search[:at], line, *hunk.search[at + 1 :]]
    return as_case(hunk, search=search)


DEFINITION = re.compile(
    r"\s*(?:export |async |public |default )*(?:def|class|func|function)\s+(?:\([^)]*\) )?(\w+)"
)


def renamed(hunk, name):
    """The edit with another name in the first definition line of its context, on both sides."""
    for at, to in pairs(hunk).items():
        found = DEFINITION.match(hunk.search[at])
        if found and count(hunk.before, [hunk.search[at]]) == 1:
            new = name(found[1])
            if any(re.search(rf"\b{re.escape(new)}\b", line) for line in hunk.before):
                return None
            line = hunk.search[at][: found.start(1)] + new + hunk.search[at][found.end(1) :]
            search = [*hunk.search[:at], line, *hunk.search[at + 1 :]]
            replace = [*hunk.replace[:to], line, *hunk.replace[to + 1 :]]
            return as_case(hunk, search=search, replace=replace, wanted=None)
    return None


def sibling_named(hunk, rng, others):
    return renamed(hunk, lambda name: name + rng.choice(["_all", "2", "_many", "Async", "_old"]))


def other_name(hunk, rng, others):
    return renamed(hunk, lambda _: rng.choice(["render", "settle", "Harvest", "collect_rows", "flush"]))


def later_definition(hunk, rng):
    """A definition below the hunk, at the margin, that no other line equals."""
    below = hunk.before[hunk.start + len(hunk.search) :]
    found = [line for line in below if DEFINITION.match(line) and not line[0].isspace()]
    found = [line for line in found if count(hunk.before, [line]) == 1]
    return rng.choice(found) if found else None


def other_anchor(hunk, rng, others):
    line = later_definition(hunk, rng)
    return as_case(hunk, anchors=(line,), wanted=None) if line else None


def anchor_nowhere(hunk, rng, others):
    line = {
        ".py": "def gone_from_here(rows):",
        ".ts": "function goneFromHere(rows) {",
        ".go": "func GoneFromHere() {",
    }
    return as_case(hunk, anchors=(line[Path(hunk.path).suffix],), wanted=None)


def other_section(hunk, rng, others):
    line = later_definition(hunk, rng)
    return (
        as_case(hunk, anchors=(line,), line=hunk.start + 1 + rng.randint(-3, 3), wanted=None)
        if line
        else None
    )


def part_as_whole(hunk, rng, others):
    definitions = [line for line in hunk.before if DEFINITION.match(line)]
    kept = [line for line in hunk.replace if line in definitions]
    if len(definitions) - len(kept) < 2 or not parses(hunk.path, hunk.replace):
        return None
    return as_case(hunk, whole=True, wanted=None)


def search_numbered(hunk, rng, others):
    case = numbered(hunk, rng, others)
    return case._replace(replace=hunk.replace)


def numbered_but_new(hunk, rng, others):
    """Both sides have the numbers of the file; a new line has none."""
    case = numbered(hunk, rng, others)
    replace = list(hunk.replace)
    for at, to in pairs(hunk).items():
        replace[to] = case.search[at]
    return case._replace(replace=replace)


def search_unindented(hunk, rng, others):
    lead = margin(hunk)
    if not lead:
        return None
    search = [line.removeprefix(lead) if line.strip() else line for line in hunk.search]
    return as_case(hunk, search=search)


RECOVERABLE = (
    exact, stray_space, no_indent, less_indent, tabs, leading_blank, context_typo, stale_context, elided, numbered,
    escaped, entities, curly_file, crlf, fenced,
)  # fmt: skip
TRAPS = (
    ambiguous, from_elsewhere, other_body, already, misremembered, sibling_named, other_name, other_anchor,
    anchor_nowhere, other_section, part_as_whole, search_numbered, numbered_but_new, search_unindented,
)  # fmt: skip


# -- those who place them ---------------------------------------------------------------------------


def ladder(case):
    operation, search = ("write", ()) if case.whole else ("replace", tuple(case.search))
    edit = Edit(operation, case.path, search, tuple(case.replace), anchors=case.anchors, line=case.line)
    overlay = Overlay(lambda _: Version(case.file.encode()))
    if proposal.apply_edits([edit], overlay).rejected_edits:
        return None
    return overlay.get(case.path).data.decode()


def exact_unique(case):
    end = "\r\n" if "\r\n" in case.file else "\n"
    lines = case.file.split(end)
    at = [n for n in range(len(lines)) if lines[n : n + len(case.search)] == case.search]
    return (
        end.join(lines[: at[0]] + case.replace + lines[at[0] + len(case.search) :])
        if len(at) == 1
        else None
    )


def of_aider(folder):
    """aider's functions, without the rest of aider, which would have to be installed to be imported."""
    source = next(Path(folder).rglob("editblock_coder.py")).read_text()
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.Assign)]
    space = {"re": re, "Path": Path, "SequenceMatcher": difflib.SequenceMatcher, "math": __import__("math")}
    space |= {"difflib": difflib, "sys": sys}
    exec(compile(ast.Module(functions, []), "aider", "exec"), space)
    replaced = space["replace_most_similar_chunk"]

    def place(case):
        search, replace = ("".join(line + "\n" for line in lines) for lines in (case.search, case.replace))
        search, replace = (
            space["strip_quoted_wrapping"](text, case.path, ("```", "```")) for text in (search, replace)
        )
        crlf_file = "\r\n" in case.file  # it reads and writes in text mode
        made = replaced(case.file.replace("\r\n", "\n"), search, replace)
        return made.replace("\n", "\r\n") if made and crlf_file else made

    return place


def judged(case, made):
    if made is None or (made == case.file and case.wanted != case.file):
        return "rejected"
    return "right" if case.wanted is not None and same(case, made) else "wrong"


def same(case, made):
    if made == case.wanted:
        return True
    if case.path.endswith(".py"):
        try:
            return ast.dump(ast.parse(made)) == ast.dump(ast.parse(case.wanted))
        except (SyntaxError, ValueError):
            return False
    if case.path.endswith(".txt"):  # a line that is new may have plain quotes
        old = set(case.file.split("\n"))
        return len(made.split("\n")) == len(case.wanted.split("\n")) and all(
            mine == theirs or (mine not in old and curled(mine) == theirs)
            for mine, theirs in zip(made.split("\n"), case.wanted.split("\n"), strict=True)
        )
    return made.split() == case.wanted.split()


def measure(found, placers, rng):
    results = {name: defaultdict(Counter) for name in placers}
    times = defaultdict(list)
    examples = []
    for hunk in found:
        for kind in RECOVERABLE + TRAPS:
            case = kind(hunk, rng, found)
            if case is None:
                continue
            for name, place in placers.items():
                if name != "ladder" and (case.anchors or case.whole):
                    continue  # it has no such hints
                begun = time.perf_counter()
                made = place(case)
                times[name].append(time.perf_counter() - begun)
                verdict = judged(case, made)
                results[name][kind.__name__][verdict] += 1
                if name == "ladder" and (
                    verdict == "wrong" or (verdict == "rejected" and kind in RECOVERABLE)
                ):
                    examples.append({
                        "kind": kind.__name__,
                        "verdict": verdict,
                        **case._asdict(),
                        "made": made,
                    })
    return results, times, examples


def share(counted, verdict):
    return 100 * counted[verdict] / max(1, sum(counted.values()))


def table(results, times):
    names = list(results)
    lines = ["| kind (n) | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for kind in RECOVERABLE + TRAPS:
        row = [results[name][kind.__name__] for name in names]
        cells = [f"{share(each, 'right'):.1f} / {share(each, 'wrong'):.1f}" for each in row]
        lines.append(
            f"| {kind.__name__.replace('_', ' ')} ({sum(row[0].values())}) | " + " | ".join(cells) + " |"
        )
    for title, kinds in (
        ("mean over the recoverable kinds", RECOVERABLE[1:]),
        ("mean over the traps", TRAPS),
    ):
        cells = []
        for name in names:
            right, wrong = (
                sum(share(results[name][kind.__name__], verdict) for kind in kinds) / len(kinds)
                for verdict in ("right", "wrong")
            )
            cells.append(f"**{right:.1f} / {wrong:.2f}**")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    cells = []
    for name in names:
        ordered = sorted(times[name])
        cells.append(
            f"{1000 * ordered[len(ordered) // 2]:.1f}, {1000 * ordered[int(len(ordered) * 0.99)]:.0f}"
        )
    lines.append("| ms an edit: median, 99th of 100 | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repositories", nargs="+")
    parser.add_argument("--hunks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--aider", help="folder of the unpacked wheel of aider-chat")
    parser.add_argument(
        "--examples", help="file for every edit that the ladder did not place rightly, as JSON lines"
    )
    parser.add_argument("--write", action="store_true", help="write bench/EDITS.md")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    each = -(-given.hunks // len(given.repositories))
    found = [hunk for repository in given.repositories for hunk in hunks(repository, each, rng)]
    placers = {"ladder": ladder, "exact and unique": exact_unique}
    if given.aider:
        placers["aider"] = of_aider(given.aider)
    results, times, examples = measure(found, placers, rng)
    suffixes = Counter(Path(hunk.path).suffix for hunk in found)
    cases = sum(sum(counted.values()) for counted in results["ladder"].values())
    kinds = ", ".join(f"{n} {suffix}" for suffix, n in suffixes.items())
    names = ", ".join(
        Path(each).resolve().parent.name if Path(each).name == "repo" else Path(each).name
        for each in given.repositories
    )
    head = f"{len(found)} hunks ({kinds}) from {names.replace('+', '/')}; {cases} edits; % right / % silently wrong"
    text = f"{head}\n\n{table(results, times)}\n"
    print(text)
    if given.write:
        command = f"`python bench/edits.py REPOSITORY… --hunks {given.hunks} --seed {given.seed}`"
        Path(__file__).with_name("EDITS.md").write_text(f"# Edits\n\n{command}\n\n{text}")
    if given.examples:
        Path(given.examples).write_text("\n".join(map(json.dumps, examples)))


if __name__ == "__main__":
    main()
