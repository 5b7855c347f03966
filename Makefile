# Every target does its own set-up. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What `make bench` measures against: some hundred megabytes that nothing else needs.
PEERS := $(VENV)/.peers
STATIC := src/wichtel/server/static
ASSETS := $(STATIC)/vendor/.ready

# The first of these that is 3.11 or newer; `make PYTHON=/path/to/python …` overrides it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
# Test processes at once.
JOBS ?= 2
# `make bench FULL=1` takes hours; `make bench BENCHMARKS="ask floor"` runs these two.
BENCHMARKS ?= overhead dispatch ask floor simulate pruning recovery search_quality maggy scheduling api_latency pages

.PHONY: help
help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.PHONY: demo
demo: $(READY) $(ASSETS) ## Improve two models of flight delays, from data to verdicts
	$(BIN)/python examples/flights/demo.py

.PHONY: test
test: $(READY) $(ASSETS) browser ## Every test but the slow ones
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow"

.PHONY: crash
crash: $(READY) $(ASSETS) ## Every test that kills processes, and the slow ones
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "crash or slow"

.PHONY: chaos
chaos: $(READY) $(ASSETS) ## 500 experiments while replicas and the database are killed, then the demo likewise; about 50 minutes
	$(BIN)/python scripts/chaos.py
	$(BIN)/python scripts/kill_demo.py

.PHONY: quota
quota: $(READY) $(ASSETS) ## 20 models × 5 protocols in three quota groups: are shares kept, is nobody starved
	$(BIN)/python scripts/quota.py

.PHONY: check
check: $(READY) ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: bench
bench: $(PEERS) ## Each benchmark, briefly, against its peers
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python "benchmarks/$$script.py" $(if $(FULL),,--quick); done

.PHONY: docs
docs: $(READY) ## The documentation as pages, under build/docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

.PHONY: serve
serve: $(READY) $(ASSETS) ## The service, on this machine only
	$(BIN)/wichtel serve

.PHONY: assets
assets: $(ASSETS) ## What the service's pages need, from npm

.PHONY: browser
browser: ## A Chromium for the tests of the pages, unless there is one
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null || { echo "The tests of the pages need a browser: install Chromium (apt-get install chromium)." >&2; exit 1; }; \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends chromium fonts-dejavu-core >/dev/null; }

.PHONY: screenshots
screenshots: $(READY) $(ASSETS) browser ## Pictures of every page, light and dark, wide and narrow, under build/screenshots
	WICHTEL_SCREENSHOTS=build/screenshots $(BIN)/pytest -p no:cacheprovider tests/pages/test_pages.py -k axe
	@echo "build/screenshots"

.PHONY: build
build: $(READY) $(ASSETS) ## The wheel, under dist
	$(BIN)/python -m hatchling build -t wheel

.PHONY: setup
setup: $(READY) ## Only the virtual environment

.PHONY: lock
lock: $(READY) ## Write the files under requirements anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header \
	  --extra server --extra demo --extra keras --extra plot --extra mlflow --extra tensorboard --extra oidc --extra otel --extra bench --group dev pyproject.toml -o requirements/dev.txt
	# The same versions of what both need, so that one environment holds both.
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	  -c <(sed -E '/^ *(--hash|#)/d; s/ *\\$$//' requirements/dev.txt) --group bench pyproject.toml -o requirements/bench.txt

.PHONY: clean
clean: ## Remove everything that the other targets made
	rm -rf $(VENV) $(STATIC)/swagger-ui $(STATIC)/vendor node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements/uv.txt requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Wichtel needs Python 3.11 or newer: none of python3.11, python3.12, python3.13, python3 is. Try make PYTHON=/path/to/python." >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make a virtual environment; on Debian and Ubuntu, install python3-venv." >&2; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	# Compiled now: every plan is loaded by a fresh process, which would otherwise compile its libraries each time.
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(PEERS): $(READY) requirements/bench.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/bench.txt
	@touch $@

$(ASSETS): package.json package-lock.json .npmrc
	@command -v npm >/dev/null || { echo "Wichtel needs Node's npm to fetch the files of its pages." >&2; exit 1; }
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@rm -rf $(STATIC)/swagger-ui $(@D) && mkdir -p $(STATIC)/swagger-ui $(@D)/htmx $(@D)/echarts
	cp $(addprefix node_modules/swagger-ui-dist/,swagger-ui-bundle.js swagger-ui.css favicon-32x32.png LICENSE NOTICE package.json) $(STATIC)/swagger-ui/
	cp $(addprefix node_modules/htmx.org/,dist/htmx.min.js LICENSE package.json) $(@D)/htmx/
	cp $(addprefix node_modules/echarts/,dist/echarts.esm.min.js LICENSE NOTICE package.json) $(@D)/echarts/
	@touch $@
