"""Shell configuration files are parsed without a shell."""

from prunejuice.system import shell_config

TEXT = """
# a comment
WORKTREE_NAME_PREFIX="${WORKTREE_NAME_PREFIX:-me}"
export PLUM_EDITOR=code   # with a comment
PLUM_EDITOR_ARGS="--new-window --wait"
PLUM_PARENT_DIR=~/trees
PLUM_OTHER="$HOME/x/${NOTHING}y"
PLUM_FILES_TO_COPY=(
  ".vscode/tasks.json"   # why
  'with space'
)
PLUM_RUN=$(touch /tmp/never)
PLUM_BROKEN="unclosed
if [ -f x ]; then PLUM_IN=1; fi
two words=x
"""


def test_shell_config_reads_simple_assignments_and_skips_the_rest():
    found = shell_config.parse(TEXT, {"HOME": "/home/me"})
    assert found["WORKTREE_NAME_PREFIX"] == "me"
    assert found["PLUM_EDITOR"] == "code"
    assert found["PLUM_EDITOR_ARGS"] == "--new-window --wait"
    assert found["PLUM_PARENT_DIR"] == "/home/me/trees"
    assert found["PLUM_OTHER"] == "/home/me/x/y"
    assert found["PLUM_FILES_TO_COPY"] == [".vscode/tasks.json", "with space"]
    assert "PLUM_BROKEN" not in found
    assert shell_config.parse('A="${B:-x}"', {"B": "set"}) == {"A": "set"}


def test_nothing_is_run(tmp_path):
    mark = tmp_path / "ran"
    shell_config.parse(f"A=$(touch {mark})\nB=`touch {mark}`\nC=x; touch {mark}\n", {})
    assert not mark.exists()
