# Every task here is a target; `make help` lists them. Each installs its requirements
# (scripts/bootstrap.py), and works offline after its first success.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Recipes find the environment's programs first; bootstrap must not run on the environment's Python.
OUTSIDE := PATH='$(PATH)'
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# The first of these that starts and is new enough; a version manager's shim may fail at both.
PYTHON = $(or $(shell export $(OUTSIDE); for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done),$(error Midstream needs Python 3.11 or newer: install it, \
	or say `make PYTHON=/path/to/python3 ...`))
BOOTSTRAP = @$(OUTSIDE) $(PYTHON) scripts/bootstrap.py

# Four processes, even on two cores: tests mostly wait for a lease or an answer. A process without
# a test left takes some from another one, because a few files take long.
PARALLEL := --numprocesses=4 --dist=worksteal

##@ Use

.PHONY: run
run: ## Serve the gateway, with the live demo, at the address it prints; no keys, no servers to install
	$(BOOTSTRAP) run
	@exec midstream serve --demo --workers 2

.PHONY: test
test: lint ## Check the source and run the whole test suite, as CI does
	$(BOOTSTRAP) test
	npm test --prefix demo-ui
	$(MAKE) --no-print-directory unit-coverage
	pytest $(PARALLEL) --durations=10 --ignore=tests/unit
	python -m scripts.pythons
	@python -m scripts.tiers test

##@ Develop

.PHONY: dev
dev: ## Serve, and restart when the source changes (Procfile)
	$(BOOTSTRAP) dev
	@exec honcho start

.PHONY: check
check: lint unit ## Check the source and run the unit tests: before every commit
	@python -m scripts.tiers check

.PHONY: all
all: ## Check everything, every matrix whole: before a release (AGAIN=1: what has passed, too)
	$(BOOTSTRAP) all
	@python scripts/release.py --parallel='$(PARALLEL)' $(if $(AGAIN),--again)
	@python -m scripts.tiers all

.PHONY: lint
lint: ## Check format, style, types and import direction
	$(BOOTSTRAP) dev
	ruff format --check
	ruff check
	mypy
	lint-imports --no-logo

.PHONY: format
format: ## Format the source and apply the safe fixes
	$(BOOTSTRAP) dev
	ruff format
	ruff check --fix

.PHONY: unit
unit: ## Run the unit tests
	$(BOOTSTRAP) dev
	pytest $(PARALLEL) tests/unit

.PHONY: pythons
pythons: ## Run the unit tests and the demo's agents on every supported Python
	$(BOOTSTRAP) test
	python -m scripts.pythons 3.11 3.12 3.13

.PHONY: conformance integration faults e2e
conformance: ## Run the real AI SDK clients against the gateway
integration: ## Run the tests against a real redis-server
faults: ## Cut connections, kill processes, restart Redis
e2e: ## Run the README's commands, and a browser, as a person does
conformance integration faults e2e:
	$(BOOTSTRAP) test
	pytest $(PARALLEL) tests/$@

.PHONY: coverage
coverage: ## Measure branch coverage against its targets
	$(BOOTSTRAP) test
	pytest $(PARALLEL) --cov --cov-report=
	coverage report --show-missing --skip-covered --include='protocol/*' --fail-under=100
	coverage report --show-missing --skip-covered --include='gateway/*' --fail-under=95

# What the unit tests alone must reach: the rest of the gateway is covered by tests with processes.
.PHONY: unit-coverage
unit-coverage: ## Measure the unit tests' branch coverage against its targets
	$(BOOTSTRAP) dev
	pytest $(PARALLEL) --quiet --cov --cov-report= tests/unit
	coverage report --skip-covered --include='protocol/*' --fail-under=99
	coverage report --format=total --include='gateway/*' --fail-under=70

.PHONY: durations
durations: ## Note how long each test file takes, in tests/durations.md
	$(BOOTSTRAP) test
	pytest $(PARALLEL) --junitxml=build/junit.xml
	python scripts/durations.py build/junit.xml

.PHONY: bench
bench: ## Measure beside the peers (BASE=050f06f: and a build of that; ROUNDS=3; WRITE=1: into docs/performance.md)
	$(BOOTSTRAP) bench
	python -m tests.bench $(if $(BASE),--base $(BASE)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(WRITE),--write)

.PHONY: scale
scale: ## Measure 10,000 idle feeds and 1,000 runs on one process (WRITE=1: into docs/performance.md)
	$(BOOTSTRAP) dev
	python -m tests.bench.scale $(if $(WRITE),--write)

.PHONY: soak
soak: ## Load one gateway with churn, and say what grows (SECONDS=3600 PEOPLE=20 TRACES=1: and where)
	$(BOOTSTRAP) dev
	python -m tests.bench.soak --seconds $(or $(SECONDS),3600) $(if $(PEOPLE),--people $(PEOPLE)) $(if $(TRACES),--traces)

.PHONY: simulate
simulate: ## Play a deployment of 1,000 gateways and 100 shards in simulated time (docs/scaling.md)
	$(BOOTSTRAP) dev
	python -m tests.bench.simulate

.PHONY: fuzz
fuzz: ## Feed a gateway with mutated input (RUNS=100000 SEED=word ONLY=session)
	$(BOOTSTRAP) dev
	python -m tests.fuzz --runs $(or $(RUNS),100000) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

.PHONY: chaos
chaos: ## Break three gateways and their Redis in every way (SECONDS=300 SEED=1 TOPOLOGY=cluster|sentinel)
	$(BOOTSTRAP) dev
	python -m tests.chaos --seconds $(or $(SECONDS),300) $(if $(SEED),--seed $(SEED)) \
		$(if $(TOPOLOGY),--topology $(TOPOLOGY)) $(if $(SERVER),--server $(SERVER)) $(if $(FAULTS),--faults $(FAULTS))

##@ Maintain

.PHONY: ci
ci: test ## Exactly what CI runs

.PHONY: lock
lock: ## Resolve every dependency anew, into requirements/ and the package-lock.json files
	$(BOOTSTRAP) dev
	uv pip compile $(LOCK) --group build --output-file requirements/run.txt
	uv pip compile $(RESOLVE) --group demo --output-file requirements/demo.txt
	uv pip compile $(RESOLVE) --group servers --output-file requirements/servers.txt
	uv pip compile $(filter-out --upgrade,$(RESOLVE)) --extra server pyproject.toml \
		--constraint requirements/run.txt --output-file requirements/image.txt
	uv pip compile $(RESOLVE) --group deploy --output-file requirements/deploy.txt
	uv pip compile $(RESOLVE) --no-deps --group other-servers --output-file requirements/other-servers.txt
	uv pip compile $(LOCK) --group dev --constraint requirements/run.txt \
		--constraint requirements/demo.txt --overrides requirements/overrides.in \
		--output-file requirements/dev.txt
	uv pip compile $(filter-out --upgrade,$(LOCK)) --group unit \
		--constraint requirements/dev.txt --output-file requirements/unit.txt
	for peer in resumable litellm; do uv pip compile $(filter-out --upgrade,$(RESOLVE)) \
		tests/bench/peers/$$peer.in --output-file tests/bench/peers/$$peer.txt; done
	for folder in tests/conformance/node tests/e2e/frontends tests/bench/node demo-ui; do \
		(cd $$folder && rm -f package-lock.json && npm install --package-lock-only); done
RESOLVE := --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
	--python-version 3.11
LOCK := $(RESOLVE) --extra server --extra embedded --extra client pyproject.toml

.PHONY: dist
dist: ## Build what a release publishes into dist/: source, wheel, npm package
	$(BOOTSTRAP) dist
	@python scripts/build_backend.py dist

.PHONY: hooks
hooks: ## Run the fast half of `make check` before every git commit
	$(BOOTSTRAP) dev
	prek install

.PHONY: clean
clean: ## Remove everything that these targets have installed and built
	rm -rf .venv build dist *.egg-info .*_cache .coverage* tests/*/node/node_modules \
		tests/e2e/frontends/node_modules demo-ui/node_modules demo-ui/*/node_modules demo-ui/transport/dist gateway/demo gateway/npm

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
