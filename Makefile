# Every task of this project. Each sets up what it needs by itself: Python 3.11, git and make are enough.
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

help: ## Show the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Make .venv with the pinned packages
	@./scripts/bootstrap.sh

demo: setup ## Run the demonstration: from a backlog to landed work, one run killed and resumed
	@$(BIN)/prj demo

test: setup ## Run all tests
	@$(PYTEST) -n auto -q

test-fast: setup ## Run the tests without real agents, crashes at every call and many generated examples
	@$(PYTEST) -n auto -q -m "not slow and not exhaustive" --hypothesis-profile=fast

check: setup format-check lint types imports deps coverage bench-quick ## Run every gate that CI has

format: setup ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

format-check: setup
	@$(BIN)/ruff format --check .

lint: setup ## Lint
	@$(BIN)/ruff check .

types: setup ## Check types
	@$(BIN)/mypy

deps: setup ## Check that every import is declared, and every dependency used
	@$(BIN)/deptry src 2>/dev/null || $(BIN)/deptry src

imports: setup ## Check the import contract
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

test-agents: setup ## Run the contract of agents on OpenCode and Gemini too; needs npm
	@npm install --silent --no-save --prefix .agents opencode-ai @google/gemini-cli
	@PRUNEJUICE_TEST_AGENTS=$(CURDIR)/.agents/node_modules/.bin $(PYTEST) -q tests/contracts/test_acp_programs.py

coverage: setup ## Run all tests with branch coverage, and check its minimum
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q -n auto -m "not exhaustive" -p no:cacheprovider
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report
	@$(BIN)/coverage report --include='*/workflow/condition.py,*/engine/schedule.py,*/engine/run.py,*/system/process.py,*/system/process_tags.py,*/worktrees/git.py,*/changes/transaction.py,*/changes/staging.py,*/changes/dirfd.py,*/changes/filesystem.py,*/edits/path_rules.py,*/edits/protected_files.py' --fail-under=100

mutants: setup ## Remove each guard of tests/guards.toml and put faults into its modules: tests must notice
	@$(BIN)/python scripts/mutants.py

bench: setup ## Measure, as ratios in one run; writes bench/RESULTS.md
	@$(BIN)/python -m compileall -q src
	@$(BIN)/python bench/run.py

bench-quick: setup ## Run the shorter measurements with few rounds, so that they cannot rot; writes nothing
	@$(BIN)/python bench/run.py --quick start_up first_step many_runs status_of_many steps_in_a_repository changes

bench-sandbox: setup ## Measure what a sandbox costs; writes bench/SANDBOX.md
	@$(BIN)/python bench/sandbox.py

bench-edits: setup ## Measure edits on git repositories: make bench-edits REPOSITORIES="a b"
	@$(BIN)/python bench/edits.py $(REPOSITORIES) --write

bench-contexts: setup ## Measure contexts on git repositories: make bench-contexts REPOSITORIES="a b"
	@$(BIN)/python bench/contexts.py $(REPOSITORIES)

docs: setup figures ## Generate docs/reference.md and docs/modules.md
	@$(BIN)/python scripts/reference.py

figures: setup ## Copy the figures of bench/ into the documents
	@$(BIN)/python scripts/figures.py

picture: setup ## Make the picture of the README from a real run
	@$(BIN)/python scripts/picture.py

lock: setup ## Pin the newest versions that fit
	@./scripts/lock.sh

clean: ## Remove everything that tasks made
	@rm -rf .venv .agents .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* dist

.PHONY: help setup demo test test-fast test-agents check format format-check lint types imports deps coverage bench bench-quick bench-edits bench-contexts docs figures picture lock clean
