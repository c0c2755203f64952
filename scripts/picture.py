"""Make docs/demo.svg, the picture of the README, from a real run of the demo.

python scripts/picture.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]


def main() -> None:
    env = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    code = (
        "import click.utils, sys; import click._compat as c; c.should_strip_ansi = lambda *a, **k: False;"
        "import click.utils as u; u.should_strip_ansi = c.should_strip_ansi;"
        "from prunejuice.cli.prj import prj; prj(['demo'], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    shown = done.stdout[done.stdout.index("\n\x1b[1mAn agent for each task") :]
    shown = re.sub(r"/tmp/[\w.-]+/", "", shown).replace(sys.executable, "python3")
    shown = re.sub(r"/var/folders/[\w./-]+/T/[\w.-]+/", "", shown)
    # Tables and patches are left out, so that the picture fits beside the text.
    shown = re.sub(r"(?s)\x1b\[36m\$ prj (?:compare|diff) .*?(?=\x1b\[36m\$ prj)", "", shown)
    shown = re.sub(r"(?s)(\n  evidence [^\n]*\n)  evidence .*?(?=\n  to review)", r"\1", shown)
    console = Console(record=True, width=100, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(shown.strip("\n")), no_wrap=True, overflow="ellipsis", crop=True)
    picture = console.export_svg(title="prj demo")
    # The picture must not load fonts from anywhere.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL).replace("Fira Code,", "")
    (ROOT / "docs" / "demo.svg").write_text(picture)


if __name__ == "__main__":
    main()
