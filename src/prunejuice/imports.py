"""What an import means in a tree: a file of it, or a package of somebody else."""

import posixpath
import re
import sys
from collections.abc import Callable, Iterable, Mapping

_NODE = frozenset((
    "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto",
    "dgram", "dns", "domain", "events", "fs", "http", "http2", "https", "inspector", "module", "net", "os",
    "path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl", "stream",
    "string_decoder", "sys", "timers", "tls", "tty", "url", "util", "v8", "vm", "worker_threads", "zlib",
))  # fmt: skip
_ENDINGS = (
    ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".vue", ".d.ts", "/index.ts", "/index.tsx",
    "/index.js", "/index.mjs",
)  # fmt: skip
_OURS = {"crate", "self", "super", "std", "core", "alloc", "proc_macro"}
_SYSTEM = {"sys", "linux", "arpa", "netinet", "net", "bits", "asm", "machine", "mach", ".", ".."}
_DOTTED: Mapping[str, frozenset[str]] = {
    "java": frozenset(("java", "javax", "jdk", "sun")),
    "c_sharp": frozenset(("System", "Microsoft")),
    "php": frozenset(),
}
"""Languages whose packages have dotted names, and the packages of the language itself."""
_SCRIPTS = {"javascript", "typescript", "tsx"}


class Tree:
    """The files of a tree by the names that imports give them."""

    def __init__(self, languages: Mapping[str, str], module: str = "") -> None:
        """`languages` of the files by path; `module` is the import path of the root, where there is one."""
        self.languages, self.module = languages, module
        self._python: dict[str, str] = {}
        for path in sorted(languages, key=lambda path: (path.count("/"), path)):
            if languages[path] == "python":
                self._python.setdefault(_dotted(path, languages), path)
        self._ends: dict[str, list[str]] = {}
        self._folders: dict[str, list[str]] = {}
        for path, language in languages.items():
            if language == "go" and not path.endswith("_test.go"):
                self._folders.setdefault(posixpath.dirname(path), []).append(path)
            self._ends.setdefault(_stem(path), []).append(path)

    def file(self, importer: str, link: str) -> str:
        """The file that an import leads to; empty where it is none of the tree."""
        language = self.languages[importer]
        if language == "python":
            return self._of_python(importer, link)
        if language in _SCRIPTS:
            return self._of_script(importer, link)
        if language == "go":
            return self._of_go(link)
        if language == "rust" and link.split("::")[0] not in {"crate", "self", "super"}:
            return ""
        return self._by_end(importer, re.split(r"::|[./\\]", link.removesuffix(".h").removesuffix(".hpp")))

    def _of_python(self, importer: str, link: str) -> str:
        dots = len(link) - len(link.lstrip("."))
        beside = importer.split("/")[: -max(dots, 1)]
        pieces = [piece for piece in link[dots:].split(".") if piece]
        for end in range(len(pieces), -1 if dots else 0, -1):
            found = "" if dots else self._python.get(".".join(pieces[:end]), "")
            tops = [beside] if dots else [beside, [], ["src"]]
            places = ["/".join([*top, *pieces[:end]]) for top in tops]
            for path in (
                found,
                *(f"{place}{rest}" for place in places for rest in (".py", "/__init__.py")),
            ):
                if path in self.languages:
                    return path
        return ""

    def _of_script(self, importer: str, link: str) -> str:
        if not link.startswith((".", "@/", "~/")):
            return ""
        place = (
            posixpath.normpath(posixpath.join(posixpath.dirname(importer), link))
            if link[0] == "."
            else link[2:]
        )
        bare = re.sub(r"\.(?:js|mjs|jsx)$", "", place)
        for path in (place, *(bare + ending for ending in _ENDINGS)):
            if path in self.languages:
                return path
        return self._by_end(importer, bare.split("/")) if link[0] != "." else ""

    def _of_go(self, link: str) -> str:
        """The file that stands for a package: the one that is named like it, or the first."""
        if not self.module or not f"{link}/".startswith(f"{self.module}/"):
            return ""
        files = self._folders.get(link[len(self.module) + 1 :], [])
        name = re.sub(r"/v\d+$", "", link).rpartition("/")[2]
        wanted = [f"{name}.go", "doc.go"]
        return min(files, key=lambda path: (posixpath.basename(path) not in wanted, path), default="")

    def _by_end(self, importer: str, pieces: list[str]) -> str:
        """The one file whose path ends as the import does, the last name left out where it is none."""
        for end in range(len(pieces), max(len(pieces) - 2, 0), -1):
            tail = [piece for piece in pieces[:end] if piece not in {"crate", "self", "super", "..", ""}]
            hits = (
                [
                    path
                    for path in self._ends.get(tail[-1], ())
                    if path != importer
                    and self._alike(path, importer)
                    and _bare(path).split("/")[-len(tail) :] == tail
                ]
                if tail
                else []
            )
            near = [path for path in hits if posixpath.dirname(path) == posixpath.dirname(importer)]
            if len(near or hits) == 1:
                return (near or hits)[0]
        return ""

    def _alike(self, one: str, other: str) -> bool:
        """Whether two files are of languages that import each other."""
        pair = {self.languages[one], self.languages[other]}
        return len(pair) == 1 or pair <= {"c", "cpp"} or pair <= _SCRIPTS


def package(language: str, link: str) -> str:
    """The package that an import names, when it is none of the language itself; empty when it is."""
    if language in _DOTTED:
        pieces = [piece for piece in re.split(r"[.\\]", link) if piece]
        return "" if not pieces or pieces[0] in _DOTTED[language] else ".".join(pieces[:2])
    read = _PACKAGES.get("javascript" if language in _SCRIPTS else language)
    return read(link) if read else ""


def _python_package(link: str) -> str:
    name = link.split(".")[0]
    return "" if name in sys.stdlib_module_names else name


def _node_package(link: str) -> str:
    if link.startswith((".", "node:", "@/", "~", "#", "/", "virtual:")) or link.split("/")[0] in _NODE:
        return ""
    return "/".join(link.split("/")[: 2 if link.startswith("@") else 1]).partition("?")[0]


def _go_package(link: str) -> str:
    return link if "." in link.split("/")[0].lstrip(".") else ""


def short(name: str) -> str:
    """A package as it is known: of one with an address, the host, the owner and the name."""
    return "/".join(name.split("/")[:3]) if "." in name.partition("/")[0] else name


def _rust_package(link: str) -> str:
    name = link.split("::")[0]
    return "" if name in _OURS or not name.islower() else name


def _c_package(link: str) -> str:
    name, slash, _ = link.partition("/")
    return name if slash and name not in _SYSTEM else ""


_PACKAGES: Mapping[str, Callable[[str], str]] = {
    "python": _python_package,
    "javascript": _node_package,
    "go": _go_package,
    "rust": _rust_package,
    "c": _c_package,
    "cpp": _c_package,
}


def _stem(path: str) -> str:
    return posixpath.basename(_bare(path))


def _bare(path: str) -> str:
    bare = re.sub(r"\.\w+$", "", path)
    return bare.removesuffix("/mod")


def _dotted(path: str, known: Iterable[str]) -> str:
    """The name that Python gives a file, from the top of its package."""
    pieces = re.sub(r"\.pyi?$", "", path).split("/")
    folders, own = pieces[:-1], pieces[-1:]
    if own == ["__init__"]:
        own = []
    top = len(folders)
    while top and f"{'/'.join(folders[:top])}/__init__.py" in known:
        top -= 1
    return ".".join(folders[top:] + own)
