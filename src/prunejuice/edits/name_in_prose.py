"""Recognition of file names in the prose of an answer."""

import re

from prunejuice.edits import protected_files

_LABEL = re.compile(
    r"^(?:file(?:\s?name|\s?path)?|path|in|edit|update|create|new file|modified)\s*[:=]\s*", re.IGNORECASE
)
_LEAD = re.compile(
    r"(?:\d+[.)]\s*)?(?:here(?:'s| is| are)|create|add|new|write|update|replace|save|"
    r"the (?:new|full|complete|whole)|full|complete|contents? of|file|\d+[.)]|`)",
    re.IGNORECASE,
)
"""The beginning of a line that introduces a whole file."""
_NUMBER = re.compile(r"^\d{1,2}[.)]\s+")
"""The number of a title or an item of a list."""
_WRAPPED = re.compile(r"[`\"']([^`\"']+)[`\"']")
_NAME = re.compile(r"[^\s`\"'<>|*?:]+")
_PLAIN_NAMES = {
    "makefile",
    "dockerfile",
    "justfile",
    "license",
    "readme",
    "procfile",
    "gemfile",
    "rakefile",
    "vagrantfile",
}
_SUFFIXES = frozenset({
    "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "m", "mm", "cs", "fs", "fsx", "vb", "go", "rs", "py",
    "pyi", "pyx", "ipynb", "rb", "erb", "rake", "gemspec", "php", "java", "kt", "kts", "scala", "sc",
    "groovy", "gradle", "clj", "cljs", "edn", "ex", "exs", "erl", "hrl", "hs", "lhs", "ml", "mli",
    "elm", "dart", "swift", "r", "rmd", "jl", "lua", "pl", "pm", "t", "sh", "bash", "zsh", "fish",
    "ps1", "psm1", "bat", "cmd", "awk", "sed", "nim", "zig", "v", "vhd", "vhdl", "sv", "svh", "asm",
    "s", "f", "f90", "f95", "pas", "d", "cr", "sol", "vy", "proto", "thrift", "graphql", "gql",
    "prisma", "sql", "ddl", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "vue", "svelte",
    "astro", "html", "htm", "xhtml", "css", "scss", "sass", "less", "styl", "hbs", "mustache", "ejs",
    "pug", "j2", "jinja", "jinja2", "tmpl", "tpl", "tf", "tfvars", "hcl", "nix", "cmake", "mk", "mak",
    "make", "dockerfile", "json", "json5", "jsonc", "jsonl", "ndjson", "yaml", "yml", "toml", "ini",
    "cfg", "conf", "config", "properties", "env", "xml", "xsd", "xsl", "xslt", "svg", "plist", "csv",
    "tsv", "txt", "text", "md", "mdx", "markdown", "rst", "adoc", "asciidoc", "tex", "bib", "org",
    "pod", "man", "1", "log", "lock", "in", "po", "pot", "strings", "diff", "patch", "service", "timer",
    "socket", "target", "desktop", "rules", "bzl", "bazel", "buck", "build", "star", "ninja", "podspec",
    "csproj", "fsproj", "sln", "props", "targets", "gitignore", "gitattributes", "dockerignore",
    "editorconfig", "example", "sample", "template", "snap", "golden",
})  # fmt: skip
_PRODUCTS = frozenset({
    "js", "io", "ai", "net", "com", "org", "app", "dev", "sh", "go",
})  # fmt: skip
_NEW = re.compile(r"\b(?:create|creat\w*|new|add\w*|write|wrote|save|put|make)\b", re.IGNORECASE)
_EXCERPT = re.compile(
    r"(?:#L?\d+(?:-L?\d+)?|:\d+(?:[-:]\d+)?|[ (]+(?:lines?|l\.?) ?\d+(?: ?(?:-|to|\.\.) ?\w*\d+)?\)?)$",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^\s*(?P<mark>`{3,}|~{3,})(?P<info>.*)$")
_SPACED = re.compile(r"[\w.@+-]+(?:[ /][\w.@+-]+)*/?[\w.@+ -]*[\w@+-]\.[A-Za-z][A-Za-z0-9]{0,7}")
_WORD = re.compile(r"[A-Za-z0-9_.@+-]{1,80}")


def parse_fence(line: str) -> tuple[str, str] | None:
    """Return the marker of a code fence and its info string; None if the line is not a fence."""
    match = _FENCE.match(line)
    return (match["mark"], match["info"].strip()) if match and "`" not in match["info"] else None


def _strip_emphasis(text: str) -> str:
    """Return a text without the underscores of Markdown around it; those of a name such as `_a.py` stay."""
    stripped = text.strip("_")
    return stripped if text.startswith("_") and text.endswith("_") else text


def find_bare_name(line: str) -> str:
    """Return the single word on a line, which may be a file name without a suffix; empty otherwise."""
    text = _strip_emphasis(line.strip().strip("*`# "))
    return text if _WORD.fullmatch(text) else ""


def find_name(line: str, *, sentences: bool = True) -> str:
    """Return the file name that a line of prose consists of, or an empty string.

    With `sentences`, the line may be a short sentence that quotes one name.
    """
    if len(line) > 400:
        return ""
    text = _strip_emphasis(line.strip().lstrip("#").strip().strip("*").strip())
    text = _NUMBER.sub("", _strip_emphasis(text.removesuffix(":").strip().strip("*")))
    labelled = _LABEL.sub("", text)
    wrapped = _WRAPPED.fullmatch(labelled) or _WRAPPED.fullmatch(_strip_emphasis(labelled.strip("* ")))
    if wrapped and len(labelled) < 300:
        return wrapped[1] if _is_plausible(wrapped[1], spaces=True) else ""
    plain = _strip_emphasis(labelled.strip("*` "))
    if labelled != text and _is_plausible(plain, spaces=True):
        return plain
    quoted = [name for name in _WRAPPED.findall(labelled) if _is_plausible(name, spaces=False)]
    is_short = len(labelled.split()) <= 6
    is_lead = bool(_LEAD.match(text)) and line.strip().rstrip("*_ ").endswith((":", "`"))
    if len(quoted) == 1 and ((sentences and is_short) or is_lead):
        return str(quoted[0])
    comment = re.sub(r"^(?://|#|--|/\*|<!--)\s*|\s*(?:\*/|-->)$", "", text)
    if _NAME.fullmatch(comment) and _is_plausible(comment, spaces=False):
        return comment
    last = text.rpartition(" ")[2]
    if last != text and _LEAD.match(text) and _is_plausible(last, spaces=False):
        return last  # "The full geo.py"
    return text if _SPACED.fullmatch(text) else ""


def list_names(sentence: str) -> list[str]:
    """Return the different file names in a sentence: in quotes, or words with the suffix of a file."""
    if len(sentence) > 400:
        return []
    quoted = _WRAPPED.findall(sentence)
    words = [word.strip(".,:;!?()[]*_\"'`") for word in _WRAPPED.sub(" ", sentence).split()]
    suffixed = [word for word in words if word.rpartition(".")[2].lower() in _SUFFIXES and "." in word[1:]]
    names = [name for name in (*quoted, *suffixed) if _is_plausible(name, spaces=False)]
    return [name for name in dict.fromkeys(names) if is_certain_name(name) and not is_excerpt(name)]


def find_name_in_fence_info(info: str) -> str:
    """Return the file name in a fence's info string, with or without a language before it."""
    titled = re.search(r"(?:title|file|filename|path|name)\s*=\s*[\"']?([^\"'\s}]+)", info)
    if titled:
        return titled[1]
    parts = [part for part in re.split(r"[\s:]+", info, maxsplit=1) if part]
    return (
        parts[-1]
        if parts and ("." in parts[-1] or "/" in parts[-1]) and _is_plausible(parts[-1], spaces=True)
        else ""
    )


def is_excerpt(name: str) -> bool:
    """Return whether a name marks some lines of a file, such as `app.py#L1-L2` or `app.py lines 1-2`."""
    return bool(_EXCERPT.search(name)) or bool(re.match(r"\d+:\d+:", name))


def is_certain_name(name: str, line: str = "") -> bool:
    """Return whether a name must be that of a file, although no such file exists.

    `line` is the line of prose that has the name; it may say that the file is new.
    """
    last = name.rpartition("/")[2]
    stem, _, suffix = last.rpartition(".")
    if "/" not in name and stem[:1].isupper() and suffix.lower() in _PRODUCTS and f"`{name}`" not in line:
        return False  # Node.js, Socket.io
    if " " in name and f"`{name}`" not in line:
        return bool(_LABEL.match(line.strip().strip("*_# ")))
    if (
        protected_files.is_protected(name)
        or last.startswith(".")
        or last.lower() in _PLAIN_NAMES
        or (suffix.lower() in _SUFFIXES and stem)
    ):
        return True
    return bool(_NEW.search(line.replace(name, "")) or _LABEL.match(line.strip().strip("*_# ")))


def _is_plausible(name: str, *, spaces: bool) -> bool:
    if not name or len(name) > 400 or name.startswith("-") or (not spaces and " " in name):
        return False
    last = name.rpartition("/")[2]
    suffix = last.rpartition(".")[2]
    dotted = "." in last and 0 < len(suffix) <= 20 and not last.endswith(".")
    return dotted or last.lower() in _PLAIN_NAMES or ("/" in name and bool(last) and " " not in name)
