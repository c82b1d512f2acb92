# Every target sets itself up in .venv and installs nothing elsewhere.
#
#   PYTHON=python3.12      the interpreter to build .venv with (3.10 to 3.13; found by itself when not given)
#   TORCH_INDEX=URL        where torch comes from, e.g. https://download.pytorch.org/whl/cpu: pip's own index has the
#                          CUDA build for Linux, several gigabytes that a machine without a GPU has no use for
#   ARGS="..."             more arguments for pytest, the benchmark, the demo or the training

VENV ?= .venv
TORCH_INDEX ?=
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.13 python3.10 python; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo $$python; break; }; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SETUP := pyproject.toml requirements.txt constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench train-mini clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' Makefile | awk -F'|' '{ printf "  %-16s %s\n", $$1, $$2 }'

demo: $(VENV)/.run  ## the sample portrait speaks the sample speech with two emotions; videos and report in demo/
	$(BIN)/python -m eadnet_core.demo $(ARGS)

test: $(VENV)/.dev  ## all tests
	$(BIN)/pytest $(ARGS)

check: $(VENV)/.dev  ## formatting, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff format the code and mend what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.run  ## speed and memory of a generation on this machine
	$(BIN)/python bench/generate.py $(ARGS)

train-mini: $(VENV)/.dev  ## reproduce the shipped weights from nothing (hours; continues where it was stopped)
	$(BIN)/eadnet train all --preset mini $(ARGS)

clean:  ## remove .venv, demo/ and caches; runs/ (what was trained) stays
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "Python 3.10 to 3.13 is needed and none was found: give one with 'make PYTHON=/path/to/python3.12'." >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# torch comes first and alone, so that another index serves nothing but torch.
$(VENV)/.run: $(SETUP) | $(BIN)/python
	$(if $(TORCH_INDEX),$(PIP) install --no-deps --constraint constraints.txt --index-url $(TORCH_INDEX) torch)
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --constraint constraints.txt --editable '.[test,train]'
	@touch $@
