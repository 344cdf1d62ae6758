# Two commands for a newcomer: `make demo` and `make test`. Both make .venv when it is missing or out of date.
PYTHON ?= python3.11
BIN := .venv/bin
# -qq leaves errors only; the install is an editable one, so what pip says about build folders concerns nobody.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-warn-script-location

.PHONY: help demo test check docs format clean
.DEFAULT_GOAL := help

help:  ## what can be made
	@grep -hE '^[a-z.]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

.venv/pip: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is missing here or is not Python 3.11 or 3.12" >&2; \
	  echo "  → install it (Debian: apt install python3.11 python3.11-venv), or name one: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	@echo "making .venv with $(PYTHON)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(PIP) --upgrade pip
	@touch $@

.venv/demo: .venv/pip pyproject.toml constraints.txt
	@echo "installing the program and its pinned packages (some minutes the first time)"
	@$(PIP) -c constraints.txt -e '.[offline]'
	@touch $@

.venv/test: .venv/demo
	@echo "installing what the tests need"
	@$(PIP) -c constraints.txt -e '.[offline,serve,dev]'
	@touch $@

demo: .venv/demo  ## index, train, evaluate and ask on the shipped documents, on the CPU
	$(BIN)/copilot pipeline --config configs/tiny.yaml

test: .venv/test  ## the whole test suite, with the chain as a subprocess
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: .venv/test  ## ruff, mypy strict on src, generated docs up to date
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/make_docs.py --check

docs: .venv/test  ## write docs/config.md and docs/cli.md from the code
	$(BIN)/python tools/make_docs.py

format: .venv/test  ## sort imports and mend what ruff can
	$(BIN)/ruff check --fix .

clean:  ## remove what was made, .venv included
	rm -rf .venv outputs/tiny build src/*.egg-info
