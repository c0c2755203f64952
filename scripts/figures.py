"""Copy figures from bench/*.md into the documents, so that they never disagree.

python scripts/figures.py [--check]

A figure stands between `<!--=NAME-->` and `<!--/-->`; NAME is a key of `FIGURES`.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PLACE = re.compile(r"(<!--=([\w-]+)-->).*?(<!--/-->)")

# The first column of a row of a table in bench/, and the number of the cell to copy.
FIGURES = {
    "driver-kills": ("RESULTS.md", "SIGKILLs of a driver at random moments", 1),
    "steps-repeated": ("RESULTS.md", "finished steps repeated after them", 1),
    "runs-lost": ("RESULTS.md", "runs lost after them", 1),
    "runs-stuck": ("RESULTS.md", "runs stuck after them", 1),
    "worktree-kills": ("RESULTS.md", "SIGKILLs while one is made and removed", 1),
    "torn": ("RESULTS.md", "killed before and after each call, in four ways to sync and rename", 1),
    "status": ("RESULTS.md", "`prj status` / `python -c pass`", 1),
    "steps-prj": ("RESULTS.md", "200 no-op steps: prj, 200 steps", 1),
    "steps-just": ("RESULTS.md", "200 no-op steps: just (keeps nothing)", 1),
    "steps-doit": ("RESULTS.md", "200 no-op steps: doit (keeps only what succeeded)", 1),
    "edits": ("EDITS.md", "mean over the recoverable kinds", 1),
}


def main() -> int:
    stale = []
    for path in DOCUMENTS:
        text = path.read_text()
        fresh = PLACE.sub(lambda match: f"{match[1]}{figure(match[2])}{match[3]}", text)
        if fresh != text:
            stale.append(path)
            if "--check" not in sys.argv:
                path.write_text(fresh)
    for path in stale:
        print(path.relative_to(ROOT))
    return 1 if stale and "--check" in sys.argv else 0


def figure(name: str) -> str:
    """Return the text of a figure.

    Raises:
        SystemExit: bench/ has no such row; the name or the row was changed.
    """
    file, row, cell = FIGURES[name]
    for line in (ROOT / "bench" / file).read_text().splitlines():
        cells = [text.strip() for text in line.strip("|").split("|")]
        if line.startswith("|") and cells[0].startswith(row):
            return cells[cell].replace("*", "")
    raise SystemExit(f"bench/{file} has no row {row!r}, which the figure {name!r} of the documents needs")


if __name__ == "__main__":
    sys.exit(main())
