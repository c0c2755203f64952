"""Many files are parsed in several processes, with the result of one."""

import os

import pytest

from conftest import git
from prunejuice.context.contents import ContentRequest, largest_size, parse_contents
from prunejuice.context.engine import Engine
from prunejuice.context.index import CodeIndex
from prunejuice.context.parser_process import is_worth_processes, parse_in_processes
from prunejuice.context.request import ContextRequest
from prunejuice.context.segment import Segment

FILES = {
    "shop/cart.py": b"class Cart:\n    def checkout(self):\n        return total(self)\n",
    "shop/copy.py": b"class Cart:\n    def checkout(self):\n        return total(self)\n",
    "shop/price.py": b"def total(cart):\n    return cart.price\n",
    "web/till.ts": b"export function openTill(): void {\n  ring()\n}\n",
    "data.bin.txt": b"a\0b",
    "large.txt": b"x\n" * 300_000,
}
ODD = os.fsdecode(b"caf\xe9.py")


@pytest.fixture
def tree(tmp_path):
    for path, data in (FILES | {ODD: b"def brew():\n    pass\n"}).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


def request_for(tree, *missing, known=()):
    paths = [*FILES, ODD, *missing]
    return ContentRequest(str(tree), "", {path: largest_size(path) for path in paths}, known)


def parsed(request):
    """The keys, the reasons and the terms with the keys of their files, parsed in processes."""
    index, keys, excluded = CodeIndex(None), {}, {}
    for answer in parse_in_processes(request):
        index.add_segment(Segment.unpack(answer.segment))
        keys.update(answer.keys_by_path())
        excluded.update(answer.reasons_by_path())
    return keys, excluded, contents(index)


def contents(index):
    key_of = {entry.id: key for key, entry in index.entries().items()}
    chunks = {
        key: [tuple(chunk) for chunk in index.chunks(entry.id, entry.length)]
        for key, entry in index.entries().items()
    }
    found = {}
    for term in ("cart", "checkout", "total", "till", "brew"):
        impacts = ((key_of.get(number >> 6), number & 63) for number in index.postings(term).files)
        found[term] = sorted({pair for pair in impacts if pair[0]})
    return chunks, found


@pytest.mark.parametrize("failing", [False, True])
def test_processes_find_what_one_process_finds(tree, monkeypatch, failing):
    if failing:  # no interpreter starts with this; the files are parsed here
        monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    request = request_for(tree, "gone.py")
    index, keys, excluded = CodeIndex(None), {}, {}
    index.add(parse_contents(request, keys, excluded))
    assert parsed(request) == (keys, excluded, contents(index))
    assert set(excluded) == {"data.bin.txt", "large.txt", "gone.py"}
    assert ODD in keys


def test_known_contents_are_not_parsed_again(tree):
    keys, _, (chunks, _) = parsed(request_for(tree))
    again, _, (rest, _) = parsed(request_for(tree, known=frozenset(chunks)))
    assert again == keys
    assert rest == {}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen")
def test_cores_do_not_change_the_answer(repository):
    for number in range(1_050):
        (repository / f"step_{number}.py").write_text(
            f"def pay_{number}(cart):\n    return cart.pay({number})\n"
        )
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Pay in steps")
    cores = os.sched_getaffinity(0)
    texts = []
    for chosen in (cores, {min(cores)}):
        os.sched_setaffinity(0, chosen)
        try:
            request = ContentRequest("", "", dict.fromkeys(map(str, range(1_000)), 1), ())
            assert is_worth_processes(request) is (len(chosen) > 1)
            engine = Engine(repository, os.environ)
            texts.append([item.text for item in engine.gather(ContextRequest(query="pay 1007 cart")).items])
            engine.index.rebuild("again")
            engine.close()
        finally:
            os.sched_setaffinity(0, cores)
    assert texts[0] == texts[1] != []
