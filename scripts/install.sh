#!/bin/sh
# Install prj and the other programs for this user with uv, from the checkout that holds this script.
set -eu
case "$0" in
*install.sh) here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) ;;
*) here= ;; # read from a pipe: there is no checkout
esac
if [ -z "$here" ] || ! grep -qs '^name = "prunejuice"$' "$here/pyproject.toml"; then
  echo "error: this script installs the checkout that it is in, and is in none" >&2
  echo "  fix: clone the repository, then run: sh scripts/install.sh" >&2
  exit 2
fi
if ! command -v uv >/dev/null; then
  echo "error: uv is not installed" >&2
  echo "  fix: run: python3 -m pip install --user uv   or see https://docs.astral.sh/uv" >&2
  exit 2
fi
uv tool install --force --compile-bytecode --constraints "$here/requirements/runtime.txt" "$here"
command -v git >/dev/null || echo "note: git is not installed; worktrees need it" >&2
command -v tmux >/dev/null || echo "note: tmux is not installed; runs go on without sessions" >&2
if command -v prj >/dev/null; then
  prj --version
else
  echo "note: prj is not on your PATH yet; run: uv tool update-shell, and open a new terminal" >&2
fi
