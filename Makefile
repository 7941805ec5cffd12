# Everything starts here: `make demo` on a fresh machine, `make test` on a fresh machine.
# Needs Python 3.11 or newer and a network that reaches the package registries; PYTHON=… chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CHECK_PYTHON := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3 python,\
	$(if $(shell $(name) -c '$(CHECK_PYTHON)' 2>/dev/null && echo yes),$(name))))
COMPILE = pip compile --quiet $(ARGS) --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-header --no-emit-find-links
# Two test files at a time, each with a broker of its own. ARGS="-n 0 -s" runs one after the other and shows what they print.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
LONGEST_FIRST := chaos integration e2e contract unit

.DEFAULT_GOAL := help
.PHONY: help setup demo test check sbom bench fuzz chaos lock clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

setup: $(INSTALLED) ## Make the virtual environment with pinned dependencies and the command zuora-ifs

$(INSTALLED): requirements-dev.lock pyproject.toml
	@if ! $(or $(PYTHON),false) -c '$(CHECK_PYTHON)' 2>/dev/null; then \
		echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: apt install python3-venv)" >&2; \
		rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: setup ## Run everything on this machine with a sample bill run; ARGS="--invoices 500 --exit-when-done"
	@$(BIN)/zuora-ifs demo $(ARGS)

test: setup ## Install what the tests need, check the code, run all tests; ARGS goes to pytest
	@sh deploy/test-packages.sh $(BIN)
	@$(MAKE) --no-print-directory check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(PARALLEL) $(wildcard $(addprefix tests/,$(LONGEST_FIRST))) $(ARGS)

check: setup ## Lint, format, types, layers, known vulnerabilities of dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.audit

sbom: setup ## Write dist/sbom.cdx.json: what the connector is made of, as CycloneDX
	@mkdir -p dist
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --sv 1.6 --of JSON -o dist/sbom.cdx.json

chaos: setup ## Harm everything on seeded plans for ten minutes each, and release 100,000; make test does it for less than one
	ZIFS_TEST_OUTAGE_SECONDS=$${ZIFS_TEST_OUTAGE_SECONDS:-180} \
	ZIFS_TEST_CHAOS_SECONDS=$${ZIFS_TEST_CHAOS_SECONDS:-600} ZIFS_TEST_CHAOS_HELD=$${ZIFS_TEST_CHAOS_HELD:-100000} \
		$(BIN)/python -m pytest tests/chaos --timeout 5400 -s $(ARGS)

fuzz: setup ## Look for callouts that the webhook's reader does not survive, for a minute; ZIFS_TEST_FUZZ_SECONDS
	@found=$$(mktemp -d) && PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.fuzz.fuzz_callouts "$$found" tests/fuzz/callouts \
		-max_total_time=$${ZIFS_TEST_FUZZ_SECONDS:-60} -max_len=4096 -timeout=10 -artifact_prefix="$$found/" $(ARGS)

bench: setup ## Measure throughput and latency
	@for bench in $(basename $(notdir $(wildcard tests/benchmarks/bench_*.py))); do \
		echo "$$bench" >&2; $(BIN)/python -m tests.benchmarks.$$bench $(ARGS) || exit 1; done

lock: setup ## Resolve the dependencies again and write both lock files; ARGS=--upgrade takes newer ones
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	$(BIN)/python -m venv "$$scratch" && "$$scratch/bin/python" -m pip install --quiet uv && \
	"$$scratch/bin/uv" $(COMPILE) pyproject.toml --output-file requirements.lock >/dev/null && \
	"$$scratch/bin/uv" $(COMPILE) pyproject.toml --group test --group check \
		--constraint requirements.lock --output-file requirements-dev.lock >/dev/null

clean: ## Remove everything that was made, except data/
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
