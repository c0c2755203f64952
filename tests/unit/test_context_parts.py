"""Terms, chunks, grammars, packing and exclusion."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunejuice.code import exclude, grammar, mask_secrets
from prunejuice.code.chunk import Chunk, chunks, group_by_definition, signature, split_lines
from prunejuice.code.languages import language_for_path
from prunejuice.code.terms import distinct_terms, identifier_terms, identifiers, stem, terms
from prunejuice.context import ranking
from prunejuice.context.bundle import Bundle, Item, render_bundle
from prunejuice.context.corpus import PathTexts
from prunejuice.context.packing import (
    FULL_TEXT,
    LISTED,
    SIGNATURE_ONLY,
    ChunkCandidate,
    DefinitionGroup,
    choose_chunks,
    packing_steps,
)


def read(language, text):
    return chunks(split_lines(text), grammar.definitions(language, text.encode()))


# -- words --------------------------------------------------------------------------------------


def test_an_identifier_has_its_pieces_and_the_whole():
    assert identifier_terms("parseHTTPHeader") == ("pars", "http", "header", "parsehttpheader")
    assert identifier_terms("order_queryset") == ("order", "queryset", "orderqueryset")


def test_endings_of_english_do_not_matter():
    assert stem("queries") == stem("query")
    assert stem("stopped") == stem("stop") == stem("stopping")
    assert stem("class") == "class"


def test_words_that_say_nothing_are_no_terms():
    assert set(terms("def the return self")) == set()


def test_identifiers_are_distinguished_from_prose():
    assert set(identifiers("Make fooBar call run_all and help() of HTML")) == {"fooBar", "run_all", "help"}


PATH_WORDS = st.sampled_from([
    "queries",
    "Query",
    "HTTPHeader",
    "parse",
    "_",
    "-",
    ".",
    "stories",
    "Y",
    "b\u00fcro",
    "\u0130x",
    "\u03a3\u03a3",
    "v2",
    "classes",
    "\n",
])
PATHS = st.lists(st.lists(PATH_WORDS | st.just("/"), min_size=1, max_size=6).map("".join), max_size=12)


@given(PATHS)
def test_every_file_with_a_term_in_its_path_is_possible(paths):
    texts = PathTexts(paths)
    for file, path in enumerate(paths):
        for term in distinct_terms(path.replace("/", " ").replace(".", " ")):
            assert file in texts.possible_files({term})


# -- parts --------------------------------------------------------------------------------------

PYTHON = '''import os


@decorated
def first(a,
          b):
    """Do."""
    return a


class Shop(Base):
    """Sells."""

    size = 3

    # told before
    def sell(self):
        return 1

LIMIT = 4
'''


def test_a_python_file_is_cut_into_what_it_defines():
    found = read("python", PYTHON)
    assert [(p.kind, p.name) for p in found] == [
        ("top", ""), ("function", "first"), ("class", "Shop"), ("function", "Shop.sell"), ("value", ""),
    ]  # fmt: skip
    assert signature(split_lines(PYTHON), found[1]) == "def first(a,\n          b):\n"
    assert split_lines(PYTHON)[found[3].first - 1].strip() == "# told before"


@given(st.text(alphabet=" \nabc(){}:#\t", max_size=400))
def test_parts_contain_every_line_exactly_once(text):
    rows = split_lines(text)
    for language in ("python", "typescript", "", "go"):
        found = chunks(rows, grammar.definitions(language, text.encode()))
        for one, two in pairwise(found):
            assert two.first == one.last + 1
        if found:
            assert found[-1].last == len(rows)
            assert not any(row.strip() for row in rows[: found[0].first - 1])
        assert [i for _, members in group_by_definition(found) for i in members] == list(range(len(found)))


def test_a_long_definition_is_several_parts_of_one_group():
    text = "def long():\n" + "".join(f"    step_{n}()\n" for n in range(100))
    found = read("python", text)
    assert len(found) > 3
    assert {p.name for p in found} == {"long"}
    assert [head for head, _ in group_by_definition(found)] == [0]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("javascript", "export const go = async () => {\n  run()\n}\nclass A {\n  b() {\n    c()\n  }\n}\n", {"go", "A", "A.b"}),
        ("typescript", "interface I {\n  a: string\n}\nexport function f(): void {\n  g()\n}\n", {"I", "f"}),
        ("typescript", "describe('shop', () => {\n  it('sells', () => {\n    x()\n  })\n})\n", {"shop", "shop.sells"}),
        ("tsx", "export function View() {\n  return <a/>\n}\n", {"View"}),
        ("go", "package a\n\ntype T struct {\n\tX int\n}\n\nfunc (t *T) Run() error {\n\treturn nil\n}\n", {"T", "Run"}),
        ("rust", "pub struct P { x: i32 }\n\nimpl P {\n    fn go(&self) -> i32 {\n        1\n    }\n}\n", {"P", "P.go"}),
        ("java", "class A {\n  int x;\n  void run() {\n    x = 1;\n  }\n}\n", {"A", "A.run"}),
        ("c", "struct s {\n  int a;\n};\n\nint main(void) {\n  return 0;\n}\n", {"s", "main"}),
        ("cpp", "namespace n {\nclass C {\n  void f() {\n    g();\n  }\n};\n}\n", {"n.C", "n.C.f"}),
        ("ruby", "module M\n  class A\n    def run\n      1\n    end\n  end\nend\n", {"M", "M.A", "M.A.run"}),
        ("c_sharp", "namespace N {\n  class A {\n    void Run() {\n      X();\n    }\n  }\n}\n", {"N.A", "N.A.Run"}),
        ("php", "<?php\nclass A {\n  function run() {\n    return 1;\n  }\n}\n", {"A", "A.run"}),
    ],
)  # fmt: skip
def test_outline_names_the_definitions_of_each_language(language, text, expected):
    assert expected <= {part.name for part in read(language, text)}


@pytest.mark.parametrize(
    ("language", "text", "link"),
    [
        ("python", "from a.b import c\n", "a.b"),
        ("typescript", "import { x } from './shop'\n", "./shop"),
        ("go", 'import "net/http"\n', "net/http"),
        ("rust", "use crate::shop::Till;\n", "crate::shop::Till"),
        ("c", '#include "till.h"\n', "till.h"),
        ("ruby", "require_relative 'till'\n", "till"),
    ],
)
def test_imports_are_read(language, text, link):
    assert grammar.import_targets(language, text) == [link]


def test_a_broken_file_still_has_parts():
    assert "good" in {p.name for p in read("python", "def good():\n    pass\n\ndef bad(:\n")}


def test_an_unknown_language_is_text():
    assert language_for_path("a.unknown") == ""
    assert grammar.definitions("klingon", b"x") == ()
    assert grammar.load_parser("no_such_grammar") is None


# -- ranking and packing ------------------------------------------------------------------------


@given(st.lists(st.floats(-12, 12), min_size=1, max_size=30))
def test_a_later_file_is_never_likelier(scores):
    found = ranking.chances(sorted(scores, reverse=True))
    assert all(0 <= chance <= 1 for chance in found)
    assert found == sorted(found, reverse=True)


def test_shares_are_one_together_and_follow_the_words():
    some = [Chunk(f"f{n}", "function", n * 3 + 1, n * 3 + 3, n * 3 + 1, 60) for n in range(4)]
    found = ranking.chunk_shares(some, [0.0, 9.0, 0.0, 0.0], [0.0] * 4, 9.0)
    assert sum(found) == pytest.approx(1)
    assert max(found) == found[1]


PIECES = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 300)), min_size=1, max_size=5)


@settings(max_examples=60)
@given(st.lists(PIECES, min_size=1, max_size=8), st.integers(8, 800))
def test_the_budget_is_never_exceeded_and_names_come_first(files, budget):
    groups, price_of = [], {}
    for file, pieces in enumerate(files):
        made = tuple(ChunkCandidate(n, worth, size) for n, (worth, size) in enumerate(pieces))
        groups.append(DefinitionGroup(file, 0, 0.3, min(5, made[0].tokens), made))
        price_of |= {(file, n, FULL_TEXT): size for n, (_, size) in enumerate(pieces)}
        price_of[file, 0, LISTED] = min(5, made[0].tokens)
        price_of[file, 0, SIGNATURE_ONLY] = made[0].tokens
    ordered = packing_steps(groups, dict.fromkeys(range(len(files)), (0.1, 10)))
    rates = [step.rate for step in ordered]
    assert rates == sorted(rates, reverse=True)

    def whole(file, forms):
        return sum(price_of[file, part, form] for part, form in forms.items())

    def cost(file, before, after):
        return whole(file, after) - whole(file, before) + (0 if before else 10)

    picked = choose_chunks(ordered, budget, cost)
    assert all(0 in forms for forms in picked.values())
    assert all(forms[0] > LISTED for forms in picked.values() if len(forms) > 1)
    assert sum(10 + whole(file, forms) for file, forms in picked.items()) <= budget


# -- screening ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".env", "may hold secrets"),
        ("deploy/.env.local", "may hold secrets"),
        ("prod.env", "may hold secrets"),
        ("keys/server.pem", "a key"),
        ("id_ed25519", "a key"),
        ("a/node_modules/x/index.js", "vendored"),
        ("poetry.lock", "generated"),
        ("app.min.js", "generated"),
        ("api/shop_pb2.py", "generated"),
        ("logo.PNG", "a picture"),
        ("src/app.py", ""),
        (".env.example", ""),
        ("src/environment.py", ""),
    ],
)
def test_secret_vendored_and_generated_files_are_excluded(path, reason):
    assert exclude.exclusion_reason(path) == reason


def test_secrets_are_masked_and_lines_stay():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----\n"
    text = f"a = 1\n{key}token = 'ghp_{'a' * 36}'\nsafe = 'sketch'\n"
    found = mask_secrets.mask_secrets("a.py", text)
    assert "MIIE" not in found
    assert "ghp_" not in found
    assert "sketch" in found
    assert found.count("\n") == text.count("\n")
    assert (
        mask_secrets.mask_secrets(".env", "export PORT=80\nEMPTY=\n# told\n")
        == "export PORT=***\nEMPTY=\n# told\n"
    )


# -- what a model reads -------------------------------------------------------------------------


def bundle(**more):
    item = Item(
        path="a.py", blob="1", mode="slice", tokens=3, text="x = 1\n", ranges=((2, 2),), language="python"
    )
    return Bundle("q", "/r", "", 100, 10, "o200k_base", "ranked", (item,), **more)


def test_every_render_style_includes_the_path_and_text():
    assert render_bundle(bundle(), "text") == "==> a.py (in part) <==\nx = 1\n\n"
    assert render_bundle(bundle(), "markdown").startswith("## a.py (in part)\n\n````python\nx = 1\n````\n")
    assert '<file path="a.py" part="in part"><![CDATA[\nx = 1\n]]></file>' in render_bundle(bundle(), "xml")
    assert '"path": "a.py"' in render_bundle(bundle(), "json")


def test_a_difference_and_given_output_come_before_files():
    text = render_bundle(bundle(diff="-a\n+b\n", given="E  assert"), "text")
    assert text.index("E  assert") < text.index("+b") < text.index("a.py")


def test_xml_survives_the_end_of_a_cdata_section():
    made = bundle()
    hostile = Item(path="a<b>.py", blob="1", mode="full", tokens=1, text="]]><evil>\n")
    import msgspec

    text = render_bundle(msgspec.structs.replace(made, items=(hostile,)), "xml")
    from xml.etree import ElementTree

    [file] = ElementTree.fromstring(f"<all>{text}</all>")
    assert file.get("path") == "a<b>.py"
    assert file.text.strip() == "]]><evil>"
