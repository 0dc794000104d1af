# Everything happens in .venv; the stamp says that it holds what requirements.lock names.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Without bytecode every process would compile PyTorch anew, which takes ten seconds or more.
unexport PYTHONDONTWRITEBYTECODE
# Processes that run the tests: one for each core.
WORKERS ?= logical

.PHONY: demo test test-fast lint format docs bench clean clean-loops setup
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up, then the whole path on synthetic images"
	@echo "make test       set up, then all tests"
	@echo "make test-fast  without the tests marked slow"
	@echo "make lint       ruff, mypy, codespell, import-linter"
	@echo "make format     ruff format and fixes"
	@echo "make docs       the HTML documentation in docs/_build/html"
	@echo "make bench      the benchmarks, one after the other"

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; assert (3, 11) <= sys.version_info < (3, 13), 'glcm-mae needs Python 3.11 or 3.12: make PYTHON=python3.12 ...'"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(STAMP)

setup: $(STAMP)

demo: $(STAMP)
	$(BIN)/glcm-mae demo --resume

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-fast: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell src tests docs recipes README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/sphinx-build -W -b html docs docs/_build/html

bench: $(STAMP)
	for script in $(filter-out benchmarks/result_tables.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# What numba compiled; it does not notice when a loop that another one calls has changed.
clean-loops:
	find src -name "*.nb[ci]" -delete

clean: clean-loops
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
