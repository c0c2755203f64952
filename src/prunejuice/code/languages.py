"""The programming languages: one row for each, with its grammar, file suffixes and import statements."""

from collections.abc import Mapping
from typing import NamedTuple

from prunejuice.system.extensions import ExtensionPoint


class Language(NamedTuple):
    """One language.

    `package` is the Python package of its tree-sitter grammar, `function` the function there.
    `suffixes` are file suffixes without the dot. `defines` maps the node types of definitions to
    `function`, `class` or `value`; `within` are definitions that can contain others; `through` are
    other nodes to look into. `imports` is a regular expression for a line whose last group is the
    imported module. `has_test_calls` is for languages where tests are calls such as `it("adds", …)`.
    """

    package: str
    function: str = "language"
    suffixes: frozenset[str] = frozenset()
    defines: Mapping[str, str] = {}
    within: frozenset[str] = frozenset()
    through: frozenset[str] = frozenset()
    imports: str = ""
    has_test_calls: bool = False


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_JS = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "class_declaration": "class",
    "abstract_class_declaration": "class",
    "method_definition": "function",
    "interface_declaration": "class",
    "type_alias_declaration": "value",
    "enum_declaration": "class",
    "internal_module": "class",
    "module": "class",
    "variable_declarator": "value",
}
_JS_THROUGH = _word_set(
    "export_statement class_body statement_block lexical_declaration variable_declaration "
    "ambient_declaration expression_statement call_expression arguments"
)
_JS_WITHIN = _word_set("class_declaration abstract_class_declaration internal_module module")
_JS_IMPORT = r"""(?:\bfrom|\bimport|\brequire\(|\bimport\()\s*['"]([^'"\n]+)['"]"""


def _js_language(package: str, function: str = "language", *, suffixes: str) -> Language:
    return Language(
        package,
        function,
        _word_set(suffixes),
        _JS,
        _JS_WITHIN,
        _JS_THROUGH,
        _JS_IMPORT,
        has_test_calls=True,
    )


_C = {
    "function_definition": "function",
    "struct_specifier": "class",
    "union_specifier": "class",
    "enum_specifier": "class",
    "type_definition": "class",
    "preproc_function_def": "function",
}
_C_THROUGH = _word_set(
    "preproc_ifdef preproc_if preproc_else linkage_specification declaration_list declaration"
)
_JAVA_THROUGH = _word_set(
    "class_body interface_body enum_body enum_body_declarations declaration_list block program"
)

LANGUAGES: Mapping[str, Language] = {
    "python": Language(
        "tree_sitter_python",
        suffixes=_word_set("py pyi"),
        imports=r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w.]+))",
        defines={"function_definition": "function", "class_definition": "class"},
        within=_word_set("class_definition"),
        through=_word_set(
            "decorated_definition if_statement try_statement except_clause else_clause block with_statement"
        ),
    ),
    "javascript": _js_language("tree_sitter_javascript", suffixes="js mjs cjs jsx"),
    "typescript": _js_language("tree_sitter_typescript", "language_typescript", suffixes="ts mts cts"),
    "tsx": _js_language("tree_sitter_typescript", "language_tsx", suffixes="tsx"),
    "go": Language(
        "tree_sitter_go",
        suffixes=_word_set("go"),
        imports=r'^(?:import)?[ \t]+(?:\w+[ \t]+)?"([\w./-]+)"$',
        defines={
            "function_declaration": "function",
            "method_declaration": "function",
            "type_spec": "class",
            "type_alias": "class",
            "const_spec": "value",
            "var_spec": "value",
        },
        through=_word_set("type_declaration"),
    ),
    "rust": Language(
        "tree_sitter_rust",
        suffixes=_word_set("rs"),
        imports=r"^[ \t]*(?:pub )?use[ \t]+([\w:]+)",
        defines={
            "function_item": "function",
            "function_signature_item": "function",
            "struct_item": "class",
            "enum_item": "class",
            "union_item": "class",
            "trait_item": "class",
            "impl_item": "class",
            "mod_item": "class",
            "macro_definition": "function",
            "type_item": "value",
        },
        within=_word_set("trait_item impl_item mod_item"),
        through=_word_set("declaration_list"),
    ),
    "java": Language(
        "tree_sitter_java",
        suffixes=_word_set("java"),
        imports=r"^import[ \t]+(?:static[ \t]+)?([\w.]+)",
        defines={
            "class_declaration": "class",
            "interface_declaration": "class",
            "enum_declaration": "class",
            "record_declaration": "class",
            "annotation_type_declaration": "class",
            "method_declaration": "function",
            "constructor_declaration": "function",
        },
        within=_word_set("class_declaration interface_declaration enum_declaration record_declaration"),
        through=_JAVA_THROUGH,
    ),
    "c": Language(
        "tree_sitter_c",
        suffixes=_word_set("c h"),
        imports=r'^#[ \t]*include[ \t]+["<]([^">\n]+)[">]',
        defines=_C,
        through=_C_THROUGH,
    ),
    "cpp": Language(
        "tree_sitter_cpp",
        suffixes=_word_set("cc cpp cxx hpp hh"),
        imports=r'^#[ \t]*include[ \t]+["<]([^">\n]+)[">]',
        defines={**_C, "class_specifier": "class", "namespace_definition": "class"},
        within=_word_set("class_specifier struct_specifier namespace_definition"),
        through=_C_THROUGH | _word_set("template_declaration field_declaration_list"),
    ),
    "ruby": Language(
        "tree_sitter_ruby",
        suffixes=_word_set("rb"),
        imports=r"^[ \t]*require(?:_relative)?[ \t(]+['\"]([^'\"\n]+)",
        defines={"class": "class", "module": "class", "method": "function", "singleton_method": "function"},
        within=_word_set("class module"),
        through=_word_set("body_statement singleton_class"),
    ),
    "c_sharp": Language(
        "tree_sitter_c_sharp",
        suffixes=_word_set("cs"),
        imports=r"^[ \t]*using[ \t]+(?:static[ \t]+)?([\w.]+)",
        defines={
            "class_declaration": "class",
            "interface_declaration": "class",
            "struct_declaration": "class",
            "record_declaration": "class",
            "enum_declaration": "class",
            "namespace_declaration": "class",
            "method_declaration": "function",
            "constructor_declaration": "function",
            "property_declaration": "value",
            "delegate_declaration": "value",
        },
        within=_word_set(
            "class_declaration interface_declaration struct_declaration record_declaration "
            "namespace_declaration"
        ),
        through=_word_set("declaration_list file_scoped_namespace_declaration"),
    ),
    "php": Language(
        "tree_sitter_php",
        "language_php",
        suffixes=_word_set("php"),
        imports=r"^use[ \t]+([\w\\]+)",
        defines={
            "class_declaration": "class",
            "interface_declaration": "class",
            "trait_declaration": "class",
            "enum_declaration": "class",
            "function_definition": "function",
            "method_declaration": "function",
        },
        within=_word_set("class_declaration interface_declaration trait_declaration enum_declaration"),
        through=_word_set("declaration_list namespace_definition compound_statement enum_declaration_list"),
    ),
    "bash": Language(
        "tree_sitter_bash", suffixes=_word_set("sh"), defines={"function_definition": "function"}
    ),
}
_LANGUAGE_OF_SUFFIX = {suffix: name for name, row in LANGUAGES.items() for suffix in row.suffixes}

_PROGRAM_SUFFIXES = (
    _word_set(
        "kt kts swift scala lua dart vue svelte ex exs clj hs ml r jl pl zig nim m mm groovy tf proto sol"
    )
    | _LANGUAGE_OF_SUFFIX.keys()
) - {"sh"}

EXTENSIONS = ExtensionPoint("prunejuice.languages", {})
"""Languages of other packages: a `Language` for each entry point, named after a file suffix."""


def language_for_path(path: str) -> str:
    """Return the name of the language of a file, by its suffix; empty for plain text."""
    suffix = path.rpartition(".")[2].lower()
    return _LANGUAGE_OF_SUFFIX.get(suffix) or (suffix if suffix in EXTENSIONS else "")


def is_program(path: str) -> bool:
    """Return whether a path is that of a program, in which a bare word is a name and not a value."""
    return path.rpartition(".")[2].lower() in _PROGRAM_SUFFIXES


def find_language(name: str) -> Language | None:
    """Return the row of a language, or None for an unknown one."""
    if name in LANGUAGES:
        return LANGUAGES[name]
    if name not in EXTENSIONS:
        return None
    language: Language = EXTENSIONS.load(name)
    return language
