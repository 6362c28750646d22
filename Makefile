# Everything that one does with this repository. `make help` lists it.
SHELL := /bin/bash
CARGO ?= cargo
export CARGO

.DEFAULT_GOAL := help
.PHONY: help needs run test check soak histories crash fuzz fuzz-api bench fmt build

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

needs: ## Install what is missing apart from Rust (a C compiler, PostgreSQL)
	@scripts/install-needs

run: needs ## Start the service with a simulated fleet that reports to it (TALLYBOOK_RUN_FOR=20s ends by itself)
	@echo 'Building Tallybook without optimizations; the first time this takes some minutes.'
	@$(CARGO) build --locked --bin tallybook
	@exec $(CARGO) run --locked --quiet --bin tallybook -- demo

# Tests mostly wait for their databases.
test: export RUST_TEST_THREADS ?= $(shell echo $$((3 * $$(nproc))))
test: needs ## Run all tests on a PostgreSQL of their own
	@scripts/test-cluster $(CARGO) test --locked --no-fail-fast

check: needs ## Check format, lints and documentation; change nothing
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	@for script in $$(find scripts -maxdepth 1 -type f) .ci/run; do bash -n "$$script" || exit; done

soak: needs ## Let writers, movers, deleters, folds, rebuilds and readers run at full speed (MINUTES=10) and look for drift
	@TALLYBOOK_SOAK_MINUTES=$(or $(MINUTES),10) scripts/test-cluster $(CARGO) test --locked --test it -- concurrency::soak --nocapture

histories: needs ## Live through many random histories (HISTORIES=1000), of one session and of several
	@TALLYBOOK_HISTORIES=$(or $(HISTORIES),1000) scripts/test-cluster $(CARGO) test --locked --test it -- every_now_view no_history --nocapture

crash: needs ## Kill the service and PostgreSQL (KILLS=300), cut connections, fill a disk; SEED repeats a run
	@TALLYBOOK_KILLS=$(or $(KILLS),300) TALLYBOOK_SEED=$(or $(SEED),$(shell date +%s)) $(CARGO) test --locked --test it -- crashes:: --nocapture --test-threads=1

bench: needs ## Measure what exactness costs and saves, as ratios within one run (TALLYBOOK_BENCH_ROWS=200000 for less history)
	@scripts/test-cluster $(CARGO) bench --locked --bench ratios

fuzz: export TALLYBOOK_FUZZ_CASES ?= 5000
fuzz: needs ## Try hostile input at length: bodies, headers, connections, files, arguments (TALLYBOOK_FUZZ_CASES=5000)
	@scripts/test-cluster $(CARGO) test --locked hostile

fuzz-api: ## Make requests of the OpenAPI document, and check every answer against it (FUZZ_SEED=1 FUZZ_EXAMPLES=25)
	@scripts/install-needs python
	@scripts/test-cluster scripts/fuzz-api

fmt: ## Format the code
	$(CARGO) fmt

build: needs ## Build the optimized binary
	$(CARGO) build --locked --release
