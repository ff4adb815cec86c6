# Everything that a developer or CI does here, by name. Needs GNU make, a POSIX shell and Python 3.11 or newer; the
# TypeScript verifier and the benchmark also need Node.js 20 or newer. No cloud account, but to deploy, and no network
# once installed.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
# Many container images set it. The tests start a hundred processes, and each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
# The tools are always called as modules of the environment's interpreter, never by their scripts: a script holds the
# absolute path it was installed under, so it breaks when the checkout is moved, or when its path has a space in it.
PY := .venv/bin/python
UV_VERSION := 0.13.9
TYPESCRIPT := webhooks-verifier/typescript
VERIFIER := webhooks-verifier/python

# PORT, DB and HOST count only when they are said to make: some shells export a HOST of their own.
said = $(if $(findstring command,$(origin $(1))),$(2) "$($(1))")
# `make test PYTEST_ARGS='-k refund -x'` narrows a run.
PYTEST_ARGS ?=
PYTEST := $(PY) -m pytest
COVERAGE_ARGS :=

.PHONY: help
help: ## list the targets (the default)
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: environment-run ## start the sandbox; PORT=8080 DB=/path/file.db HOST=127.0.0.1 may be given
	@exec $(PY) -m payments_sandbox.entrypoints.cli serve $(call said,HOST,--host) $(call said,PORT,--port) $(call said,DB,--db)

# conftest.py says which tests share a worker. In their order, as the slow ones come first.
XDIST := -n auto --maxprocesses=8 --dist=loadscope --no-loadscope-reorder
.PHONY: test
test: environment-dev environment-emulator environment-lambda test-typescript ## run every test; PYTEST_ARGS='-k refund -x' narrows the run
	@$(PYTEST) $(XDIST) --durations=10 $(call said,JUNIT,--junitxml) $(COVERAGE_ARGS) $(PYTEST_ARGS)

.PHONY: quick
quick: environment-dev ## the inner loop, in less than a minute: format, lint, types and unit tests
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy
	@$(PYTEST) -q $(XDIST) $(PYTEST_ARGS) tests/unit

# The same examples are drawn in every other run; here, others. ARGS='tests/unit -x' narrows the run.
.PHONY: explore
explore: environment-dev environment-emulator environment-lambda ## property tests and fuzzing from random seeds: MINUTES=60, or SEED=7391 ROUNDS=1
	@$(PY) -m tests.explore $(call said,MINUTES,--minutes) $(call said,ROUNDS,--rounds) $(call said,SEED,--seed) $(if $(ARGS),,--typescript) $(XDIST) $(ARGS)

.PHONY: e2e
e2e: environment-dev environment-emulator ## apply the Pulumi program to an emulator of AWS, test and fuzz what it deployed
	@$(PYTEST) $(XDIST) -m deployed $(PYTEST_ARGS) tests/e2e

.PHONY: parity
parity: environment-dev environment-emulator ## compare both homes and rewrite docs/parity.md
	@PARITY_REPORT=write $(PYTEST) -q tests/e2e/aws/test_parity.py

.PHONY: lint
lint: environment-dev lint-typescript ## check format, lint, types and the contract; `make quick` also has the import arrows
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@cd $(VERIFIER) && ../../$(PY) -m mypy src tests
	@$(PY) -m openapi_spec_validator openapi/payments.yaml

.PHONY: format
format: environment-dev ## rewrite the Python files in the one format
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

.PHONY: check
check: COVERAGE_ARGS := --cov --cov-report=term:skip-covered
check: lint test ## what CI runs: lint, then every test with coverage of at least 90 %

.PHONY: bench
bench: environment-dev ## measure against Prism and FastAPI, rewrite docs/performance.md; ARGS='--quick --only webhooks'
	@cmp -s tests/load/package-lock.json tests/load/node_modules/.installed || { \
	  cd tests/load && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && \
	  cp package-lock.json node_modules/.installed; }
	@$(PY) -m tests.load.bench $(ARGS)

# Bytecode is of one version of Python, so it is in the bundle where a CPython 3.12 is at hand. One that is named but not
# there (pyenv leaves such names about) is as good as none; BUNDLE_PYTHON=/path/to/python3.12 names another.
BUNDLE_PYTHON ?= python3.12
.PHONY: bundle
bundle: environment-lambda ## build build/lambda.zip, what every Lambda function runs from
	@python=$$(command -v "$(BUNDLE_PYTHON)") && "$$python" -c '' 2>/dev/null || python=; \
	$(PY) -m stacks.bundle --python "$$python"

.PHONY: cost
cost: environment-dev ## write docs/cost.md from the cost model and a simulation of the indexes
	@$(PY) -m tests.load.cost_document

# Deploying needs the Pulumi CLI, an account and its credentials: docs/operations.md. What is deployed has just been built,
# and has to meet the policy. `up-prod` shows what it would do and asks; YES=1 is for where somebody has approved already.
POLICY := --policy-pack stacks/policy
.PHONY: preview-dev preview-prod up-dev up-prod destroy-dev
preview-dev: bundle ## show what `make up-dev` would change
	@pulumi preview --stack dev --diff $(POLICY) $(PULUMI_ARGS)

preview-prod: bundle ## show what `make up-prod` would change
	@pulumi preview --stack prod --diff $(POLICY) $(PULUMI_ARGS)

up-dev: bundle ## deploy the dev stack
	@pulumi up --stack dev --yes $(POLICY) $(PULUMI_ARGS)

up-prod: bundle ## deploy the prod stack, after asking
	@pulumi up --stack prod $(if $(filter 1,$(YES)),--yes) $(POLICY) $(PULUMI_ARGS)

destroy-dev: environment-dev ## delete the dev stack with all that it holds, after asking
	@pulumi destroy --stack dev $(PULUMI_ARGS)

# The contract against a deployed API; FUZZ_URL and FUZZ_API_KEY say which, and with whose key.
.PHONY: fuzz-deployed
fuzz-deployed: environment-dev ## fuzz a deployed API: FUZZ_URL=https://... FUZZ_API_KEY=...; FUZZ_EXAMPLES=50
	@$(PY) -m contracts.fuzz.deployed $(FUZZ_ARGS)

# The pins that stand are kept; `make lock UPGRADE=1` moves them all.
LOCK = "$$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade)
.PHONY: lock
lock: environment ## pin and hash every dependency again, after a change in pyproject.toml
	@uv=$$(command -v uv || echo .venv/bin/uv); \
	[ -x "$$uv" ] || $(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
	set -ex; \
	$(LOCK) pyproject.toml -o requirements/run.txt; \
	$(LOCK) requirements/lambda.in -c requirements/run.txt -o requirements/lambda.txt; \
	$(LOCK) requirements/emulator.in -o requirements/emulator.txt; \
	$(LOCK) pyproject.toml requirements/lambda.in --group dev -c requirements/run.txt -o requirements/dev.txt

.PHONY: clean
clean: ## remove the environment, installed packages and caches
	rm -rf .venv build dist .coverage .coverage.* coverage.xml .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf $(VERIFIER)/.mypy_cache $(TYPESCRIPT)/node_modules tests/load/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made again when its interpreter is gone or is not the one that `python3` is now. The package is
# not installed but pointed at by a .pth file, which needs no build backend and so no network; with it
# `python -m payments_sandbox...` works from any directory. Installed files are compared by content, not by time: a checkout
# touches files without changing them.
.PHONY: environment
environment:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "error: $(PYTHON) is not there: install Python 3.11 or newer" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: the sandbox needs Python 3.11 or newer, \
	and $(PYTHON) is %d.%d: try make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@version='import platform; print(platform.python_implementation(), platform.python_version())'; \
	[ "$$($(PY) -c "$$version" 2>/dev/null)" = "$$("$(PYTHON)" -c "$$version")" ] || { \
	  echo "making .venv"; rm -rf .venv; \
	  "$(PYTHON)" -m venv .venv || { \
	    rm -rf .venv; echo "error: no .venv could be made: is python3-venv installed?" >&2; exit 1; }; }
	@$(PY) -c 'import pathlib, sysconfig; here = "%s\n%s/handlers\n" % (pathlib.Path.cwd(), pathlib.Path.cwd()); \
	pth = pathlib.Path(sysconfig.get_path("purelib"), "payments-sandbox.pth"); \
	pth.exists() and pth.read_text() == here or pth.write_text(here)'

.PHONY: environment-run environment-dev
# --no-deps: the locked files are complete, and without it pip looks at releases newer than the pins (`coverage[toml]`
# beside `coverage==...`) and then refuses what it has no hash of.
environment-run environment-dev: environment-%: environment
	@cmp -s requirements/$*.txt .venv/.installed-$*.txt || { \
	  echo "installing requirements/$*.txt"; \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/$*.txt && \
	  cp requirements/$*.txt .venv/.installed-$*.txt; }

# The emulator of AWS has an environment of its own: see requirements/emulator.in.
EMULATOR := .venv/emulator
.PHONY: environment-emulator
environment-emulator: environment
	@cmp -s requirements/emulator.txt $(EMULATOR)/.installed || { \
	  echo "installing requirements/emulator.txt"; \
	  $(PY) -m venv $(EMULATOR) && \
	  $(EMULATOR)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    -r requirements/emulator.txt && \
	  cp requirements/emulator.txt $(EMULATOR)/.installed; }

# The wheels of the Lambda bundle, which are for another machine than this one.
.PHONY: environment-lambda
environment-lambda: environment-dev
	@$(PY) -m stacks.bundle --fetch-only

# Without Node.js the TypeScript verifier is left out, said aloud; in CI that is a failure.
.PHONY: lint-typescript test-typescript
lint-typescript test-typescript: %-typescript:
	@[ -f $(TYPESCRIPT)/package-lock.json ] || exit 0; \
	if ! command -v npm >/dev/null || ! node -e 'process.exit(Number(parseInt(process.versions.node) < 20))'; then \
	  echo "$(TYPESCRIPT) needs Node.js 20 or newer: its $* is left out" >&2; [ "$$CI" != true ]; exit; \
	fi; \
	cd $(TYPESCRIPT) || exit; \
	cmp -s package-lock.json node_modules/.installed || { \
	  npm ci --no-audit --no-fund --loglevel=error && cp package-lock.json node_modules/.installed; } || exit; \
	if [ $* = lint ]; then npm run --silent lint --if-present; else npm test --silent; fi
