# Every target sets up what it needs: a virtual environment from the lock file, with hashes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test lint lock clean

demo: $(VENV)/installed   ## a real study on the bundled digits, two rounds, in ./demo
	@mkdir -p demo && cd demo && ../$(BIN)/hpo run ../studies/digits.toml
	@echo
	@echo "open the UI:  cd demo && ../$(BIN)/hpo ui"

test: $(VENV)/installed-test   ## the whole test suite
	$(BIN)/python -m pytest

lint: $(VENV)/installed-test   ## style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv: $(VENV)/installed   ## the environment alone

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-test: requirements-test.lock $(VENV)/installed
	$(PIP) install --require-hashes -r requirements-test.lock
	@touch $@

lock:   ## resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header \
	  --extra build --extra postgresql pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header \
	  --extra build --extra postgresql --extra test -c requirements.lock \
	  pyproject.toml -o requirements-test.lock

clean:   ## remove the environment and the demo
	rm -rf $(VENV) demo
