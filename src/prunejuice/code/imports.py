"""Resolution of imports to files of a tree or to external packages."""

import posixpath
import re
import sys
from collections.abc import Callable, Iterable, Mapping

_NODE_BUILTINS = frozenset((
    "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto",
    "dgram", "dns", "domain", "events", "fs", "http", "http2", "https", "inspector", "module", "net", "os",
    "path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl", "stream",
    "string_decoder", "sys", "timers", "tls", "tty", "url", "util", "v8", "vm", "worker_threads", "zlib",
))  # fmt: skip
_SCRIPT_SUFFIXES = (
    ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".vue", ".d.ts", "/index.ts", "/index.tsx",
    "/index.js", "/index.mjs",
)  # fmt: skip
_RUST_BUILTINS = {"crate", "self", "super", "std", "core", "alloc", "proc_macro"}
_C_SYSTEM_FOLDERS = {"sys", "linux", "arpa", "netinet", "net", "bits", "asm", "machine", "mach", ".", ".."}
_DOTTED_LANGUAGES: Mapping[str, frozenset[str]] = {
    "java": frozenset(("java", "javax", "jdk", "sun")),
    "c_sharp": frozenset(("System", "Microsoft")),
    "php": frozenset(),
}
"""Languages whose packages have dotted names, and the packages of their standard library."""
_SCRIPT_LANGUAGES = {"javascript", "typescript", "tsx"}


class ImportResolver:
    """An index of the files of a tree by import name."""

    def __init__(self, languages: Mapping[str, str], module: str = "") -> None:
        """Index the files.

        `languages` maps paths to languages; `module` is the Go import path of the root, or empty.
        """
        self.languages, self.module = languages, module
        self._python: dict[str, str] = {}
        for path in sorted(languages, key=lambda path: (path.count("/"), path)):
            if languages[path] == "python":
                self._python.setdefault(_python_module_name(path, languages), path)
        self._ends: dict[str, list[str]] = {}
        self._folders: dict[str, list[str]] = {}
        for path, language in languages.items():
            if language == "go" and not path.endswith("_test.go"):
                self._folders.setdefault(posixpath.dirname(path), []).append(path)
            self._ends.setdefault(_file_stem(path), []).append(path)

    def resolve(self, importer: str, link: str) -> str:
        """Return the file that an import refers to; empty if it is not in the tree."""
        language = self.languages[importer]
        if language == "python":
            return self._resolve_python(importer, link)
        if language in _SCRIPT_LANGUAGES:
            return self._resolve_script(importer, link)
        if language == "go":
            return self._resolve_go(link)
        if language == "rust" and link.split("::")[0] not in {"crate", "self", "super"}:
            return ""
        return self._resolve_by_suffix(
            importer, re.split(r"::|[./\\]", link.removesuffix(".h").removesuffix(".hpp"))
        )

    def _resolve_python(self, importer: str, link: str) -> str:
        dots = len(link) - len(link.lstrip("."))
        own_folder = importer.split("/")[: -max(dots, 1)]
        pieces = [piece for piece in link[dots:].split(".") if piece]
        for end in range(len(pieces), -1 if dots else 0, -1):
            module_file = "" if dots else self._python.get(".".join(pieces[:end]), "")
            roots = [own_folder] if dots else [own_folder, [], ["src"]]
            bases = ["/".join([*root, *pieces[:end]]) for root in roots]
            for path in (
                module_file,
                *(f"{base}{suffix}" for base in bases for suffix in (".py", "/__init__.py")),
            ):
                if path in self.languages:
                    return path
        return ""

    def _resolve_script(self, importer: str, link: str) -> str:
        if not link.startswith((".", "@/", "~/")):
            return ""
        target = (
            posixpath.normpath(posixpath.join(posixpath.dirname(importer), link))
            if link[0] == "."
            else link[2:]
        )
        bare = re.sub(r"\.(?:js|mjs|jsx)$", "", target)
        for path in (target, *(bare + ending for ending in _SCRIPT_SUFFIXES)):
            if path in self.languages:
                return path
        return self._resolve_by_suffix(importer, bare.split("/")) if link[0] != "." else ""

    def _resolve_go(self, link: str) -> str:
        """Return the file that represents a package: `doc.go`, the one named like it, or the first."""
        if not self.module or not f"{link}/".startswith(f"{self.module}/"):
            return ""
        files = self._folders.get(link[len(self.module) + 1 :], [])
        name = re.sub(r"/v\d+$", "", link).rpartition("/")[2]
        preferred = [f"{name}.go", "doc.go"]
        return min(files, key=lambda path: (posixpath.basename(path) not in preferred, path), default="")

    def _resolve_by_suffix(self, importer: str, pieces: list[str]) -> str:
        """Return the only file whose path ends like the import, with or without its last name."""
        for end in range(len(pieces), max(len(pieces) - 2, 0), -1):
            tail = [piece for piece in pieces[:end] if piece not in {"crate", "self", "super", "..", ""}]
            matches = (
                [
                    path
                    for path in self._ends.get(tail[-1], ())
                    if path != importer
                    and self._is_same_family(path, importer)
                    and _without_suffix(path).split("/")[-len(tail) :] == tail
                ]
                if tail
                else []
            )
            siblings = [path for path in matches if posixpath.dirname(path) == posixpath.dirname(importer)]
            if len(siblings or matches) == 1:
                return (siblings or matches)[0]
        return ""

    def _is_same_family(self, path: str, other: str) -> bool:
        """Return whether two files have languages that can import each other."""
        pair = {self.languages[path], self.languages[other]}
        return len(pair) == 1 or pair <= {"c", "cpp"} or pair <= _SCRIPT_LANGUAGES


def external_package(language: str, link: str) -> str:
    """Return the external package that an import names; empty for the standard library."""
    if language in _DOTTED_LANGUAGES:
        pieces = [piece for piece in re.split(r"[.\\]", link) if piece]
        return "" if not pieces or pieces[0] in _DOTTED_LANGUAGES[language] else ".".join(pieces[:2])
    package_name = _PACKAGES.get("javascript" if language in _SCRIPT_LANGUAGES else language)
    return package_name(link) if package_name else ""


def _python_package(link: str) -> str:
    name = link.split(".")[0]
    return "" if name in sys.stdlib_module_names else name


def _node_package(link: str) -> str:
    if (
        link.startswith((".", "node:", "@/", "~", "#", "/", "virtual:"))
        or link.split("/")[0] in _NODE_BUILTINS
    ):
        return ""
    return "/".join(link.split("/")[: 2 if link.startswith("@") else 1]).partition("?")[0]


def _go_package(link: str) -> str:
    return link if "." in link.split("/")[0].lstrip(".") else ""


def short_package_name(name: str) -> str:
    """Return the short name of a package: host, owner and name if it is a URL."""
    return "/".join(name.split("/")[:3]) if "." in name.partition("/")[0] else name


def _rust_package(link: str) -> str:
    name = link.split("::")[0]
    return "" if name in _RUST_BUILTINS or not name.islower() else name


def _c_package(link: str) -> str:
    name, slash, _ = link.partition("/")
    return name if slash and name not in _C_SYSTEM_FOLDERS else ""


_PACKAGES: Mapping[str, Callable[[str], str]] = {
    "python": _python_package,
    "javascript": _node_package,
    "go": _go_package,
    "rust": _rust_package,
    "c": _c_package,
    "cpp": _c_package,
}


def _file_stem(path: str) -> str:
    return posixpath.basename(_without_suffix(path))


def _without_suffix(path: str) -> str:
    bare = re.sub(r"\.\w+$", "", path)
    return bare.removesuffix("/mod")


def _python_module_name(path: str, paths: Iterable[str]) -> str:
    """Return the Python module name of a file, from the top of its package."""
    pieces = re.sub(r"\.pyi?$", "", path).split("/")
    folders, stem = pieces[:-1], pieces[-1:]
    if stem == ["__init__"]:
        stem = []
    top = len(folders)
    while top and f"{'/'.join(folders[:top])}/__init__.py" in paths:
        top -= 1
    return ".".join(folders[top:] + stem)
