# Everything that one does with this repository. `make help` lists it.
SHELL := /bin/bash
CARGO ?= cargo
export CARGO

.DEFAULT_GOAL := help
.PHONY: help needs run test check bench fmt build

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	@for script in scripts/* .ci/run; do bash -n "$$script" || exit; done

bench: needs ## Measure what exactness costs and saves, as ratios within one run (TALLYBOOK_BENCH_ROWS=200000 for less history)
	@scripts/test-cluster $(CARGO) bench --locked --bench ratios

fmt: ## Format the code
	$(CARGO) fmt

build: needs ## Build the optimized binary
	$(CARGO) build --locked --release
