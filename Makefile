# Everything runs from .venv, which `make venv` builds from the lock with nothing but python3 (with venv), make and git.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
# A deployment takes LOCK=deploy/requirements.lock: no embedded servers, notebooks and tests.
LOCK ?= requirements.lock
BIN := $(VENV)/bin
ARGS ?=
# What `make notebooks` and `make lab` read where the environment names no lake; `make demo` has .wpp-lake-demo.
DATA_DIR ?= .wpp-lake
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := yes

.PHONY: help venv up demo dev notebooks lab test test-slow test-server test-stack test-notebooks test-scale test-browser test-spark prove lint docs format lock bench bench-receiver bench-loader bench-snapshot bench-tick bench-erase bench-steady scale mutants clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

venv: $(VENV)/.installed ## Build .venv from the lock (does nothing when nothing changed)

# Hashes first, for everything that isn't ours; then the project itself, without dependencies and build isolation.
$(VENV)/.installed: $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wpp-lake needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

up: venv ## Run the whole stack until Ctrl-C: make up ARGS='--receiver-port 8081'
	$(BIN)/wpp-lake up $(ARGS)

demo: venv ## Run the stack, send it the sample events, load them and write snapshots (ARGS=--once: then stop)
	$(BIN)/wpp-lake demo $(ARGS)

dev: venv ## Run `dagster dev` on the stack of `make up ARGS=--no-dagster`
	eval "$$($(BIN)/wpp-lake env)" && $(BIN)/dagster dev $(ARGS)

notebooks: venv ## Run every notebook on the lake, and write each as a page into pages/ (DATA_DIR=.wpp-lake-demo for the lake of `make demo`)
	$(BIN)/wpp-lake notebooks --out pages --data-dir $(DATA_DIR) $(ARGS)

# JupyterLab: only this needs it.
$(VENV)/.installed-lab: requirements-lab.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $<
	@touch $@

lab: $(VENV)/.installed-lab ## Open the notebooks in JupyterLab on 127.0.0.1, with the lake's settings (DATA_DIR as above)
	if [ -z "$$SNAPSHOT_BUCKET" ]; then settings="$$($(BIN)/wpp-lake env --data-dir $(DATA_DIR))" && eval "$$settings" || exit 1; fi; \
		$(BIN)/jupyter lab --ip=127.0.0.1 --ServerApp.root_dir=notebooks $(ARGS)

test: venv ## Run the tests, against a real PostgreSQL and a real S3 server that they start themselves
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

test-slow: venv ## Run the tests that take their time: faults under load
	$(BIN)/python -m pytest -m slow --numprocesses auto --dist loadfile $(ARGS)

test-server: venv ## Run the tests that need a server's rights: a full disk, little memory, the firewall, systemd's view of the units
	$(BIN)/python -m pytest -m server --numprocesses auto --dist loadfile $(ARGS)

test-notebooks: venv ## Run the notebooks, and the tests of what they read with (WRITE_SCREENSHOTS=1: README's chart anew)
	$(BIN)/python -m pytest -m notebooks --numprocesses auto $(ARGS)

test-stack: venv ## Run the tests of the whole stack with Dagster
	$(BIN)/python -m pytest -m stack --numprocesses auto --dist loadfile $(ARGS)

test-scale: venv ## Run the tests of more than one machine: runs on two workers, three receivers, a run as Kubernetes starts it
	$(BIN)/python -m pytest -m scale --numprocesses auto --dist loadfile $(ARGS)

# What drives a browser: only this needs it. The browser itself is Debian's.
$(VENV)/.installed-browser: tests/browser/requirements.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $<
	@touch $@

test-browser: $(VENV)/.installed-browser ## Run the tests of Dagster's web interface and the overview in Debian's Chromium (WRITE_SCREENSHOTS=1: docs' pictures anew)
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

# Spark, and a Java in a wheel: only these need them. pyspark comes as source alone, which needs no compiler.
$(VENV)/.installed-spark: requirements-spark.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-binary pyspark \
		--no-build-isolation --require-hashes -r $<
	@touch $@

scale: $(VENV)/.installed-spark ## Compute the whole zone on two Spark workers, and compare it with the loader's tables (ARGS='--lines 400000')
	@$(BIN)/python -m benchmarks.scale $(ARGS)

test-spark: $(VENV)/.installed-spark ## Run the tests that need Spark and a Java; not part of .ci/run
	$(BIN)/python -m pytest -m spark $(ARGS)

prove: venv ## Kill everything under load for three minutes, and count: acknowledged = landed = rows = Parquet
	@$(BIN)/python -m benchmarks.prove

lint: venv ## Check style, types, imports, docstrings, Markdown, and that docs are as the code says
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate --quiet receiver pipelines devstack
	$(BIN)/pymarkdown --config pyproject.toml scan --recurse README.md README.pt-BR.md CONTEXT.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs benchmarks
	$(BIN)/python docs/reference.py --check

docs: venv ## Write .env.example, docs/cli.md and the tables of settings and columns in docs anew, from the code
	$(BIN)/python docs/reference.py

format: venv ## Put the code into its format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

PIN := uv pip compile --quiet --universal --python-version 3.11 --no-strip-extras --generate-hashes \
	--no-header --no-annotate --no-emit-index-url pyproject.toml

lock: ## Pin what pyproject.toml asks for, with hashes and without registry addresses (needs uv)
	$(PIN) --extra celery --extra devstack --extra k8s --extra notebooks --extra test --output-file requirements.lock
	$(PIN) --extra celery --extra devstack --extra k8s --extra notebooks --extra test --extra bench --extra mutants \
		--constraint requirements.lock --output-file benchmarks/requirements.lock
	$(PIN) --extra lab --extra notebooks --constraint requirements.lock --output-file requirements-lab.lock
	$(PIN) --extra browser --constraint requirements.lock --output-file tests/browser/requirements.lock
	$(PIN) --extra spark --extra java --constraint requirements.lock --output-file requirements-spark.lock
	echo 'setuptools>=80' | $(PIN) --constraint requirements.lock --output-file deploy/requirements.lock -
	echo 'setuptools>=80' | $(PIN) --extra celery --constraint requirements.lock --output-file deploy/requirements-celery.lock -
	echo 'setuptools>=80' | $(PIN) --extra k8s --constraint requirements.lock --output-file deploy/kubernetes/requirements.lock -

bench: bench-receiver bench-loader bench-snapshot bench-tick ## Run every benchmark

# What the benchmarks compare with, and what `make mutants` makes faults with: only they need it.
$(VENV)/.installed-bench: benchmarks/requirements.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-binary yattag \
		--no-build-isolation --require-hashes -r $<
	@touch $@

bench-receiver: $(VENV)/.installed-bench ## Measure the receiver against ceilings of the same run (needs wrk; ARGS='--quick' or '--json')
	@$(BIN)/python benchmarks/receiver.py $(ARGS)

bench-loader: $(VENV)/.installed-bench ## Measure the loader against ceilings of the same run (ARGS='--quick' or '--json')
	@$(BIN)/python benchmarks/loader.py $(ARGS)

bench-snapshot: $(VENV)/.installed-bench ## Measure the snapshots against a ceiling and a peer of the same run (ARGS='--quick' or '--json')
	@$(BIN)/python benchmarks/snapshot.py $(ARGS)

bench-tick: venv ## Measure a tick of the sensor in a young lake and in one of 300,000 files (ARGS='--files 7000' or '--json')
	@$(BIN)/python -m benchmarks.tick $(ARGS)

bench-erase: venv ## Measure the erasure of a person in a lake of a million events (ARGS='--events 40000' or '--json')
	@$(BIN)/python -m benchmarks.erase $(ARGS)

bench-steady: venv ## Measure the stack idle and with one event every two seconds, half an hour in all (ARGS='--seconds 60' or '--json')
	@$(BIN)/python -m benchmarks.steady $(ARGS)

mutants: $(VENV)/.installed-bench ## Put faults into receiver, parsing and loading, which the tests must notice (ARGS='--room parsing --sample 100')
	@$(BIN)/python -m benchmarks.mutants $(ARGS)

clean: ## Remove what was built; data directories stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
