# make demo   sets up .venv, then the whole road on a generated data set
# make test   the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: setup demo test lint clean

setup: $(VENV)/.ready

# Torch first: the extension is built against the torch that it will run with.
$(VENV)/.torch: setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet torch torchvision
	touch $@

$(VENV)/.ready: $(VENV)/.torch setup.py setup.cfg pyproject.toml $(shell find kernels/csrc -type f)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/python docs/demo.py $(DEMO)

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf build dist $(DEMO)
