# Every target does its own set-up and runs unattended. `make` lists them.

VENV := .venv
BIN := $(VENV)/bin
DOCS := $(VENV)-docs
READY := $(VENV)/.ready
# Docker and images of Python and uv, where this machine lacks them.
SETUP := $(BIN)/python -m tools.bare

# One worker more than cores, since engine tests wait for Docker; each of them may need 2 GB.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 5 ? cores + 1 : 6)))
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --durations 10
# On a busy machine a test may end late: what failed (1, no other exit) runs again, one at a time.
AGAIN := -n 1 --last-failed --last-failed-no-failures none
suite = $(PYTEST) $(1) || { test $$? -eq 1 && $(PYTEST) $(AGAIN) $(1); }
# Each worker imports 250 modules of tests: do not let it compile them anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help bake image bare up down test test-all test-rest test-fast fuzz nightly lint bench docs \
	clean suite-main suite-all

help:  ## list the targets
	@awk -F ':.*  ## ' '/^[a-z-]*:.*  ## / {printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bake: bare  ## build the eight services, run their smokes, print their sizes
	$(BIN)/slimbake bake

image: bare  ## build the image of slimbake itself, which tools/slimbake runs
	$(BIN)/python -m tools.image
	$(BIN)/slimbake lock --manifest tools/image/services.yaml
	$(BIN)/slimbake bake --manifest tools/image/services.yaml

bare: $(READY)  ## install and start Docker, and make local images of Python and uv, where they lack
	$(SETUP)

up: $(READY)  ## start the services that were built
	$(BIN)/slimbake up

down: $(READY)  ## stop the services
	$(BIN)/slimbake down

# --keep-going: what lint finds hides no test's result.
test: $(READY)  ## lint, unit, golden and error tests, and the engine tests of the main job: minutes
	@$(MAKE) --no-print-directory --keep-going lint suite-main

test-all: $(READY)  ## lint and every test: two hours
	@$(MAKE) --no-print-directory --keep-going lint suite-all

# WITHIN: minutes after which no test begins
test-rest: $(READY)  ## what `make test` leaves out, but for what a night is for: half an hour
	$(SETUP)
	$(call suite,-m 'slow and not nightly' $(if $(WITHIN),--begin-within $(WITHIN)))

test-fast: $(READY)  ## unit, golden and error tests, which need no engine: a minute
	$(PYTEST) -m 'not engine and not slow'

fuzz: $(READY)  ## 10,000 hostile texts and 100 long ones for each reader: twenty minutes, for a night
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) tests/unit/test_readers.py tests/unit/test_floods.py

nightly: $(READY)  ## the longest tests, and packages' own tests in images: two hours, for a night
	$(SETUP)
	$(call suite,-m nightly)
	$(BIN)/python bench/suites.py
	$(BIN)/python bench/plain.py

suite-main:
	$(SETUP)
	$(call suite,-m 'not slow')

suite-all:
	$(SETUP)
	$(call suite)

lint: $(READY)  ## ruff, mypy --strict, generated files, and our words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/slimbake check
	$(BIN)/python tools/docs/prose.py

bench: $(READY)  ## compare bakes and images with hand-written Dockerfiles (bench/README.md)
	$(BIN)/python bench/bake.py

docs: $(DOCS)/.ready  ## build the documentation into site/; a wrong link fails
	$(DOCS)/bin/zensical build --strict --clean

clean:  ## remove the environment and all caches of this checkout
	rm -rf $(VENV) $(DOCS) site .cache .slimbake .pytest_cache .mypy_cache .ruff_cache

$(READY): pyproject.toml requirements/dev.txt bootstrap
	./bootstrap $(VENV)
	@touch $@

# An environment of its own: `make bake` and the tests do not need it.
$(DOCS)/.ready: requirements/docs.txt
	python3 -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements/docs.txt
	@touch $@
