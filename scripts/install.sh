#!/bin/sh
# Install prj and prunejuice for this user with uv: from this folder, or from the index when it is run alone.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
command -v uv >/dev/null || { echo "uv is needed: see its documentation, or run: python3 -m pip install --user uv" >&2; exit 2; }
if [ -f "$here/pyproject.toml" ]; then
  uv tool install --force --compile-bytecode --constraints "$here/requirements/runtime.txt" "$here"
else
  uv tool install --force --compile-bytecode prunejuice
fi
command -v git >/dev/null || echo "note: git is not installed; worktrees need it" >&2
command -v tmux >/dev/null || echo "note: tmux is not installed; runs go on without sessions" >&2
prj --version || echo "put uv's tool folder on your PATH: uv tool update-shell" >&2
