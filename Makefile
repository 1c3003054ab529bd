# Both commands that the README names do all their set-up themselves and never prompt.
#   make bake   environment, engine, base images, generate, build and smoke all services in parallel, size table
#   make test   environment, engine, unit, golden, error and engine tests

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: bake test test-fast lint up down bench clean help

bake: $(READY)
	$(BIN)/slimbake bake --install-engine

test: $(READY)
	$(BIN)/slimbake setup --install-engine
	$(BIN)/python -m pytest -m 'not engine' -n auto
	$(BIN)/python -m pytest -m engine -n 2

test-fast: $(READY)  ## no engine: seconds
	$(BIN)/python -m pytest -m 'not engine' -n auto

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/slimbake generate --check

up: $(READY)
	$(BIN)/slimbake up

down: $(READY)
	$(BIN)/slimbake down

$(READY): pyproject.toml requirements.dev.txt bootstrap
	./bootstrap $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) .slimbake .pytest_cache .mypy_cache .ruff_cache

help:
	@sed -n '1,3p' Makefile
