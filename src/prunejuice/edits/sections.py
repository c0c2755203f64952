"""Names of the parts that a file has besides definitions: sections, keys, rules, targets, constants."""

import json
import re
from collections.abc import Iterator

_KEY_VALUE = r"^([\w.-]+)\s*="
_SECTION = r"^\[+([^\]\n]+)\]+\s*$"
_HEADING = r"^#{1,6}[ \t]+(.+?)[ \t#]*$"
_SELECTOR = r"[^{};\n@/\s][^{};\n]{0,200}?"
_STYLE_RULE = rf"^((?:{_SELECTOR},[ \t]*\n){{0,20}}{_SELECTOR}|@[\w-]+[^{{;\n]{{0,200}}?)\s*\{{"
_CREATE = (
    r"(?i)^[ \t]*create[ \t]+(?:or[ \t]+replace[ \t]+)?(?:\w+[ \t]+)?"
    r"(?:table|view|index|function|procedure|trigger|type)[ \t]+"
    r"(?:if[ \t]+not[ \t]+exists[ \t]+)?([\w.\"]+)"
)
_TARGET = r"^([\w./%$()-]+(?:[ \t]+[\w./%$()-]+)*)[ \t]*::?(?![=:])"
_MAIN = r"^(if __name__ == [\"']__main__[\"'])"
_INI_SUFFIXES = (".toml", ".ini", ".cfg", ".conf", ".properties", ".editorconfig")
_PATTERNS = {
    (".css", ".scss", ".less"): (_STYLE_RULE,),
    _INI_SUFFIXES: (_SECTION, _KEY_VALUE),
    (".env",): (_KEY_VALUE,),
    (".yaml", ".yml"): (r"^([\w.\"'/-]+)[ \t]*:(?:[ \t]|$)",),
    (".sql",): (_CREATE,),
    (".mk", "makefile"): (_TARGET, r"^(\w+)[ \t]*[:?+]?="),
    (".md", ".mdx", ".markdown"): (_HEADING,),
    (".rst",): (r"^(\S.*)\n[=~^*-]{3,}$",),
    (".html", ".htm", ".vue", ".svelte"): (r"\bid=[\"']([\w-]+)[\"']", r"^<(script|style|template)\b"),
    ("dockerfile",): (r"(?i)^(from[ \t]+\S+)",),
    (".tf", ".hcl"): (r"^(\w+(?:[ \t]+\"[^\"\n]+\")*)[ \t]*\{",),
    (".proto",): (r"^[ \t]*(?:message|service|enum|rpc)[ \t]+(\w+)",),
    (".graphql", ".gql"): (r"^(?:type|input|enum|interface|union|scalar|query|mutation)[ \t]+(\w+)",),
    (".py", ".pyi"): (r"^((?:[A-Z][A-Z0-9_]*|__\w+__))(?:[ \t]*:[^=\n]+)?[ \t]*=(?!=)", _MAIN),
    (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx"): (
        r"^export[ \t]+(?:const|let|var)[ \t]+(\w+)", r"^(?:const|let|var)[ \t]+([A-Z][A-Z0-9_]+)\b",
    ),
    (".go",): (r"^(?:const|var)[ \t]+([A-Z]\w*)",),
    (".rs",): (r"^(?:pub[ \t]+)?(?:const|static)[ \t]+(\w+)",),
}  # fmt: skip
_COMPILED = {
    suffix: tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns)
    for suffixes, patterns in _PATTERNS.items()
    for suffix in suffixes
}
_PYTHON_IMPORT = re.compile(
    r"^(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+(\([^)]{0,5000}\)|[^\n#]+)", re.MULTILINE
)


def list_sections(path: str, text: str) -> Iterator[str]:
    """Yield the names of the sections, rules, targets, keys and constants at the top level of a file."""
    name = path.rpartition("/")[2].lower()
    if name.endswith(".json"):
        yield from _list_json_keys(text)
    if name.endswith(_INI_SUFFIXES):
        text = _drop_keys_of_sections(text)
    suffix = f".{name.rpartition('.')[2]}" if "." in name else name
    for pattern in _COMPILED.get(suffix, ()):
        yield from (" ".join(match.split()) for match in pattern.findall(text))


def _drop_keys_of_sections(text: str) -> str:
    """Return the lines before the first section, and the heads of sections."""
    first = next(iter(re.finditer(_SECTION, text, re.MULTILINE)), None)
    if first is None:
        return text
    heads = (match.group() for match in re.finditer(_SECTION, text, re.MULTILINE))
    return text[: first.start()] + "\n".join(heads)


def _list_json_keys(text: str) -> list[str]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return list(data) if isinstance(data, dict) else []


def list_imports(path: str, text: str) -> Iterator[str]:
    """Yield the names that the import statements of a Python file bind."""
    if not path.endswith((".py", ".pyi")):
        return
    for names in _PYTHON_IMPORT.findall(text):
        for part in names.strip("()").split(","):
            bound = part.split(" as ")[-1].strip().split(".")[0]
            if bound.isidentifier():
                yield bound
