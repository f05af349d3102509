# `make run` and `make test` are all a newcomer needs. Paths here are relative, so a folder with a space in it works.
PORT ?= 8080
REPEAT ?= 3
APP ?= examples.counter.app:Counter
TESTS ?=
# Two more than there are cores: much of the time a test waits for another process. At most 6.
WORKERS ?= $(shell c=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$c -gt 4 ] && c=4; expr $$c + 2)
PACKAGES := shared mini_apps gateway bot_worker ws_server sandbox examples
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run test lint types wheel bench bench-short churn bench-bot proof-updates bench-calls bench-pixels broadcast-run chaos soak proof-failover compose-test audit clean

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20
	@echo '  PORT=9000 make run   another port;  make test TESTS=tests/unit   some of the tests'

run: ## Start everything on this machine, with a local Telegram, and say which page to open
	@sh tools/environment.sh run
	@exec .venv/bin/python -m mini_apps dev $(APP) --port $(PORT) $(ARGS)

test: ## Run all tests (brings Chromium for the browser tests where it may)
	@sh tools/environment.sh test
	@chromium=$$(sh tools/chromium.sh) && CHROMIUM="$$chromium" .venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup $(TESTS)

lint: ## Check style with ruff
	@sh tools/environment.sh test
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: ## Check types with mypy, strictly
	@sh tools/environment.sh test
	@.venv/bin/mypy

wheel: ## Build the wheel into dist/
	@sh tools/environment.sh run
	@.venv/bin/python -m pip wheel --quiet --no-deps -c constraints.txt -w dist .
	@ls dist

bench: ## Measure speed and memory beside the peers, and write bench/results (10 minutes; leave the machine alone)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench --repeat $(REPEAT)

bench-short: ## Measure our side and the C limit only, small, and write nothing (1 minute)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench --short

churn: ## Let 2,000 clients come and go while nodes die, check every message, write bench/results (90 seconds)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.churn

bench-bot: ## Measure how updates come in and are worked off beside aiogram, and write bench/results (5 minutes)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.ingest

proof-updates: ## Kill gateway, workers and Redis while 20,000 updates come in, check each, write bench/results (5 minutes)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.updates

bench-calls: ## Ask three bot workers for more than a bot may send, and let the local Telegram count (3 minutes)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.calls rate

bench-pixels: ## Let 2,000 clients paint on the pixel board at once, compare their boards, write bench/results (1 minute)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.pixels

broadcast-run: ## Write to 100,000 people of the local Telegram while two workers are killed, and count (5 minutes)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.calls everybody

chaos: ## Kill, freeze, fill and cut off everything under load, check each promise, write bench/results (15 minutes)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.chaos

soak: ## Half an hour of steady load: do memory and descriptors stay flat? Writes bench/results
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.chaos --soak 30

proof-failover: ## Let masters under sentinels and in a cluster fail under load, count what is lost, write bench/results (5 minutes)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.failover

compose-test: ## Run the compose files on this machine's Docker, play, scale, update, kill, and write bench/results (7 minutes)
	@sh tools/environment.sh run
	@.venv/bin/python -m bench.compose

audit: ## Look for known holes in the pinned dependencies, where the index of advisories can be asked
	@sh tools/environment.sh run
	@sh tools/audit.sh

clean: ## Remove the environment and what tools left behind
	rm -rf .venv bench/.cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
