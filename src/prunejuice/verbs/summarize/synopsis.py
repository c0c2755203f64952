"""The parts of a survey besides components: overview, dependencies, patterns and entry points."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prunejuice.code import imports
from prunejuice.code.outline import Outline
from prunejuice.code.relations import Relations, SurveyInput
from prunejuice.code.testpaths import is_test_or_support_path
from prunejuice.verbs.summarize.summary import CodePattern

_DEPENDENCIES = 14
_PACKAGE_BY_IMPORT = {
    "yaml": "pyyaml", "PIL": "pillow", "cv2": "opencv-python", "sklearn": "scikit-learn", "jwt": "pyjwt",
    "bs4": "beautifulsoup4", "dotenv": "python-dotenv", "dateutil": "python-dateutil", "attr": "attrs",
    "git": "gitpython", "Crypto": "pycryptodome", "magic": "python-magic", "serial": "pyserial",
    "zmq": "pyzmq", "google": "protobuf", "pkg_resources": "setuptools", "OpenSSL": "pyopenssl",
}  # fmt: skip
"""The package names of modules that are imported by another name."""
_LANGUAGE_NAMES = {
    "c_sharp": "C#", "cpp": "C++", "javascript": "JavaScript", "typescript": "TypeScript", "tsx": "TSX",
    "php": "PHP",
}  # fmt: skip
_SOURCE_FOLDERS = ("src", "lib", "packages", "crates", "pkg", "cmd")
_MINOR_ENTRY = re.compile(r"npm run|main:|module:")


def format_names(names: Sequence[str], limit: int = 5) -> str:
    """Join the first names, and count the rest."""
    unique = list(dict.fromkeys(names))
    rest = f" and {len(unique) - limit} more" if len(unique) > limit else ""
    return ", ".join(unique[:limit]) + rest


def end_sentence(text: str, next_sentence: str = "") -> str:
    """End a text with a full stop and append another sentence; return "" for an empty text."""
    if not text:
        return ""
    sentence = text if text.endswith((".", "!", "?", "…", ":")) else f"{text}."
    return f"{sentence} {next_sentence}".strip()


def format_file_count(number: int) -> str:
    """Return a number with "file" or "files"."""
    return f"{number} files" if number != 1 else "1 file"


def overview_text(facts: SurveyInput, relations: Relations) -> str:
    """Return the purpose, size and main import directions of the code."""
    described = next((outline for outline in facts.manifests.values() if outline.purpose), None)
    purpose = facts.introduction or (f"{described.name}: {described.purpose}" if described else "")
    paragraphs = [end_sentence(purpose)] if purpose else []
    if len(relations.code) == 1:
        [(path, outline)] = relations.code.items()
        names = [member.name for member in outline.members if member.public and "." not in member.name]
        definitions = f"Defines {format_names(names)}" if names else f"{path} defines nothing"
        paragraphs.append(end_sentence(outline.doc or definitions))
    if relations.code:
        paragraphs.append(
            " ".join(
                filter(
                    None,
                    (
                        _size_sentence(relations),
                        _most_imported_sentence(relations),
                        _import_direction_sentences(relations),
                    ),
                )
            )
        )
    elif facts.files:
        count, shown = format_file_count(len(facts.files)), format_names(sorted(facts.files))
        paragraphs.append(end_sentence(f"No source code in {count}: {shown}"))
    return "\n\n".join(paragraphs)


def _size_sentence(relations: Relations) -> str:
    languages = Counter(outline.language for outline in relations.code.values())
    sizes: Counter[str] = Counter()
    for path, outline in relations.code.items():
        sizes[_top_folder(path)] += outline.size
    counts = [f"{n} {_LANGUAGE_NAMES.get(name, name.capitalize())}" for name, n in languages.most_common(4)]
    lines = sum(outline.size for outline in relations.code.values())
    tests = f", {len(relations.tests)} of them tests and examples" if relations.tests else ""
    folders = [f"`{name}/`" for name, _ in sizes.most_common(4) if name]
    location = f" Most of it is in {format_names(folders)}." if folders and len(relations.code) > 1 else ""
    noun = "files" if len(relations.code) > 1 else "file"
    return f"{format_names(counts)} {noun} of {lines:,} lines{tests}.{location}"


def _top_folder(path: str) -> str:
    """Return the top folder of a file; below `src` and the like, the folder inside."""
    folders = path.split("/")[:-1]
    return "/".join(
        folders[: 2 if folders[:1] in (["src"], ["lib"], ["packages"], ["crates"], ["pkg"], ["cmd"]) else 1]
    )


def _most_imported_sentence(relations: Relations) -> str:
    top = [(path, n) for path, n in relations.used.most_common(4) if n > 2 and path not in relations.tests]
    return f"Most imported: {format_names([f'`{path}` ({n} files)' for path, n in top])}." if top else ""


def _import_direction_sentences(relations: Relations) -> str:
    """Return which folders no other folder imports, and which import no other folder."""
    imports_by_folder: dict[str, set[str]] = {}
    importers_by_folder: dict[str, set[str]] = {}
    for path, files in relations.uses.items():
        for file in files:
            importer, imported = posixpath.dirname(path), posixpath.dirname(file)
            if importer != imported and path not in relations.tests and importer and imported:
                imports_by_folder.setdefault(importer, set()).add(imported)
                importers_by_folder.setdefault(imported, set()).add(importer)
    top = sorted(
        imports_by_folder.keys() - importers_by_folder.keys(),
        key=lambda name: (-len(imports_by_folder[name]), name),
    )
    bottom = sorted(
        importers_by_folder.keys() - imports_by_folder.keys(),
        key=lambda name: (-len(importers_by_folder[name]), name),
    )
    sentences = []
    if top and len(imports_by_folder) > 1:
        sentences.append(f"Imported by no other folder: {format_names([f'`{name}/`' for name in top], 3)}.")
    if bottom and len(importers_by_folder) > 1:
        sentences.append(
            f"Importing no other folder: {format_names([f'`{name}/`' for name in bottom], 3)}."
        )
    return " ".join(sentences)


def dependency_lines(facts: SurveyInput, relations: Relations) -> Iterable[str]:
    """Yield third-party packages, most used first; declared but never imported ones come last."""
    declared: dict[str, str] = {}
    for manifest in facts.manifests.values():
        declared |= {
            name: version for name, version in manifest.dependencies.items() if name not in declared
        }
    normalized = {_normalize_package_name(name): name for name in declared}
    seen: set[str] = set()
    rarely_used: list[str] = []
    paths_by_package: dict[str, set[str]] = {}
    for link, paths in relations.packages.items():
        paths_by_package.setdefault(
            _declared_package(link, normalized) or imports.short_package_name(link), set()
        ).update(paths)
    for name, paths in sorted(paths_by_package.items(), key=lambda item: (-len(item[1]), item[0])):
        declared_name = name if name in declared else ""
        users = paths - relations.tests
        if (
            (declared_name or name) in seen
            or (not users and not declared_name)
            or (not declared_name and _is_folder_of_tree(name, facts))
        ):
            continue
        seen.add(declared_name or name)
        if len(users) < 2 or len(seen) - len(rarely_used) > _DEPENDENCIES:
            rarely_used.append(declared_name or name)
        else:
            version = f" {declared[declared_name]}" if declared_name and declared[declared_name] else ""
            yield f"{declared_name or name}{version}: used in {len(users)} files"
    if rarely_used:
        yield f"used in one or two files: {format_names(rarely_used, _DEPENDENCIES)}"
    if rest := sorted(declared.keys() - seen):
        yield f"declared but not imported by name: {format_names(rest, _DEPENDENCIES)}"


def _declared_package(name: str, normalized: Mapping[str, str]) -> str:
    """Return the declared package of an import: `yaml` is pyyaml, `tree_sitter_go` tree-sitter-go."""
    for candidate in (_PACKAGE_BY_IMPORT.get(name, name), name):
        if package := normalized.get(_normalize_package_name(candidate)):
            return package
    parents = [
        package_name
        for package_name in normalized.values()
        if "/" in package_name and f"{name}/".startswith(f"{package_name}/")
    ]
    return max(parents, key=len, default="")


def _is_folder_of_tree(name: str, facts: SurveyInput) -> bool:
    """Return whether an import names a module of the tree itself."""
    return any(f"/{name}/" in f"/{path}" or path.endswith(f"/{name}.py") for path in facts.files)


def _normalize_package_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entry_points(facts: SurveyInput) -> Iterable[str]:
    """Yield entry points: those in manifests first, then those in files."""
    for path, described in sorted(facts.manifests.items(), key=lambda item: (item[0].count("/"), item[0])):
        if "/" not in path:
            yield from described.entries
        elif not is_test_or_support_path(path):
            yield from (f"{entry} ({path})" for entry in described.entries if not _MINOR_ENTRY.match(entry))
    lines = [
        f"{path}: {kind}"
        for path, described in sorted(facts.files.items())
        if (kind := _entry_kind(path, described))
    ]
    yield from sorted(
        (row for row in lines if not is_test_or_support_path(row)), key=lambda row: "#!" in row
    )


def _entry_kind(path: str, outline: Outline) -> str:
    return "python -m" if path.endswith("__main__.py") else outline.entry


def code_patterns(relations: Relations) -> Iterable[CodePattern]:
    """Yield conventions found in the code: base classes, decorators, tests, comments."""
    members = [
        member
        for path, outline in relations.code.items()
        if path not in relations.tests
        for member in outline.members
    ]
    for base, names in _group_by_frequency(
        (base, member.name) for member in members for base in member.bases
    )[:4]:
        if len(names) > 2:
            defining_files = relations.files_by_name.get(base, ())
            folder_names = f", defined in {defining_files[0]}" if len(defining_files) == 1 else ""
            description = f"{len(names)} classes derive from {base}{folder_names}."
            yield _make_pattern(f"{base} subclasses", description, names)
    for decorator, names in _group_by_frequency(
        (decorator, member.name) for member in members for decorator in member.decorators
    )[:3]:
        if len(names) > 4:
            yield _make_pattern(f"@{decorator}", f"Marks {len(names)} definitions.", names)
    if len(relations.tests) > 1:
        folders = Counter(_top_folder(path) or "." for path in relations.tests).most_common(2)
        folder_names = format_names([f"{name}/" for name, _ in folders])
        yield _make_pattern(
            "Tests",
            f"{format_file_count(len(relations.tests))} of tests, most in {folder_names}.",
            relations.tests,
        )
    public = [
        member for member in members if member.public and not _last_name_part(member.name).startswith("_")
    ]
    if len(public) > 9:
        share = 100 * sum(bool(member.doc) for member in public) // len(public)
        description = f"{share} % of {len(public)} public definitions are documented."
        yield _make_pattern("Documentation", description)


def _group_by_frequency(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Group names by word, most frequent first."""
    groups: dict[str, list[str]] = {}
    for word, name in pairs:
        groups.setdefault(word, []).append(name)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def _make_pattern(title: str, description: str, names: Iterable[str] = ()) -> CodePattern:
    return CodePattern(pattern=title, description=description, examples=tuple(sorted(set(names))[:3]))


def _last_name_part(name: str) -> str:
    return name.rpartition(".")[2]
