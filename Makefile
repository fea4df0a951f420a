# Every target with a line after ## is listed by `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?=
TESTS ?=

.PHONY: help setup demo up test check bench images prove lock docs screenshots doctor clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | while IFS=$$'\t' read -r target text; do printf '%-12s %s\n' "$$target" "$$text"; done

setup: ## a pinned .venv and .toolchain; idempotent, needs no root
	@PYTHON="$(PYTHON)" scripts/setup

demo: setup ## the main job on the repositories under examples/, on the embedded stack
	@.venv/bin/python manage.py demo

up: setup ## the whole stack in the foreground; Ctrl-C stops all of it
	@exec .venv/bin/python manage.py up

# One worker per module: session fixtures (Redis, a built workspace) are made once for each. Most of a test is waiting.
# In the order of tests/conftest.py, not by their number in a module: the longest modules have few.
test: setup ## the test suite; TESTS=tests/agents runs a part of it
	@.venv/bin/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder $(TESTS)

check: setup ## format, lint, types, import contracts, migrations, deploy check, docs that rot
	@scripts/check

bench: setup ## the benchmarks, as ratios against a baseline measured in the same run
	@.venv/bin/python -m benchmarks

images: setup ## the sandbox and application images, by debootstrap, from no image registry
	@deploy/sandbox/build-offline.sh
	@deploy/build-offline.sh

prove: ## that docker-compose.yml works on this machine, with the images that are here; about two minutes
	@deploy/prove.sh

lock: setup ## write the locks anew from pyproject.toml and deploy/toolchain/requirements.in
	@scripts/lock

docs: setup ## write the generated parts of docs/ anew
	@.venv/bin/python scripts/settings_doc.py
	@.venv/bin/python scripts/architecture_doc.py

screenshots: setup ## the pictures in docs/images, from the data of the last demo; needs chromium
	@.venv/bin/python scripts/screenshots

doctor: setup ## what this machine has and lacks, with the command that mends it
	@.venv/bin/python manage.py doctor

clean: ## remove caches and build leftovers; var/ with its data stays
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .lock-venv *.egg-info
	@find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.toolchain/*' -prune -exec rm -rf {} +
