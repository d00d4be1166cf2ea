# Two commands matter: `make demo` and `make test`. Both make what they need in .venv and build.
PYTHON ?= python3
BIN := .venv/bin

MAKEFLAGS += --jobs 2
.PHONY: demo test test-faults lint format docs bench clean

demo: .venv/installed  ## Train six families on real flights and look at them
	$(BIN)/mf build --project-dir projects/flights
	$(BIN)/mf ls --project-dir projects/flights

test: lint build/archive  ## Everything that must pass
	$(BIN)/pytest --numprocesses 2 --dist loadfile

test-faults: .venv/tools build/archive  ## What takes minutes: builds that are killed, executors that are lost, a cluster
	$(BIN)/pytest -m faults --numprocesses 2 --dist loadgroup

lint: .venv/tools
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: .venv/tools  ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: .venv/installed  ## Write docs/reference.md anew from the specs and commands
	$(BIN)/python docs/generate.py

bench: .venv/installed  ## Compare with programs written by hand; WORKLOADS="linear_20k" chooses
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python benchmarks/run.py $(WORKLOADS)

clean:
	rm -rf .venv build dist projects/*/store projects/*/target

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("modelfactory needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/tools: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	touch $@

build/archive: .venv/tools  # of Spark's classes, for the tests: each JVM starts in half the time
	mkdir -p build
	-$(BIN)/python -m modelfactory.commands.archiving build/cache/modelfactory
	touch $@
