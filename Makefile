# Every target does its own set-up: a virtual environment in .venv, the dependencies, the package.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS := $(VENV)/.docs-installed
MODULES := node_modules/.installed
CONFIG ?= etc/chatd.ini
JOBS ?= 2
# Workers of make test. Many tests wait for browsers and daemons, so there may be more workers than cores.
WORKERS ?= 4
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: run demo cluster test test-postgres simulate trial trunk coverage coverage-report thorough check types format bench docs screenshots clean

run: $(STAMP)
	$(BIN)/twistd -n --pidfile= chatd --config $(CONFIG)

demo: $(STAMP)
	$(BIN)/python -m chatd.app.demo

# Three nodes of one realm on a throw-away PostgreSQL server, to try out.
cluster: $(STAMP)
	$(BIN)/python -m chatd.app.demo_cluster

test: $(STAMP) $(MODULES)
	$(PYTEST) tests

# Tests with their realms on a PostgreSQL server, which is started for them, or what TESTS names of them.
ON_POSTGRES := app cluster commands ctl federation files lines service store web
test-postgres: $(STAMP)
	CHATD_TESTS_ON=postgres $(PYTEST) $(or $(TESTS),$(ON_POSTGRES:%=tests/unit/%))

# The part of the suite that starts no processes, under Twisted's own runner: all of it, or what TESTS names.
trial: $(STAMP)
	$(BIN)/python -m twisted.trial --jobs $(JOBS) $(or $(TESTS),tests.unit)

# The same tests, and how much of the code they reach.
coverage: $(STAMP) $(MODULES)
	$(PYTEST) --cov --cov-report= tests
	$(MAKE) coverage-report

# The percentage of lines and branches that the last measured run has reached: in all of chatd, and in the part
# that keeps and delivers messages. It fails below the floors.
CORE := chatd/base/*,chatd/commands/*,chatd/federation/*,chatd/service/*,chatd/store/*
coverage-report: $(STAMP)
	$(BIN)/coverage report --skip-covered --fail-under=95
	$(BIN)/coverage report --format=total --precision=2 --include='$(CORE)' --fail-under=98

# Simulations of several realms, by seed.
SEEDS := 21-220
SEEDS_OF_NODES := 21-60
simulate: $(STAMP)
	$(BIN)/python -m chatd.simulate --seeds $(SEEDS)
	$(BIN)/python -m chatd.simulate --seeds $(SEEDS_OF_NODES) --nodes 3

# What takes too long to run each time: many more examples, kills and messages.
thorough: $(STAMP)
	HYPOTHESIS_PROFILE=thorough $(PYTEST) -o timeout=0 tests/unit
	$(BIN)/python -m chatd.simulate --seeds 1-10000
	$(BIN)/python -m chatd.simulate --seeds 1-2000 --nodes 3
	$(BIN)/python -m tests.support.interleavings --seeds 1-2000
	$(BIN)/python -m tests.support.kills --kills 50
	$(BIN)/python -m tests.support.linked_kills --kills 50
	$(BIN)/python -m tests.support.linked_load --file 100 --queued 10000
	$(BIN)/python -m tests.nodes --seed 1 --faults 250
	$(BIN)/python -m tests.nodes --seed 2 --faults 250 --bus postgres

# The suite under the newest release of Twisted, release candidates included, whatever setup.cfg allows. Warnings
# are errors there. It says first which private names of Twisted are gone (chatd/net/twisted_compat.py).
TRUNK := .venv-trunk
trunk: $(MODULES)
	$(PYTHON) -m venv --clear $(TRUNK)
	$(TRUNK)/bin/python -m pip install --quiet --upgrade pip setuptools
	$(TRUNK)/bin/python -m pip install --quiet --editable '.[client,test]'
	$(TRUNK)/bin/python -m pip install --quiet --upgrade --pre twisted
	$(TRUNK)/bin/python -c 'import twisted; from chatd.net.twisted_compat import missing; \
		print("Twisted", twisted.__version__, "lacks", ", ".join(missing()) or "nothing")'
	$(TRUNK)/bin/python -m pytest -n $(JOBS) -W error -W default::ResourceWarning $(or $(TESTS),tests)

check: $(STAMP) types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The browser client's modules. What checks them runs on node; a machine without it says so.
types: $(MODULES)
	@if [ -x node_modules/.bin/tsc ]; then \
		set -ex; node_modules/.bin/tsc -p tsconfig.json; node_modules/.bin/tsc -p tsconfig.worker.json; \
	else \
		echo "The types in chatd/web/static were not checked: that needs node and npm."; \
	fi

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

# What is made from the code, and then all pages: build/docs/index.html, build/man.
docs: $(DOCS)
	$(BIN)/python -m tools.documents
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d build/doctrees . build/docs

screenshots: $(STAMP)
	$(BIN)/python -m tests.browser.screenshots var/screenshots

$(STAMP): setup.cfg pyproject.toml chatd/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	$(BIN)/python -m pip install --quiet --editable '.[client,test]'
	touch $@

$(DOCS): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# Only for checks and tests, and so they go on without it.
$(MODULES): package.json package-lock.json
	@if command -v npm > /dev/null && npm ci --ignore-scripts --silent; then \
		touch $@; \
	else \
		echo "What package.json names is not installed: some checks of the browser client are left out."; \
	fi

clean:
	rm -rf $(VENV) $(TRUNK) node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis _trial_temp*
