PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: check lint types test labels gate model bench docs clean

check: lint types test gate

$(BIN)/.installed: pyproject.toml setup.py policyclf/_native.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.installed
	$(BIN)/mypy

test: $(BIN)/.installed
	$(BIN)/python -m pytest --cov --cov-report=term --cov-fail-under=95

gate: $(BIN)/.installed
	$(BIN)/python experiments/gate.py

model: $(BIN)/.installed
	$(BIN)/python experiments/train.py

bench: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[peers]"
	$(BIN)/python experiments/benchmark.py

docs: $(BIN)/.installed
	$(BIN)/python experiments/publish.py

clean:
	rm -rf $(VENV) build dist *.egg-info
