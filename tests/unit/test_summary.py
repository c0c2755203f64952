"""Descriptions of source files, and the summary built from them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import codebot
from prunejuice.code.imports import ImportResolver, external_package
from prunejuice.code.manifest import parse_manifest
from prunejuice.code.outline import first_sentence, outline
from prunejuice.code.relations import Relations, SurveyInput
from prunejuice.verbs.summarize.hierarchy import build_hierarchy, missing_levels
from prunejuice.verbs.summarize.summary import CodeComponent, CodePattern, SummaryResult
from prunejuice.verbs.summarize.survey import survey_code

SHOP = b'''"""The shop: carts and what is paid for them. Nothing else."""

from dataclasses import dataclass
import requests, yaml as y
from shop.mail import (
    send,  # by post
    Letter as L,
)


@dataclass
class Cart(Base, Generic[T], metaclass=Meta):
    """What somebody wants to buy. It is kept for a day."""

    def total(self):
        """The sum of it."""
        return add(self.items, round(1))

    def _tidy(self):
        pass


class Payer(Protocol):
    def pay(self): ...


# Sends the receipt.
def receipt(cart):
    return send(cart.total())


if __name__ == "__main__":
    receipt(Cart())
'''


def test_a_python_file_says_what_it_is_for_and_what_is_in_it():
    found = outline("python", SHOP)
    assert found.doc == "The shop: carts and what is paid for them."
    assert found.entry == 'if __name__ == "__main__"'
    assert found.links == (
        "dataclasses.dataclass",
        "requests",
        "yaml",
        "shop.mail.send",
        "shop.mail.Letter",
    )
    members = {member.name: member for member in found.members}
    cart = members["Cart"]
    assert (cart.kind, cart.doc, cart.bases) == (
        "class",
        "What somebody wants to buy.",
        ("Base", "Generic"),
    )
    assert cart.decorators == ("dataclass",)
    assert members["Cart.total"].calls == ("add", "round")
    assert not members["Cart._tidy"].public
    assert members["Payer"].kind == "interface"
    assert members["receipt"].doc == "Sends the receipt."
    assert members["receipt"].calls == ("send", "total")


OTHERS = {
    "typescript": (
        b"/** Carts. */\nimport { a } from './a'\n\n/** What is bought. */\nexport interface Cart extends Base {}\n\n"
        b"// Pays for it.\nexport function pay(cart: Cart) { return charge(new Card()) }\n",
        [
            ("Cart", "interface", "What is bought.", ()),
            ("pay", "function", "Pays for it.", ("charge", "Card")),
        ],
    ),
    "go": (
        b"// Package shop sells.\npackage shop\n\n// Cart holds things.\ntype Cart struct{}\n\n"
        b"// Payer pays.\ntype Payer interface{}\n\nfunc hidden() { fmt.Println(1) }\n",
        [
            ("Cart", "class", "Cart holds things.", ()),
            ("Payer", "interface", "Payer pays.", ()),
            ("hidden", "function", "", ("Println",)),
        ],
    ),
    "rust": (
        b"//! Sells.\n\n/// What is bought.\n#[derive(Debug)]\npub struct Cart;\n\n/// Pays.\npub trait Payer {}\n\nfn go() { charge(1) }\n",
        [
            ("Cart", "class", "What is bought.", ()),
            ("Payer", "interface", "Pays.", ()),
            ("go", "function", "", ("charge",)),
        ],
    ),
    "java": (
        b"package shop;\n\n/** What is bought. Really. */\npublic class Cart extends Base implements Payer, Seller {\n"
        b"  /** Pays. @param x no */\n  public void pay() { charge(new Card()); }\n}\n",
        [("Cart", "class", "What is bought.", ()), ("Cart.pay", "function", "Pays.", ("charge", "Card"))],
    ),
    "c": (b"/* Adds. */\nint add(int a) { return more(a); }\n", [("add", "function", "Adds.", ("more",))]),
    "cpp": (b"// A cart.\nclass Cart : public Base {};\n", [("Cart", "class", "A cart.", ())]),
    "ruby": (
        b"# A cart.\nclass Cart < Base\n  def pay\n    charge(1)\n  end\nend\n",
        [("Cart", "class", "A cart.", ()), ("Cart.pay", "function", "", ("charge",))],
    ),
    "c_sharp": (
        b"/// <summary>A cart.</summary>\nclass Cart : Base { void Pay() { Charge(); } }\n",
        [("Cart", "class", "A cart.", ()), ("Cart.Pay", "function", "", ("Charge",))],
    ),
    "php": (
        b"<?php\n/** A cart. */\nclass Cart extends Base { function pay() { charge(1); } }\n",
        [("Cart", "class", "A cart.", ()), ("Cart.pay", "function", "", ("charge",))],
    ),
}


@pytest.mark.parametrize("language", OTHERS)
def test_outline_lists_members_of_files_in_other_languages(language):
    source, expected = OTHERS[language]
    found = outline(language, source).members
    assert [(each.name, each.kind, each.doc, each.calls) for each in found] == expected
    if language in {"java", "cpp", "ruby", "c_sharp", "php"}:
        assert found[0].bases[0] == "Base"


@pytest.mark.parametrize(
    ("language", "source", "entry"),
    [
        ("go", "package main\n\nfunc main() {}\n", "func main()"),
        ("go", "package shop\n\nfunc main() {}\n", ""),
        ("rust", "fn main() {}\n", "fn main()"),
        ("java", "class A { public static void main(String[] a) {} }", "public static void main("),
        ("c", "int main(void)\n{\n}\n", "int main(void)"),
        ("bash", "#!/bin/sh\necho\n", "#!/bin/sh"),
    ],
)
def test_where_a_program_begins(language, source, entry):
    assert outline(language, source.encode()).entry == entry


def test_a_licence_is_not_what_a_file_is_for():
    source = b"// Copyright 2020 Somebody\n// Licensed as you like\n\n// Sells things.\npackage shop\n"
    assert outline("go", source).doc == "Sells things."
    assert outline("go", b"// Copyright 2020\npackage shop\n").doc == ""


def test_a_readme_begins_with_its_first_sentence():
    source = b"<h1>Shop</h1>\n\n[![build](x)](y)\n\n# Shop\n\n**Shop** sells [things](http://x) to many people. More.\n"
    assert outline("", source).doc == "Shop sells things to many people."


def test_a_sentence_ends_where_the_next_begins():
    assert first_sentence("Uses e.g. a\nfile. It is\nlong.") == "Uses e.g. a file."
    assert first_sentence("One thing\n\nAnother.") == "One thing"
    assert first_sentence("word " * 100).endswith(" …")


PATHS = {
    "src/shop/__init__.py": "python", "src/shop/cart.py": "python", "src/shop/mail/__init__.py": "python",
    "tests/fakes.py": "python", "tests/test_cart.py": "python", "web/app.ts": "typescript",
    "web/lib/index.ts": "typescript", "web/lib/money.ts": "typescript", "go/cart/doc.go": "go", "go/main.go": "go",
    "rs/src/main.rs": "rust", "rs/src/cart/mod.rs": "rust", "j/com/shop/Cart.java": "java", "j/com/shop/App.java": "java",
    "c/cart.h": "c", "c/main.c": "c",
}  # fmt: skip


@pytest.mark.parametrize(
    ("importer", "link", "file"),
    [
        ("tests/test_cart.py", "shop.cart.Cart", "src/shop/cart.py"),
        ("tests/test_cart.py", "shop.Cart", "src/shop/__init__.py"),
        ("tests/test_cart.py", "fakes.Clock", "tests/fakes.py"),
        ("src/shop/cart.py", ".mail.send", "src/shop/mail/__init__.py"),
        ("src/shop/mail/__init__.py", "..cart.Cart", "src/shop/cart.py"),
        ("src/shop/cart.py", "os.path", ""),
        ("web/app.ts", "./lib", "web/lib/index.ts"),
        ("web/app.ts", "./lib/money.js", "web/lib/money.ts"),
        ("web/lib/index.ts", "../app", "web/app.ts"),
        ("web/app.ts", "@/lib/money", "web/lib/money.ts"),
        ("web/app.ts", "react", ""),
        ("go/main.go", "example.com/x/go/cart", "go/cart/doc.go"),
        ("go/main.go", "fmt", ""),
        ("rs/src/main.rs", "crate::cart::Cart", "rs/src/cart/mod.rs"),
        ("rs/src/main.rs", "serde::Deserialize", ""),
        ("j/com/shop/App.java", "com.shop.Cart", "j/com/shop/Cart.java"),
        ("c/main.c", "cart.h", "c/cart.h"),
    ],
)
def test_import_is_resolved_to_its_file(importer, link, file):
    assert ImportResolver(PATHS, "example.com/x").resolve(importer, link) == file


@pytest.mark.parametrize(
    ("language", "link", "name"),
    [
        ("python", "yaml.safe_load", "yaml"),
        ("python", "json", ""),
        ("python", ".own", ""),
        ("typescript", "@scope/name/deep", "@scope/name"),
        ("javascript", "react-dom/client", "react-dom"),
        ("tsx", "node:fs", ""),
        ("javascript", "path", ""),
        ("go", "github.com/a/b/c", "github.com/a/b/c"),
        ("go", "net/http", ""),
        ("rust", "serde::Deserialize", "serde"),
        ("rust", "std::io", ""),
        ("java", "org.junit.Test", "org.junit"),
        ("java", "java.util.List", ""),
        ("c_sharp", "Newtonsoft.Json", "Newtonsoft.Json"),
        ("c", "openssl/ssl.h", "openssl"),
        ("c", "stdio.h", ""),
        ("ruby", "rails", ""),
    ],
)
def test_which_package_an_import_names(language, link, name):
    assert external_package(language, link) == name


MANIFESTS = {
    "pyproject.toml": (
        '[project]\nname = "shop"\ndescription = "Sells"\ndependencies = ["PyYAML>=6; x", "a[b] >=1,<2", "c @ https://x"]\n[project.scripts]\nshop = "shop:main"\n',
        ("shop", "Sells", {"pyyaml": ">=6", "a": ">=1,<2"}, ("shop: shop:main",)),
    ),
    "package.json": (
        '{"name": "shop", "bin": "x.js", "main": "i.js", "dependencies": {"react": "^19"}, "scripts": {"start": "vite", "test": "x"}}',
        ("shop", "", {"react": "^19"}, ("shop: x.js", "main: i.js", "npm run start: vite")),
    ),
    "go.mod": (
        "module a.b/shop\n\nrequire (\n\tx.y/z v1.2\n\tq.r/s v2 // indirect\n)\n",
        ("a.b/shop", "", {"x.y/z": "v1.2"}, ()),
    ),
    "Cargo.toml": (
        '[package]\nname = "shop"\n[dependencies]\nserde = {version = "1"}\nrand = "0.9"\n[[bin]]\nname = "s"\n',
        ("shop", "", {"serde": "1", "rand": "0.9"}, ("s: ",)),
    ),
    "composer.json": (
        '{"name": "a/shop", "require": {"php": ">8", "x/y": "^1"}, "bin": ["b"]}',
        ("a/shop", "", {"x/y": "^1"}, ("b",)),
    ),
    "Gemfile": ("gem 'rails', '~> 8'\ngem \"puma\"\n", ("", "", {"rails": "~> 8", "puma": ""}, ())),
    "requirements-dev.txt": ("# no\npytest==9\n-r x\n", ("", "", {"pytest": "==9"}, ())),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_is_parsed_into_its_contents(name):
    text, expected = MANIFESTS[name]
    assert tuple(parse_manifest(f"sub/{name}", text)) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [("pyproject.toml", "[["), ("package.json", "[]"), ("Cargo.toml", "dependencies = 3"), ("a.py", "x")],
)
def test_invalid_or_unknown_manifest_is_not_parsed(name, text):
    assert parse_manifest(name, text) is None


# -- a survey -----------------------------------------------------------------------------------------


def words(text):
    return len(text.split())


FILES = {
    "shop/__init__.py": b'"""Everything that sells."""\n',
    "shop/errors.py": b'"""What goes wrong."""\n\n\nclass ShopError(Exception):\n    """Anything wrong."""\n\n\nclass Empty(ShopError):\n    pass\n\n\nclass Full(ShopError):\n    pass\n\n\nclass Odd(ShopError):\n    pass\n',
    "shop/cart.py": b"from shop.errors import Empty\nimport yaml\n\n\ndef load(path):\n    raise Empty(path)\n",
    "shop/main.py": b'import yaml\n\nfrom shop.cart import load\nfrom shop.errors import Empty\n\n\ndef run():\n    load("x")\n',
    "shop/__main__.py": b"from shop.main import run\n\nrun()\n",
    "tests/test_cart.py": b"import pytest\n\nfrom shop.cart import load\n\n\ndef test_load():\n    load('x')\n",
    "tests/test_main.py": b"from shop.main import run\n\n\ndef test_run():\n    run()\n",
}


def told(files=FILES, **more):
    languages = {"py": "python", "md": ""}
    outlines = {path: outline(languages[path.rpartition(".")[2]], text) for path, text in files.items()}
    return SurveyInput(
        outlines,
        {"pyproject.toml": parse_manifest("pyproject.toml", MANIFESTS["pyproject.toml"][0])},
        **more,
    )


def test_relations_follow_from_imports_and_calls():
    known = Relations(told())
    assert known.uses["shop/main.py"] == {"shop/cart.py", "shop/errors.py"}
    assert known.used["shop/cart.py"] == 1, "a test leans on nothing that others should know of"
    assert known.called["shop/errors.py", "Empty"] == 1, "raise Empty(path) is a call"
    assert known.defining_file("shop/main.py", "load") == "shop/cart.py"
    assert known.packages["yaml"] == {"shop/cart.py", "shop/main.py"}
    assert known.defining_file("shop/cart.py", "run") == "", "it imports nothing that has it"


def test_a_survey_is_a_whole_summary():
    result = survey_code(told(introduction="A shop for everybody."), 2000, words)
    assert result.overview.startswith(
        "A shop for everybody.\n\n7 Python files of 47 lines, 2 of them tests"
    )
    named = {(each.name, each.type): each for each in result.components}
    assert named["shop", "module"].description == "Everything that sells."
    assert named["errors", "module"].description == "What goes wrong. Used by 2 files."
    assert named["ShopError", "class"].description == "Anything wrong."
    assert named["run", "function"].description == "Calls load."
    assert named["run", "function"].dependencies == ("load",)
    assert "pyyaml >=6: used in 2 files" in result.external_dependencies
    assert result.entry_points == ("shop: shop:main", "shop/__main__.py: python -m")
    patterns = {each.pattern: each for each in result.patterns}
    assert patterns["ShopError subclasses"].examples == ("Empty", "Full", "Odd")
    assert patterns["Tests"].description == "2 files of tests, most in tests/."
    paths = [each.file_path for each in result.components]
    assert paths == sorted(paths), "what stays the same stays where it is"


@pytest.mark.parametrize("limit", [100, 150, 300])
def test_a_survey_keeps_its_limit(limit):
    result = survey_code(told(), limit, words)
    assert words(result.to_markdown()) <= limit
    assert result.components


def test_a_survey_of_prose_says_so():
    result = survey_code(SurveyInput({"a.md": outline("", b"x")}, {}), 500, words)
    assert result.overview == "No source code in 1 file: a.md."


# -- a summary ----------------------------------------------------------------------------------------

COMPONENT = {"name": "a", "type": "class", "description": "b", "file_path": "c"}
text = st.text(alphabet=string.printable + "é‮\x1b`*#", max_size=40)
components = st.builds(
    CodeComponent,
    name=text,
    type=st.sampled_from(["class", "function", "module", "interface"]),
    description=text,
    file_path=text,
    dependencies=st.lists(text, max_size=3),
)
results = st.builds(
    SummaryResult,
    overview=text,
    components=st.lists(components, max_size=5),
    external_dependencies=st.lists(text, max_size=3),
    patterns=st.lists(
        st.builds(CodePattern, pattern=text, description=text, examples=st.lists(text, max_size=2)),
        max_size=3,
    ),
    entry_points=st.lists(text, max_size=3),
)


def test_the_names_are_those_of_codebot():
    made = codebot.SummaryResult(
        overview="x",
        components=[codebot.CodeComponent(**COMPONENT)],
        external_dependencies=[],
        patterns=[codebot.CodePattern(pattern="p", description="d")],
        entry_points=["main"],
    )
    assert made.to_markdown().startswith("# Code Summary\n\nx\n")
    with pytest.raises(AttributeError, match="Nothing"):
        codebot.Nothing  # noqa: B018


def test_an_overview_has_at_most_500_words():
    assert SummaryResult(overview="w " * 500).overview.count("w") == 500
    with pytest.raises(ValueError, match="501 words"):
        SummaryResult(overview="w " * 501)


@given(results)
def test_nothing_in_a_summary_breaks_its_markdown_or_steers_a_terminal(result):
    shown = result.to_markdown()
    headings = [line for line in shown.splitlines() if line.startswith("#")]
    assert headings[0] == "# Code Summary"
    assert set(headings[1:]) <= {"## Key Components", "## Dependencies", "## Patterns", "## Entry Points"}
    assert len(headings) == len(set(headings))
    assert "\x1b" not in shown
    assert "‮" not in shown
    rows = sum(line.startswith("- ") for line in shown.partition("\n## ")[2].splitlines())
    own = (
        len(result.components)
        + len(result.external_dependencies)
        + len(result.patterns)
        + len(result.entry_points)
    )
    assert rows >= own or not own


@given(results, st.integers(min_value=5, max_value=200))
def test_a_summary_is_cut_to_a_limit(result, limit):
    cut = result.trim_to_limit(limit, words)
    assert words(cut.to_markdown()) <= limit
    if words(result.to_markdown()) <= limit:
        assert cut == result


@given(results)
def test_a_summary_survives_being_kept(result):
    assert SummaryResult.model_validate_json(result.model_dump_json()) == result


# -- a hierarchy --------------------------------------------------------------------------------------

MANY = {f"p{a}/q{b}/f{c}.py": f"{a}{b}{c}" for a in range(10) for b in range(10) for c in range(10)}


def test_changed_file_invalidates_only_itself_and_its_parent_folders():
    before = {
        node.key
        for level in missing_levels(build_hierarchy(MANY, "s"), lambda node: False)
        for node in level
    }
    assert len(before) == 1111
    after = build_hierarchy({**MANY, "p3/q4/f5.py": "changed"}, "s")
    levels = missing_levels(after, lambda node: node.key in before)
    assert [[node.path for node in level] for level in levels] == [
        ["p3/q4/f5.py"],
        ["p3/q4/"],
        ["p3/"],
        [""],
    ]


def test_a_folder_with_one_thing_in_it_is_that_thing():
    top = build_hierarchy({"a/b/c.py": "1", "a/b/d/e.py": "2"}, "s")
    assert (top.path, [child.path for child in top.children]) == ("a/b/", ["a/b/c.py", "a/b/d/e.py"])
    assert build_hierarchy({"a/b/c.py": "1"}, "s").path == "a/b/c.py"


def test_a_key_depends_on_everything_below_and_on_nothing_else():
    one, other = (
        build_hierarchy({"a.py": "1", "b.py": "2"}, "s"),
        build_hierarchy({"a.py": "1", "b.py": "3"}, "s"),
    )
    assert one.key != other.key
    assert one.children[0] == other.children[0]
    assert build_hierarchy({"a.py": "1", "b.py": "2"}, "t").children[0] != one.children[0]
