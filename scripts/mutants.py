"""Remove each guard, and put faults into the modules of tests/guards.toml, in a copy: a test must notice.

    python scripts/mutants.py [--sample N] [--seed N] [WORD…]

Only guards and modules whose file contains one of the words are tried. Exits with 1 if a fault survives
that is not listed with its reason. It takes some minutes, so no gate runs it.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
SECONDS = 900
_EMPTY = {"False", "[]", '""', "()", "{}"}

sys.path.insert(0, str(ROOT / "src"))

from prunejuice.code import mutant  # noqa: E402


class Fault(NamedTuple):
    """A fault: the file, its new text, the tests that must notice, and what it is."""

    file: str
    text: str
    tests: Sequence[str]
    name: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--sample", type=int, default=6, help="how many faults of each module are tried")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    table = tomllib.loads((ROOT / "tests/guards.toml").read_text())
    faults = [*removed_guards(table), *sampled_faults(table, given.sample, random.Random(given.seed))]
    chosen = [
        fault for fault in faults if not given.words or any(word in fault.file for word in given.words)
    ]
    with copied_tree() as tree:
        survivors = [fault for fault in chosen if not is_noticed(fault, tree)]
    print(f"{len(chosen)} faults, {len(chosen) - len(survivors)} noticed, {len(survivors)} survived")
    return 1 if survivors else 0


def removed_guards(table: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the fault of each guard: the file without it."""
    for guard in table["guard"]:
        text = (ROOT / guard["file"]).read_text()
        if text.count(guard["old"]) != 1:
            sys.exit(f"{guard['file']} has no single {guard['old']!r}")
        new = text.replace(guard["old"], guard["new"])
        yield Fault(guard["file"], new, guard["tests"], f"guard: {guard['why']}")


def sampled_faults(table: Mapping[str, Any], count: int, rng: random.Random) -> Iterator[Fault]:
    """Yield some faults of each module, without those that are known to survive."""
    for module in table["module"]:
        text = (ROOT / module["path"]).read_text()
        lines = text.split("\n")
        known = {(each["line"], each["was"], each["now"]) for each in module.get("survivors", [])}
        found = [
            each
            for each in mutant.generate_mutants(text, range(len(lines) + 1))
            if (lines[each.line - 1].strip(), each.was, each.now) not in known
            and not (each.now == "None" and each.was in _EMPTY)  # as false as before
        ]
        for each in rng.sample(found, min(count, len(found))):
            name = (
                f"{module['path']}:{each.line}: {each.now} for {each.was} in {lines[each.line - 1].strip()}"
            )
            yield Fault(module["path"], each.source, module["tests"], name)


@contextmanager
def copied_tree() -> Iterator[Path]:
    """Yield a copy of the files that git knows, without those that it ignores."""
    words = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in filter(None, names):
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
        yield Path(folder)


def is_noticed(fault: Fault, tree: Path) -> bool:
    """Return whether a test fails, or does not end, with a fault in the copy; print the verdict."""
    file, original = tree / fault.file, (ROOT / fault.file).read_text()
    file.write_text(fault.text)
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *fault.tests]
    environ = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(argv, cwd=tree, env=environ, capture_output=True, timeout=SECONDS, check=False)
        noticed = run.returncode in {1, 2}  # 2: a test file could not be imported
        verdict = "noticed" if noticed else f"SURVIVED (pytest exited with {run.returncode})"
    except subprocess.TimeoutExpired:
        noticed, verdict = True, "noticed (time limit)"
    finally:
        file.write_text(original)
    print(f"{verdict}  {fault.name}", flush=True)
    return noticed


if __name__ == "__main__":
    sys.exit(main())
