# One word per job. `make` alone lists them.

PYTHON ?= python3
PORT ?= 8000
DATA ?=
TESTS ?=

BIN := .venv/bin
PIP := $(BIN)/pip -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo setup test lint format check bench docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.runtime ## a feed in the browser: installs what it needs, then runs every role (DATA=path, PORT=8000, SERVERS=1 for Kafka, Redis and PostgreSQL)
	@echo "Reelrank is starting; the feed will be at http://127.0.0.1:$(PORT)"
	@$(if $(SERVERS),scripts/install-servers)
	@$(BIN)/reelrank up --demo --port $(PORT) $(if $(DATA),--data "$(DATA)") $(if $(SERVERS),--servers)

setup: .venv/.dev ## the environment for development, in .venv, that of the peers, and the servers that tests and measurements start
	@scripts/install-servers
	@scripts/peers

test: .venv/.dev ## all tests (TESTS="tests/pipeline -k seen" for some of them)
	@scripts/install-chromium
	@scripts/install-servers
	@scripts/peers
	@$(BIN)/pytest $(TESTS)

lint: .venv/.dev ## format, lint, types and the import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports

format: .venv/.dev ## rewrites the code as `lint` wants it
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

check: lint test ## everything that must hold before a change goes in

bench: .venv/.runtime ## how fast it reacts, what survives a kill, how fast a feed is
	@$(BIN)/reelrank bench reaction
	@$(BIN)/reelrank bench faults
	@$(BIN)/reelrank bench feed

docs: .venv/.dev ## the documentation, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## removes the environment and everything that was built; data stays
	@rm -rf .venv .venv-peers .pytest_cache .ruff_cache .hypothesis .import_linter_cache site dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); Reelrank needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

# Two stamps: the demo does not wait for the tools of development.
.venv/.runtime: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Reelrank into .venv"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.dev: .venv/.runtime
	@echo "Installing the tools of development into .venv"
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@
