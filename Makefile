# Silverback's tasks. `make` alone lists them.
#
#   make demo    set up, start the server on a small database, feed it this machine's metrics
#   make test    set up, run the tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 9292
DATA ?= demo-data
SECONDS ?= 60
N ?= 60000
SEED ?= 0
SEEDS ?= 0:1000
STEPS ?= 260

.DEFAULT_GOAL := help
.PHONY: help install warm demo demo-once demo-cluster serve test test-all check bench fuzz \
	promql-diff sim soak docs ui ui-check clean

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# One stamp per venv: a second run installs nothing.
$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "needs Python 3.11 or newer: apt-get install python3 python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "needs the venv module: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Compiled kernels are cached by content under the user's cache folder; this costs nothing twice.
$(VENV)/.warm: $(VENV)/.installed $(shell find tsdb api -name '*.py' 2>/dev/null)
	$(BIN)/silverback warm
	@touch $@

install: $(VENV)/.installed ## create .venv and install everything a developer needs
warm: $(VENV)/.warm ## compile the kernels (30 s once a machine, then nothing)

demo: warm ## start a server with real data flowing; Ctrl-C stops it, the data stays in demo-data/
	$(BIN)/silverback demo --data $(DATA) --port $(PORT)

demo-once: warm ## send, kill -9, restart, compare bit for bit; exits 0 only if nothing was lost
	$(BIN)/silverback demo --once

# KEEP=1 leaves the cluster running until Ctrl-C.
demo-cluster: warm ## kill -9 a node of three under load; exits 0 only if nothing acked is missing
	$(BIN)/silverback cluster demo $(if $(KEEP),--keep)

serve: warm ## a plain server on ./data
	$(BIN)/silverback serve --data data --port $(PORT)

test: warm ## the tests (minutes)
	$(BIN)/python -m pytest -m 'not slow'

# Some slow tests take longer than the time after which a hanging test is dumped.
test-all: warm ## the tests, slow ones too (tens of minutes)
	$(BIN)/python -m pytest -o faulthandler_timeout=0

check: install ## ruff, mypy, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: warm ## every benchmark, medians and ratios; results into benchmarks/results/
	$(BIN)/python -m benchmarks

fuzz: warm ## crash states, faults and decoders, for SECONDS each
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)
	cd tests && ../$(BIN)/python -m crash --images $(N)
	cd tests && PYTHONPATH=.. ../$(BIN)/python -m crash --what database --images $(N)

# N=2000 SEED=7: a program called prometheus is looked for on PATH and in SILVERBACK_PEERS.
promql-diff: warm ## N generated queries to Prometheus and to us, on the same points
	PYTHONPATH=.:tests $(BIN)/python -m promql.differential --count $(N) --seed $(SEED)

# SEEDS=1000, or SEEDS=80:81 to live one life again; STEPS=2000 for longer ones.
sim: warm ## a cluster simulated from seeds, with everything that can happen to it
	cd tests && PYTHONPATH=.. ../$(BIN)/python -m cluster --seeds $(SEEDS) --steps $(STEPS)

soak: warm ## writers, readers, deletes and kill -9 against a real server, for SECONDS
	$(BIN)/python -m tests.soak --seconds $(SECONDS)

docs: install ## check and render the pages that are made from code
	$(BIN)/python -m docs.render --check

# Exact versions; one stamp per lock file. A new one: `npm run lock` in api/ui.
api/ui/node_modules/.installed: api/ui/package.json api/ui/package-lock.json
	@command -v npm >/dev/null || { echo "needs Node 20 or newer with npm: apt-get install nodejs npm"; exit 1; }
	cd api/ui && npm ci --silent
	@touch $@

ui: api/ui/node_modules/.installed ## build the page: api/ui to api/web (needs Node)
	cd api/ui && npm run --silent build

ui-check: ui ## fail unless api/web is what api/ui gives; the page's unit tests
	cd api/ui && npm test --silent
	@test -z "$$(git status --porcelain -- api/web)" || { git status --short -- api/web; echo "api/web is not what api/ui gives: run make ui, commit"; exit 1; }

clean: ## remove what was built; the data stays
	rm -rf $(VENV) api/ui/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
