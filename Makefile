# autorecipe: `make demo` shows it, `make test` tests it.  Needs python3 with venv and pip, nothing else.
PYTHON ?= python3
VENV ?= .venv
BUDGET ?= 60s
BIN := $(VENV)/bin
SOURCES := $(shell find autorecipe search_spaces -name '*.py' -o -name '*.yaml')

# A package that was installed for development is this folder itself: the demo then installs no other.
EDITABLE := $(VENV)/.installed-editable
PLAIN := $(VENV)/.installed-plain
INSTALLED := $(if $(wildcard $(EDITABLE)),$(EDITABLE),$(PLAIN))

.PHONY: help demo test slow lint clean

help:  ## Show what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: $(INSTALLED)  ## Install, then search a network for scikit-learn's digits (BUDGET=60s)
	$(BIN)/autorecipe search digits --budget $(BUDGET)

test: $(EDITABLE)  ## Install for development, then run the tests
	$(BIN)/python -m pytest

slow: $(EDITABLE)  ## Run the tests that take long
	$(BIN)/python -m pytest -m slow

lint: $(EDITABLE)  ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

$(PLAIN): pyproject.toml $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet .
	touch $@

$(EDITABLE): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[test]'
	rm -f $(PLAIN)
	touch $@

clean:  ## Remove what was made, the environment included; runs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find autorecipe tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
