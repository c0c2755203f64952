"""`scripts/install.sh` installs its own checkout, and nothing else."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install.sh"


@pytest.fixture
def install(tmp_path):
    """Run the script in a folder with a `uv` that only prints its arguments."""
    tools = tmp_path / "bin"
    tools.mkdir()

    def installed(*argv, cwd, uv=True, stdin=None):
        if uv:
            (tools / "uv").write_text('#!/bin/sh\necho "uv $*"\n')
            (tools / "uv").chmod(0o755)
        env = {"PATH": f"{tools}:/usr/bin:/bin"}
        return subprocess.run(
            argv, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, check=False
        )

    return installed


def test_the_checkout_of_the_script_is_installed(install, tmp_path):
    made = install("sh", SCRIPT, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("uv tool install --force")
    assert made.stdout.rstrip().endswith(str(SCRIPT.parents[1]))
    assert "prj is not on your PATH" in made.stderr


@pytest.mark.parametrize("way", ["piped", "alone", "in another project"])
def test_no_other_folder_is_taken_for_the_checkout(install, tmp_path, way):
    project = tmp_path / "other"
    (project / "sub").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "other"\n')
    (project / "sub/install.sh").write_text(SCRIPT.read_text())
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/install.sh").write_text(SCRIPT.read_text())
    if way == "piped":
        made = install("sh", cwd=project / "sub", stdin=SCRIPT.read_text())
    else:
        made = install("sh", {"alone": "alone/install.sh"}.get(way, "other/sub/install.sh"), cwd=tmp_path)
    assert made.returncode == 2
    assert "uv" not in made.stdout
    assert "clone the repository" in made.stderr


def test_without_uv_the_way_to_it_is_named(install, tmp_path):
    made = install("sh", SCRIPT, cwd=tmp_path, uv=False)
    assert made.returncode == 2
    assert "uv is not installed" in made.stderr
