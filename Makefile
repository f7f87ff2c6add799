# Everything is made from here; `make` alone lists the targets.
# Nothing is needed but make and Python >= 3.11 (`make PYTHON=/path/to/python3` picks one).

PYTHON ?= python3
PORT ?= 8000
ENGINE_PORT ?= 4566
DEBUG ?=
PERSIST ?=
WEBHOOK_SECRET ?=

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
SAM := .venv-sam/bin/sam
# A lock is whole, so pip has nothing to resolve (--no-deps); pip check then proves it. Most of what is locked is never
# imported: what is, Python compiles by itself (--no-compile), and the installation takes a third less time.
PIP_FLAGS := --quiet --disable-pip-version-check --no-input
SOURCES := functions infra tests
PYTEST := $(BIN)/python -m pytest
NEEDS_MORE := cluster or packaging or apt or fuzz or long or bench
RUNS_ALONE := cluster or bench
# Most tests wait for an engine or a process; a file stays with one worker, for the sake of its fixtures. The files come
# in the order of tests/conftest.py.
SIDE_BY_SIDE := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# sam is to report nothing, and to keep its own notes here instead of in the home directory.
export SAM_CLI_TELEMETRY := 0
export __SAM_CLI_APP_DIR := $(CURDIR)/.aws-sam/cli
# Tests and runs start many processes, and each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

# The directories that the editable install maps: a new one has to be installed.
PACKAGES := $(wildcard functions/*/__init__.py infra/__init__.py)

# Refuses, in one sentence that says what to do, a Python that cannot make the environment.
define require_python
@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 or newer, or name one with make PYTHON=/path/to/python3." >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), Tasklane needs Python 3.11 or newer: name one with make PYTHON=/path/to/python3." >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) comes without its venv module: install it (Debian and Ubuntu: apt-get install python3-venv), then run make again." >&2; exit 1; }
endef

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: .venv/installed ## make the development environment in .venv, with nothing but pip

.venv/locked: requirements-dev.lock
	$(require_python)
	@echo "Installing into .venv (about a minute the first time)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install $(PIP_FLAGS) --no-compile --require-hashes --no-deps --requirement requirements-dev.lock
	@$(BIN)/python -m pip check
	@touch $@

.venv/installed: .venv/locked pyproject.toml $(PACKAGES)
	@$(BIN)/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-sam/installed: requirements-sam.lock
	$(require_python)
	@echo "Installing the AWS SAM command line into .venv-sam"
	@$(PYTHON) -m venv --clear .venv-sam
	@.venv-sam/bin/python -m pip install $(PIP_FLAGS) --no-compile --require-hashes --no-deps --requirement requirements-sam.lock
	@.venv-sam/bin/python -m pip check
	@touch $@

# Ctrl-C is for the run alone: with a terminal, `set -m` gives it the foreground, so that make itself is not
# interrupted and ends with the run's own exit code, which is 0. Bash finds the terminal at stderr. Without one the run
# takes the shell's place, and make waits for it.
.PHONY: run
run: .venv/installed ## run everything here: PORT=8000 ENGINE_PORT=4566 DEBUG=1 PERSIST=1 WEBHOOK_SECRET=whsec_...
	@export PORT='$(PORT)' ENGINE_PORT='$(ENGINE_PORT)' DEBUG='$(DEBUG)' PERSIST='$(PERSIST)' WEBHOOK_SECRET='$(WEBHOOK_SECRET)'; \
	if [ -t 0 ] && [ -t 2 ]; then set -m; $(BIN)/python -m infra.local; else exec $(BIN)/python -m infra.local; fi

.PHONY: test
test: .venv/installed ## run every test that needs nothing but this environment (under five minutes)
	@$(PYTEST) -q $(SIDE_BY_SIDE) -m 'not ($(NEEDS_MORE))'

# What only the system's package manager can install. Without root (or without apt) the tests that need it are skipped,
# with the reason; in CI that is a failure.
.PHONY: chromium
chromium: ## install the browser that the dashboard's tests drive (Debian, Ubuntu: as root)
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing chromium, for the tests of the dashboard"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		else \
			echo "No chromium here: install it, and the tests of the dashboard run, too (Debian and Ubuntu: sudo apt-get install chromium)." >&2; \
		fi; \
	}

.PHONY: check
check: .venv/installed .venv-sam/installed chromium ## what CI runs: format, lint, types, imports, template, all tests, package
	@$(BIN)/ruff format --check $(SOURCES)
	@$(MAKE) --no-print-directory lint types template
	@$(PYTEST) -q $(SIDE_BY_SIDE) -m 'not ($(NEEDS_MORE))' --cov
	@$(PYTEST) -q $(SIDE_BY_SIDE) -m '($(NEEDS_MORE)) and not ($(RUNS_ALONE))'
	@$(MAKE) --no-print-directory bench

.PHONY: bench
bench: .venv/installed ## measure what the limits cost, on a machine that does nothing else
	@$(PYTEST) -q -s -m bench

# No part of `make check`: it wants root and Debian 12, installs what is missing, and builds Kubernetes the first time.
.PHONY: cluster
cluster: .venv/installed ## show infra/kubernetes on a cluster of its own, built from source (Debian 12, as root)
	@nice $(BIN)/python -m tests.cluster.build
	@$(PYTEST) -q tests/cluster

.PHONY: lint
lint: .venv/installed ## lint the code and check the import rules
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: .venv/installed ## format the code and apply the linter's safe fixes
	@$(BIN)/ruff check --fix --exit-zero --quiet $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.PHONY: types
types: .venv/installed ## check the types (mypy, strict)
	@$(BIN)/mypy

.PHONY: template
template: .venv/installed .venv-sam/installed ## lint template.yaml, as it stands and as SAM expands it
	@$(SAM) validate --lint
	@$(BIN)/python -m infra.template_lint

.PHONY: build
build: .venv/installed .venv-sam/installed ## build the Lambda package into .aws-sam/build (needs python3.13, the functions' runtime)
	@$(BIN)/python -m infra.build

.PHONY: lock
lock: .venv/installed ## resolve the .in files into the locks again (LOCK_FLAGS=--upgrade moves the pins)
	@compile() { \
		cp -p "$$1" "$$1.old"; \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' $(LOCK_FLAGS) --output-file "$$@"; \
		if cmp -s "$$1" "$$1.old"; then mv "$$1.old" "$$1"; else rm "$$1.old"; fi; \
	}; \
	compile requirements-dev.lock requirements-dev.in; \
	compile functions/requirements.txt functions/requirements.in --constraint requirements-dev.lock; \
	compile infra/container/requirements.txt infra/container/requirements.in --constraint requirements-dev.lock; \
	compile requirements-sam.lock requirements-sam.in

.PHONY: clean
clean: ## remove everything that the other targets made
	@rm -rf .venv .venv-sam .aws-sam .cluster .tasklane build htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -path ./.git -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -type d -prune -exec rm -rf {} +
