# Everything rests on .venv, made from the lock files. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup site demo wheel test suite check audit sbom bench scale chaos load settings lock clean

help: ## List the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

ACCOUNTS := auth-server/node_modules/.installed
WEBSITE := website/node_modules/.installed
SITE := website/build/index.html
# Folders are among them: one changes when a file in it goes.
PAGES := $(shell find docs website/src website/static -not -name .DS_Store) \
  $(wildcard website/*.ts website/*.json)
HAS_NODE := node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null

setup: .venv/installed $(ACCOUNTS) $(WEBSITE) ## Make .venv and both node_modules from the lock files.

.venv/installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chatkit-neon needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Without Node.js everything but accounts and the website works. Not `npm ci`: it refuses a lock file that lacks
# packages of other platforms, and not every registry has all of them. Versions and hashes are the lock's all the same.
$(ACCOUNTS) $(WEBSITE): %/node_modules/.installed: %/package.json %/package-lock.json
	@if $(HAS_NODE); then \
	  cd $* && npm install --no-save --no-audit --no-fund --loglevel=error >/dev/null && touch node_modules/.installed; \
	else echo "The folder $* needs Node.js 20 or newer, with npm; the rest works without." >&2; fi

site: setup $(SITE) ## Build the website into website/build, if its sources changed.

$(SITE): $(PAGES) | setup
	@if $(HAS_NODE); then cd website && npm run --silent build; fi

demo: setup $(SITE) ## Everything on http://127.0.0.1:8000 with demo sign-in; data stays in .data/.
	$(BIN)/chatkit-neon demo

wheel: setup $(SITE) ## Build dist/: a wheel with the website in it, and the source archive.
	rm -f dist/chatkit_neon-*
	$(BIN)/python -m hatchling build

check: setup ## Format, lint, types, lock files, migrations' SQL, images, workflows.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd auth-server && npm run --silent check
	cd website && npm run --silent check
	scripts/check-locks
	$(BIN)/python -m scripts.lint_migrations
	scripts/check-deploy

test: check suite ## Every check and every test, on a throwaway PostgreSQL.

suite: setup site ## Every test.
	scripts/install-packages
	scripts/build-pgbouncer
	cd website && npm test --silent
	cd website && npm run --silent sizes
	$(BIN)/pytest

audit: .venv/installed ## Ask public databases about vulnerabilities in what the lock files name.
	scripts/audit

sbom: .venv/installed ## Write bills of materials in CycloneDX into dist/, from the lock files.
	scripts/sbom

bench: setup ## Measure each Store call and whole turns; needs about fifteen minutes.
	$(BIN)/python -m benchmarks

scale: setup ## Plans at 100 million threads, and what a message takes and costs; two minutes.
	$(BIN)/python -m benchmarks.scale

chaos: setup ## Break servers, database and network at random, and check what is stored; four minutes.
	$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED))

load: setup ## 1,000 users for two minutes on one server; USERS=2000, SECONDS=60, LIMITS=1 for 1,000 to 5,000.
	$(BIN)/python -m load $(if $(LIMITS),--limits) $(if $(USERS),--users $(USERS)) $(if $(SECONDS),--seconds $(SECONDS))

settings: setup ## Rewrite docs/settings.md from app/settings.py.
	$(BIN)/python -m scripts.settings_page

lock: ## Rewrite the lock files from pyproject.toml.
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 --extra dev pyproject.toml -c requirements.txt -o requirements-dev.txt
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | $(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 - -c requirements-dev.txt -o requirements-build.txt

clean: ## Remove what the other targets made, but never .data/.
	rm -rf .venv auth-server/node_modules website/node_modules website/build website/.docusaurus dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
