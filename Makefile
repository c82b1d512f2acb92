# Every target sets itself up in .venv and installs nothing elsewhere.
#
#   PYTHON=python3.12      the interpreter to build .venv with (3.10 to 3.13; found by itself when not given)
#   TORCH_INDEX=URL        where torch comes from, e.g. https://download.pytorch.org/whl/cpu: pip's own index has the
#                          CUDA build for Linux, several gigabytes that a machine without a GPU has no use for
#   ARGS="..."             more arguments for pytest, the benchmark, the demo, the training or ComfyUI
#   COMFYUI_PATH=DIR       a ComfyUI for test-comfyui; COMFYUI_PYTHON, its Python with pytest, is looked for in its .venv

VENV ?= .venv
TORCH_INDEX ?=
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.13 python3.10 python; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo $$python; break; }; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SETUP := pyproject.toml requirements.txt constraints.txt

.DEFAULT_GOAL := help
# The ComfyUI that `make comfyui` set up, else one at home.
COMFYUI_REF ?= v0.8.0
COMFYUI_PATH ?= $(firstword $(patsubst %/main.py,%,$(wildcard .comfyui/ComfyUI/main.py $(HOME)/ComfyUI/main.py)))
COMFYUI_PYTHON ?= $(COMFYUI_PATH)/.venv/bin/python
COMFYUI_DEVICE ?= $(shell command -v nvidia-smi >/dev/null || echo --cpu)

.PHONY: help demo test test-comfyui check format bench train-mini train-mini-256 comfyui clean

help:  ## list the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/make \1|\2/p' Makefile | awk -F'|' '{ printf "  %-17s %s\n", $$1, $$2 }'

demo: $(VENV)/.run  ## the sample portrait speaks the sample speech with two emotions; videos and report in demo/
	$(BIN)/python -m eadnet_core.cli.demo $(ARGS)

# A process for each core, four at most, and one thread for each: nets as small as these gain little from a second one.
# A file stays whole in one process, with its fixtures. ARGS="-n 0" runs everything in one process, as a debugger needs.
test: $(VENV)/.dev  ## all tests
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/pytest \
		--numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# The library alone is put on the path, by a link: beside it `nodes` would shadow ComfyUI's module of that name.
test-comfyui:  ## the tests of the nodes inside a real ComfyUI (COMFYUI_PATH), in process, over HTTP and in a browser
	@test -f "$(COMFYUI_PATH)/main.py" || { \
		echo "No ComfyUI at '$(COMFYUI_PATH)': set COMFYUI_PATH, or get one with 'make comfyui'." >&2; exit 1; }
	@command -v npm >/dev/null && npm install --no-audit --no-fund --no-package-lock --prefix tests/nodes/browser || \
		echo "npm could not install playwright-core: the page is not tested in a browser (see CONTRIBUTING.md)."
	@mkdir -p build/core && ln -sfn "$(CURDIR)/eadnet_core" build/core/eadnet_core
	COMFYUI_PATH="$(COMFYUI_PATH)" COMFYUI_PYTHON="$(COMFYUI_PYTHON)" PYTHONPATH="$(CURDIR)/build/core" \
		PYTHONDONTWRITEBYTECODE=1 "$(dir $(COMFYUI_PYTHON))pytest" tests/nodes $(ARGS)

check: $(VENV)/.dev  ## formatting, lint, types, and bandit on what is published
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python .ci/published.py build/published
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive build/published

format: $(VENV)/.dev  ## let ruff format the code and mend what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.run  ## speed and memory of a generation on this machine
	$(BIN)/python bench/generate.py $(ARGS)

train-mini: $(VENV)/.dev  ## train a mini from nothing (hours; continues where it was stopped)
	$(BIN)/eadnet train all --preset mini $(ARGS)

train-mini-256: $(VENV)/.dev  ## train what the mini-256 has beside the mini in runs/mini, or beside the shipped one
	$(BIN)/eadnet train all --preset mini-256 $(ARGS)

comfyui: .comfyui/.ready  ## set up a ComfyUI in .comfyui (needs the internet) and start it with this pack
	@mkdir -p .comfyui/base/custom_nodes && ln -sfn "$(CURDIR)" .comfyui/base/custom_nodes/eadnet
	cd .comfyui/ComfyUI && .venv/bin/python main.py --base-directory "$(CURDIR)/.comfyui/base" $(COMFYUI_DEVICE) $(ARGS)

.comfyui/.ready: requirements.txt constraints.txt
	test -d .comfyui/ComfyUI || git clone --depth 1 --branch $(COMFYUI_REF) \
		https://github.com/comfyanonymous/ComfyUI .comfyui/ComfyUI
	$(PYTHON) -m venv .comfyui/ComfyUI/.venv
	.comfyui/ComfyUI/.venv/bin/python -m pip install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch torchvision torchaudio
	.comfyui/ComfyUI/.venv/bin/python -m pip install -r .comfyui/ComfyUI/requirements.txt -r requirements.txt \
		hypothesis pytest pytest-timeout
	@touch $@

clean:  ## remove .venv, demo/ and caches; runs/ (what was trained) and .comfyui/ stay
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
	$(PIP) install --constraint constraints.txt --editable '.[test,train,live]'
	@touch $@
