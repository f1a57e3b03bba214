# `make` alone says what there is. Everything is installed into $(VENV); nothing else is touched,
# but `make test` may install Debian's PostgreSQL and MariaDB packages (see `make servers`).

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PYTEST ?= $(BIN)/pytest
# Two workers share one pair of servers; more only pays with more cores.
WORKERS ?= 2
ARGS ?=

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check format regen fuzz bench serve servers constraints clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  ARGS=… is passed on: make test ARGS='-k secrets -x'; make bench ARGS=--help"

demo: $(VENV)/.installed ## install, make a small company's data, join five kinds of source in one query
	$(BIN)/dovetail demo $(ARGS)

test: $(VENV)/.dev servers ## start private servers, run every test on them, stop them
	$(PYTEST) -n $(WORKERS) --dist loadfile $(ARGS)

check: $(VENV)/.dev ## formatting, lint, types, import contracts; changes nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff format and repair what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

regen: $(VENV)/.dev servers ## write expected files and generated docs again; read the diff before committing
	$(PYTEST) --regen -m regen $(ARGS)

fuzz: $(VENV)/.dev servers ## random queries, long-running; prints seeds
	@ls tests/fuzz/test_*.py >/dev/null 2>&1 || \
	  { echo "There are no fuzz tests yet (tests/fuzz is empty): nothing was run." >&2; exit 1; }
	$(PYTEST) tests/fuzz --timeout 0 $(ARGS)

bench: $(VENV)/.dev ## benchmarks side by side with other systems; needs minutes and a quiet machine
	@test -f bench/__main__.py || \
	  { echo "There are no benchmarks yet (bench/__main__.py is missing): nothing was run." >&2; exit 1; }
	$(BIN)/python -m bench $(ARGS)

serve: $(VENV)/.dev ## serve the workspace over HTTP (ARGS='--port 8080')
	$(BIN)/dovetail serve $(ARGS)

servers: ## install the PostgreSQL and MariaDB programs that the tests need, where they are missing
	@sh tests/install_servers.sh

constraints: ## pin the newest working versions of everything into constraints.txt
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	build/constraints/bin/python -m pip install --quiet --group dev --editable '.[all]'
	( sed -n '/^#/p' constraints.txt; \
	  build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/ @ .*//' ) > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints

clean: ## remove the virtual environment, caches and demo data
	rm -rf $(VENV) build dist demo-data .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# pip before 25.1, which a fresh Debian has, does not know dependency groups.
$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Dovetail needs Python 3.11 or newer; point PYTHON= at one." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing. On Debian: sudo apt-get install python3-venv" >&2; exit 1; }
	$(PIP) --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.installed: $(VENV)/.pip pyproject.toml constraints.txt
	$(PIP) --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.pip pyproject.toml constraints.txt
	$(PIP) --constraint constraints.txt --group dev --editable '.[all]'
	@touch $@ $(VENV)/.installed
