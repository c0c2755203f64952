"""What a survey says besides components: sizes, directions, packages, conventions, beginnings."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prunejuice import imports
from prunejuice.outline import Outline
from prunejuice.relations import TEST, Relations, Told
from prunejuice.summary import CodePattern

_DEPENDENCIES = 14
_NAMED = {
    "yaml": "pyyaml", "PIL": "pillow", "cv2": "opencv-python", "sklearn": "scikit-learn", "jwt": "pyjwt",
    "bs4": "beautifulsoup4", "dotenv": "python-dotenv", "dateutil": "python-dateutil", "attr": "attrs",
    "git": "gitpython", "Crypto": "pycryptodome", "magic": "python-magic", "serial": "pyserial",
    "zmq": "pyzmq", "google": "protobuf", "pkg_resources": "setuptools", "OpenSSL": "pyopenssl",
}  # fmt: skip
"""Packages that are imported by another name than they are installed by."""
_LANGUAGES = {
    "c_sharp": "C#", "cpp": "C++", "javascript": "JavaScript", "typescript": "TypeScript", "tsx": "TSX",
    "php": "PHP",
}  # fmt: skip
_BELOW = ("src", "lib", "packages", "crates", "pkg", "cmd")
_MINOR = re.compile(r"npm run|main:|module:")


def listed(names: Sequence[str], most: int = 5) -> str:
    """Some names, and how many more there are."""
    shown = list(dict.fromkeys(names))
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def ended(text: str, more: str = "") -> str:
    """A sentence with its full stop, and another one behind it; nothing without the first."""
    if not text:
        return ""
    full = text if text.endswith((".", "!", "?", "…", ":")) else f"{text}."
    return f"{full} {more}".strip()


def files(number: int) -> str:
    """So many files."""
    return f"{number} files" if number != 1 else "1 file"


def overview(told: Told, known: Relations) -> str:
    """What it is for, how large it is, what leans on what."""
    named = next((each for each in told.manifests.values() if each.purpose), None)
    purpose = told.introduction or (f"{named.name}: {named.purpose}" if named else "")
    paragraphs = [ended(purpose)] if purpose else []
    if len(known.code) == 1:
        [(path, each)] = known.code.items()
        names = [member.name for member in each.members if member.public and "." not in member.name]
        defined = f"Defines {listed(names)}" if names else f"{path} defines nothing"
        paragraphs.append(ended(each.doc or defined))
    if known.code:
        paragraphs.append(" ".join(filter(None, (_sizes(known), _leaned(known), _directions(known)))))
    elif told.files:
        paragraphs.append(
            ended(f"No source code in {files(len(told.files))}: {listed(sorted(told.files))}")
        )
    return "\n\n".join(paragraphs)


def _sizes(known: Relations) -> str:
    languages = Counter(each.language for each in known.code.values())
    sizes: Counter[str] = Counter()
    for path, each in known.code.items():
        sizes[_top(path)] += each.size
    shown = [f"{n} {_LANGUAGES.get(name, name.capitalize())}" for name, n in languages.most_common(4)]
    lines = sum(each.size for each in known.code.values())
    tests = f", {len(known.tests)} of them tests and examples" if known.tests else ""
    where = [f"`{name}/`" for name, _ in sizes.most_common(4) if name]
    placed = f" Most of it is in {listed(where)}." if where and len(known.code) > 1 else ""
    return (
        f"{listed(shown)} {'files' if len(known.code) > 1 else 'file'} of {lines:,} lines{tests}.{placed}"
    )


def _top(path: str) -> str:
    """The folder that a file counts for: the first below `src` and its like."""
    folders = path.split("/")[:-1]
    return "/".join(
        folders[: 2 if folders[:1] in (["src"], ["lib"], ["packages"], ["crates"], ["pkg"], ["cmd"]) else 1]
    )


def _leaned(known: Relations) -> str:
    most = [(path, n) for path, n in known.used.most_common(4) if n > 2 and path not in known.tests]
    return (
        f"What others lean on most: {listed([f'`{path}` ({n} files)' for path, n in most])}."
        if most
        else ""
    )


def _directions(known: Relations) -> str:
    """Which folders import others and are imported by none, and the other way round."""
    out: dict[str, set[str]] = {}
    into: dict[str, set[str]] = {}
    for path, files in known.uses.items():
        for file in files:
            one, other = posixpath.dirname(path), posixpath.dirname(file)
            if one != other and path not in known.tests and one and other:
                out.setdefault(one, set()).add(other)
                into.setdefault(other, set()).add(one)
    above = sorted(out.keys() - into.keys(), key=lambda name: (-len(out[name]), name))
    below = sorted(into.keys() - out.keys(), key=lambda name: (-len(into[name]), name))
    said = []
    if above and len(out) > 1:
        said.append(f"Imported by no other folder: {listed([f'`{name}/`' for name in above], 3)}.")
    if below and len(into) > 1:
        said.append(f"Importing no other folder: {listed([f'`{name}/`' for name in below], 3)}.")
    return " ".join(said)


def dependencies(told: Told, known: Relations) -> Iterable[str]:
    """Packages of others, those used most first; what is declared and never imported comes last."""
    declared: dict[str, str] = {}
    for each in told.manifests.values():
        declared |= {name: version for name, version in each.dependencies.items() if name not in declared}
    plain = {_plain(name): name for name in declared}
    seen: set[str] = set()
    few: list[str] = []
    found: dict[str, set[str]] = {}
    for link, paths in known.packages.items():
        found.setdefault(_declared(link, plain) or imports.short(link), set()).update(paths)
    for name, paths in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        full = name if name in declared else ""
        own = paths - known.tests
        if (full or name) in seen or (not own and not full) or (not full and _sibling(name, told)):
            continue
        seen.add(full or name)
        if len(own) < 2 or len(seen) - len(few) > _DEPENDENCIES:
            few.append(full or name)
        else:
            version = f" {declared[full]}" if full and declared[full] else ""
            yield f"{full or name}{version}: used in {len(own)} files"
    if few:
        yield f"used in a file or two: {listed(few, _DEPENDENCIES)}"
    if rest := sorted(declared.keys() - seen):
        yield f"declared, not imported by name: {listed(rest, _DEPENDENCIES)}"


def _declared(name: str, plain: Mapping[str, str]) -> str:
    """The declared package that an import names: `yaml` is pyyaml, `tree_sitter_go` is tree-sitter-go."""
    for each in (_NAMED.get(name, name), name):
        if found := plain.get(_plain(each)):
            return found
    within = [full for full in plain.values() if "/" in full and f"{name}/".startswith(f"{full}/")]
    return max(within, key=len, default="")


def _sibling(name: str, told: Told) -> bool:
    """Whether an import names a folder of the tree itself, which is put on the path in some other way."""
    return any(f"/{name}/" in f"/{path}" or path.endswith(f"/{name}.py") for path in told.files)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(told: Told) -> Iterable[str]:
    """Where execution begins: what a manifest names first, then what files say of themselves."""
    for path, each in sorted(told.manifests.items(), key=lambda item: (item[0].count("/"), item[0])):
        if "/" not in path:
            yield from each.entries
        elif not TEST.search(path):
            yield from (f"{entry} ({path})" for entry in each.entries if not _MINOR.match(entry))
    found = [f"{path}: {how}" for path, each in sorted(told.files.items()) if (how := _begins(path, each))]
    yield from sorted((row for row in found if not TEST.search(row)), key=lambda row: "#!" in row)


def _begins(path: str, each: Outline) -> str:
    return "python -m" if path.endswith("__main__.py") else each.entry


def patterns(known: Relations) -> Iterable[CodePattern]:
    """Conventions that show in the shape of the code: bases, decorators, tests, comments."""
    own = [
        member for path, each in known.code.items() if path not in known.tests for member in each.members
    ]
    for base, names in _often((base, member.name) for member in own for base in member.bases)[:4]:
        if len(names) > 2:
            homes = known.homes.get(base, ())
            where = f", defined in {homes[0]}" if len(homes) == 1 else ""
            said = f"{len(names)} classes derive from {base}{where}."
            yield _pattern(f"{base} subclasses", said, names)
    for mark, names in _often((mark, member.name) for member in own for mark in member.marks)[:3]:
        if len(names) > 4:
            yield _pattern(f"@{mark}", f"Marks {len(names)} definitions.", names)
    if len(known.tests) > 1:
        folders = Counter(_top(path) or "." for path in known.tests).most_common(2)
        where = listed([f"{name}/" for name, _ in folders])
        yield _pattern("Tests", f"{files(len(known.tests))} of tests, most in {where}.", known.tests)
    public = [member for member in own if member.public and not _last(member.name).startswith("_")]
    if len(public) > 9:
        share = 100 * sum(bool(member.doc) for member in public) // len(public)
        said = f"{share} % of {len(public)} public definitions say in a comment what they are for."
        yield _pattern("Documentation", said)


def _often(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """What comes with the most names, and those names."""
    found: dict[str, list[str]] = {}
    for word, name in pairs:
        found.setdefault(word, []).append(name)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def _pattern(title: str, said: str, names: Iterable[str] = ()) -> CodePattern:
    return CodePattern(pattern=title, description=said, examples=tuple(sorted(set(names))[:3]))


def _last(name: str) -> str:
    return name.rpartition(".")[2]
