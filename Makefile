# Every task of this project. Each sets up what it needs by itself: Python 3.11, git and make are enough.
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

help: ## Show the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Make .venv with the pinned packages
	@./scripts/bootstrap.sh

demo: setup ## See it work: three runs at once, one killed and resumed
	@$(BIN)/prj demo

test: setup ## Run all tests
	@$(PYTEST) -n auto -q

check: setup format-check lint types imports coverage ## Every gate that CI has

format: setup ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

format-check: setup
	@$(BIN)/ruff format --check .

lint: setup ## Lint
	@$(BIN)/ruff check .

types: setup ## Check types
	@$(BIN)/mypy

imports: setup ## Check who imports whom
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

test-agents: setup ## Run the contract of agents on OpenCode and Gemini too; needs npm
	@npm install --silent --no-save --prefix .agents opencode-ai @google/gemini-cli
	@PRUNEJUICE_TEST_AGENTS=$(CURDIR)/.agents/node_modules/.bin $(PYTEST) -q tests/contracts/test_acp_programs.py

coverage: setup ## Run all tests with branch coverage, and hold it to its floors
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q -n auto -p no:cacheprovider
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report
	@$(BIN)/coverage report --include='*/condition.py,*/schedule.py,*/run.py,*/process.py,*/git.py,*/transaction.py,*/slot.py,*/rooted.py,*/disk.py,*/pathname.py' --fail-under=100

bench: setup ## Measure, as ratios in one run; writes bench/RESULTS.md
	@$(BIN)/python -m compileall -q src
	@$(BIN)/python bench/run.py

bench-edits: setup ## Measure the ladder on git repositories: make bench-edits REPOSITORIES="a b"
	@$(BIN)/python bench/edits.py $(REPOSITORIES) --write

bench-contexts: setup ## Measure contexts on git repositories: make bench-contexts REPOSITORIES="a b"
	@$(BIN)/python bench/contexts.py $(REPOSITORIES)

docs: setup ## Generate the reference
	@$(BIN)/python scripts/reference.py

picture: setup ## Make the picture of the README from a real run
	@$(BIN)/python scripts/picture.py

lock: setup ## Pin the newest versions that fit
	@./scripts/lock.sh

clean: ## Remove everything that tasks made
	@rm -rf .venv .agents .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* dist

.PHONY: help setup demo test test-agents check format format-check lint types imports coverage bench bench-edits bench-contexts docs picture lock clean
