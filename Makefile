# PYTHON, VENV and JOBS may be given on the command line: make test PYTHON=python3.12 JOBS=8
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
JOBS ?= 2
# Browser tests skip, and say so, without Chromium or a built book. Slow ones: make test MARKS=""
MARKS ?= not slow
# Repetitions in each benchmark; its own default if empty.
ROUNDS ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NOTEBOOKS := $(wildcard book/*.ipynb)

# One thread a process: the test processes share the cores already.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.PHONY: help setup book html test lint browser bench clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | column -t -s ':'

setup: $(STAMP)  ## a virtual environment with the pinned versions

# One pip command for everything, so that the constraints decide about torch as well.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[book,test]"
	touch $@

book: $(STAMP)  ## execute the chapters on the committed records and build the pages
	$(BIN)/strokerepro book

html: $(STAMP)  ## build the pages from the notebooks as they are
	$(BIN)/strokerepro book --no-execute

lint: $(STAMP)  ## style, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, unit tests, and the notebooks' checked cells
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "$(MARKS)"
	$(if $(NOTEBOOKS),$(BIN)/pytest -n $(JOBS) --dist loadfile -p no:cacheprovider \
		--nbval-lax --nbval-current-env $(NOTEBOOKS))

browser: $(STAMP)  ## look at the built book in Chromium
	$(BIN)/pytest -m browser tests/browser

bench: $(STAMP)  ## side by side with other implementations, all in one record (ROUNDS=3: quicker)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks $(ROUNDS)

clean:  ## remove what can be made again; the virtual environment stays
	rm -rf _build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
