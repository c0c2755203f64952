"""The kind of a hunk is claimed only when it is proved."""

import pytest

from prunejuice.changes import classify
from prunejuice.edits import diff
from prunejuice.edits.diff import FileDiff, Version


def kinds(path, old, new):
    (hunk,) = diff.compute_hunks(FileDiff(path, Version(old.encode()), Version(new.encode())))
    return set(classify.classify_hunk(classify.HunkInFile(hunk, old, new)))


CODE = 'import os\n\n\ndef f(items):\n    """Do."""\n    total = 0\n    for item in items:  # all\n        total += item\n    return total\n'

CERTAIN = {
    "import added": ("a.py", CODE, CODE.replace("import os\n", "import os\nimport sys\n")),
    "import added from": (
        "a.py",
        CODE,
        CODE.replace("import os\n", "import os\nfrom a.b import (\n    c,\n    d,\n)\n"),
    ),
    "import added in TypeScript": (
        "a.ts",
        "let a = 1;\n",
        "import { b } from './b';\nimport type { C } from \"c\";\nlet a = 1;\n",
    ),
    "rename": ("a.py", CODE, CODE.replace("total", "amount")),
    "docstring only": ("a.py", CODE, CODE.replace('"""Do."""', '"""Add up."""')),
    "formatting only": ("a.py", CODE, CODE.replace("total = 0", "total=0")),
    "formatting only over lines": ("a.py", "f(a, b)\n", "f(\n    a,\n    b,\n)\n"),
    "formatting only in Go": ("a.go", "func f() {\n    return\n}\n", "func f() {\n\treturn\n}\n\n"),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_kinds(name):
    expected = next(
        known
        for known in ("import added", "rename", "docstring only", "formatting only")
        if name.startswith(known)
    )
    assert kinds(*CERTAIN[name]) == {expected}


TRAPS = {
    "an import and a call": (
        "a.py",
        CODE,
        CODE.replace("import os\n", "import os\nimport sys; sys.exit()\n"),
    ),
    "an import of everything": ("a.py", CODE, CODE.replace("import os\n", "import os\nfrom os import *\n")),
    "an import that replaces one": ("a.py", CODE, CODE.replace("import os\n", "import sys\n")),
    "an import with code behind it": ("a.ts", "let a = 1;\n", "import b from 'b'; steal();\nlet a = 1;\n"),
    "a rename to a name that is there": ("a.py", "a = 1\nb = 2\nc = a\n", "a = 1\nb = 2\nc = b\n"),
    "a rename of one of two": ("a.py", "x = old\ny = old\n", "x = new\ny = old\n"),
    "a rename to a keyword": ("a.py", "x = y\n", "x = None\n"),
    "a rename of a builtin": ("a.py", "x = min(a)\n", "x = max(a)\n"),
    "a changed number": ("a.py", "x = 1\n", "x = 2\n"),
    "a changed operator": ("a.py", "if a and b: pass\n", "if a or b: pass\n"),
    "two renames that swap": ("a.py", "f(a, b)\n", "f(b, a)\n"),
    "a docstring and code": (
        "a.py",
        CODE,
        CODE.replace('"""Do."""\n    total = 0', '"""Add up."""\n    total = 1'),
    ),
    "a string that is no docstring": ("a.py", 'x = """Do."""\n', 'x = """Undo."""\n'),
    "another method of something else": ("a.py", "a.remove(b)\n", "a.append(b)\n"),
    "another function from elsewhere": ("a.py", "x = load(b)\n", "x = unsafe(b)\n"),
    "a word in a string": ("a.py", "x = 'read'\n", "x = 'write'\n"),
    "a comment": ("a.py", CODE, CODE.replace("# all", "# noqa")),
    "space in a string": ("a.py", "x = 'a b'\n", "x = 'ab'\n"),
    "indentation that means something": (
        "a.py",
        "for a in b:\n    c()\nd()\n",
        "for a in b:\n    c()\n    d()\n",
    ),
    "indentation in YAML": ("a.yaml", "a:\n  b: 1\n", "a:\nb: 1\n"),
    "space in a template": ("a.ts", "let a = `\n  x\n`;\n", "let a = `\nx\n`;\n"),
    "space in a template that began long before": (
        "a.ts",
        "let a = `\n" + "x\n" * 20 + "  y\n`;\n",
        "let a = `\n" + "x\n" * 20 + "y\n`;\n",
    ),
    "lines in another order": ("a.go", "a()\nb()\n", "b()\na()\n"),
    "what does not parse": ("a.py", "x = (\n", "x = ( \n"),
    "a type of file that nobody knows": ("a.txt", "a b\n", "a  b\n"),
    "an argument by another name": ("a.py", "run(cmd, timeout=5)\n", "run(cmd, shell=5)\n"),
    "an attribute": ("a.py", "owner = 1\nuser.owner.check()\n", "admin = 1\nuser.admin.check()\n"),
    "a test that is not found any more": (
        "a.py",
        "def test_login():\n    pass\n",
        "def xtest_login():\n    pass\n",
    ),
    "a method": (
        "a.py",
        "class A:\n    def old(self):\n        pass\n",
        "class A:\n    def new(self):\n        pass\n",
    ),
    "an import that shadows a builtin": (
        "a.py",
        "x = 1\n\n\nopen('x')\n",
        "x = 1\nfrom evil import open\n\n\nopen('x')\n",
    ),
    "an import of a name that is used": (
        "a.py",
        "x = 1\n\n\nload('x')\n",
        "x = 1\nfrom evil import load\n\n\nload('x')\n",
    ),
    "an import in a string": ("a.py", 'x = """\na\n\nb\n"""\n', 'x = """\na\nimport os\n\nb\n"""\n'),
    "an import in a function": (
        "a.py",
        "def f():\n    pass\n\n\n    x = 1\n",
        "def f():\n    pass\n    import os\n\n\n    x = 1\n",
    ),
    "an import for its effects": ("a.ts", "let a = 1;\n", "import 'evil';\nlet a = 1;\n"),
    "an import below code": (
        "a.ts",
        "let a = 1;\n\nf();\n",
        "let a = 1;\nimport { g } from 'g';\n\nf();\n",
    ),
    "an import of a name that is there": (
        "a.ts",
        "let a = 1;\nf();\n",
        "import { f } from 'g';\nlet a = 1;\nf();\n",
    ),
    "a first line that says how to run": (
        "a.py",
        "#!/usr/bin/python3\nx = 1\n",
        "\n#!/usr/bin/python3\nx = 1\n",
    ),
    "an encoding that moves": ("a.py", "# coding: latin-1\n\n\nx = 1\n", "\n\n# coding: latin-1\nx = 1\n"),
    "a comment that moves": (
        "a.py",
        "a = 1\nb = 2\nc = 1  # noqa\nd = 2\n",
        "a = 1\nb = 2\nc = 1\nd = 2  # noqa\n",
    ),
    "a text of several lines in Rust": ("a.rs", 'let a = "x\n  y";\n', 'let a = "x\ny";\n'),
    "a text of several lines in C#": ("a.cs", 'var a = @"x\n  y";\n', 'var a = @"x\ny";\n'),
    "an escaped backtick": ("a.ts", "let a = `x\\`\n  y`;\n", "let a = `x\\`\ny`;\n"),
    "text in JSX": ("a.tsx", "<p>\n  a\n</p>\n", "<p>\na\n</p>\n"),
    "a docstring that is read": (
        "a.py",
        '"""Usage: a"""\n\n\n\nx = docopt(__doc__)\n',
        '"""Usage: a --unsafe"""\n\n\n\nx = docopt(__doc__)\n',
    ),
    "a docstring that is run": (
        "a.py",
        'x = 1\n\n\ndef f():\n    """\n    >>> f()\n    """\n',
        'x = 1\n\n\ndef f():\n    """\n    >>> g()\n    """\n',
    ),
    "too deep an expression": ("a.py", "y = 1\n\n\nz = 1\n", "y = 1\n\n\nz = " + "-" * 200_000 + "1\n"),
    "too long a chain": ("a.py", "y = 1\n\n\nz = 1\n", "y = 1\n\n\nz = a" + ".a" * 100_000 + "\n"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_traps_are_of_no_kind(name):
    assert kinds(*TRAPS[name]) == set()


def risks(path, old, new, mode=0o644):
    (hunk,) = diff.compute_hunks(FileDiff(path, Version(old), Version(new, mode)))
    return classify.find_risks(hunk, mode)


def test_risks():
    assert risks(".github/workflows/x.yml", None, b"x\n") == ["decides what runs on this machine"]
    assert risks("Makefile", b"a\n", b"b\n") == ["may decide what runs"]
    assert risks("tests/test_a.py", b"a\n", None) == ["deletes the file", "changes a test"]
    assert risks("run.sh", None, b"x\n", 0o755) == ["makes the file executable"]
    assert risks("a.py", b"x\n" * 30, b"y\n") == ["removes much more than it adds"]
    assert risks("a.py", b"a\n", b"b\n") == []
    assert risks("src/a_test.go", b"a\n", b"b\n") == ["changes a test"]
    assert risks("tests/test_new.py", None, b"b\n") == []
