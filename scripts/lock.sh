#!/bin/sh
# Pin the newest versions that fit pyproject.toml, with hashes. No file names where they come from.
set -eu
cd "$(dirname "$0")/.."
pin() { .venv/bin/uv pip compile --quiet ${UPGRADE---upgrade} --generate-hashes --universal --python-version 3.11 --no-header "$@"; }
pin requirements/uv.in --output-file requirements/uv.txt
pin pyproject.toml --output-file requirements/runtime.txt
pin pyproject.toml --group dev --override requirements/overrides.in --output-file requirements/dev.txt
pin --group bench --output-file requirements/bench.txt
