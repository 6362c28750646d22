# Everything that one does with this repository. `make help` lists it.
SHELL := /bin/bash
CARGO ?= cargo
export CARGO
# What is shipped can send traces (2 MB of 26), so that is what is tested, too. `make run` goes without, and is built sooner.
FEATURES := otel
TEST := $(CARGO) test --locked --features $(FEATURES)

.DEFAULT_GOAL := help
.PHONY: help needs run test check check-alerts soak histories races mutations crash adopt-demo fuzz fuzz-api mutants results bench bench-quick fmt build test-postgres test-majors release deb check-deploy freeze-migrations

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

needs: ## Install what is missing apart from Rust (a C compiler, PostgreSQL)
	@scripts/install-needs

run: needs ## Start the service with a simulated fleet that reports to it (TALLYBOOK_RUN_FOR=20s ends by itself)
	@echo 'Building Tallybook without optimizations; the first time this takes some minutes.'
	@$(CARGO) build --locked --bin tallybook
	@exec $(CARGO) run --locked --quiet --bin tallybook -- demo

# Tests mostly wait for their databases.
test: export RUST_TEST_THREADS ?= $(shell echo $$((3 * $$(nproc))))
test: ## Run all tests on a PostgreSQL of their own
	@scripts/install-needs pgbouncer pg-cron curl
	@scripts/test-cluster $(TEST) --no-fail-fast

test-postgres: ## Run all tests on another PostgreSQL (VERSION=16, 17 or 18), which a package registry has
	@scripts/install-needs pgbouncer python
	@scripts/postgres-matrix $(or $(VERSION),18) $(MAKE) --no-print-directory test

test-majors: ## Upgrade the data of the PostgreSQL that is installed to another one (VERSION=16, 17 or 18)
	@scripts/install-needs python
	@OLD=$$(scripts/postgres-bin) && TALLYBOOK_TEST_OLD_BIN=$$OLD scripts/postgres-matrix $(or $(VERSION),18) \
	  $(TEST) --features majors --test majors

check: needs ## Check format, lints and documentation; change nothing
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features majors,$(FEATURES) -- -D warnings
	$(CARGO) clippy --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	@for script in $$(find scripts -maxdepth 1 -type f) .ci/run; do bash -n "$$script" || exit; done

check-alerts: ## Check the alert rules, their tests and the dashboard's queries with promtool, which is fetched where it is missing
	@scripts/check-alerts

# The long runs: the last result of each is shown in docs/TESTING.md. SEED repeats the choices of one.
soak histories crash adopt-demo fuzz: export TALLYBOOK_SEED = $(or $(SEED),$(shell date +%s))

soak: needs ## Let writers, movers, deleters, folds, rebuilds and readers run at full speed (MINUTES=10) and look for drift
	@TALLYBOOK_SOAK_MINUTES=$(or $(MINUTES),10) scripts/record $@ scripts/test-cluster $(TEST) --test it -- concurrency::soak --nocapture

histories: needs ## Live through many random histories (HISTORIES=1000), of one session and of several
	@TALLYBOOK_HISTORIES=$(or $(HISTORIES),1000) scripts/record $@ scripts/test-cluster $(TEST) --test it -- every_now_view no_history --nocapture

races: needs ## Play every order of every pair of changes, and of maintenance beside them
	@TALLYBOOK_RACES=all scripts/record $@ scripts/test-cluster $(TEST) --test it -- races::

mutations: needs ## Put defects into the SQL of the engine, one at a time, and see that a test fails
	@scripts/record $@ scripts/test-cluster $(TEST) --test it -- mutations:: --nocapture

crash: needs ## Kill the service and PostgreSQL (KILLS=300), cut connections, fill a disk
	@TALLYBOOK_KILLS=$(or $(KILLS),300) scripts/record $@ $(TEST) --test it -- crashes:: --nocapture --test-threads=1

adopt-demo: export TALLYBOOK_DEMO_ROWS ?= 5000000
adopt-demo: export TALLYBOOK_DEMO_SECONDS ?= 30
adopt-demo: needs ## Let a host's writers run at full speed while Tallybook comes, covers 5 M rows of history, serves and goes (TALLYBOOK_DEMO_ROWS)
	@TALLYBOOK_TEST_DURABLE=1 scripts/record $@ scripts/test-cluster $(TEST) --test it -- under_load:: --nocapture

fuzz: export TALLYBOOK_FUZZ_CASES ?= 5000
fuzz: needs ## Try hostile input at length: bodies, headers, connections, files, arguments (TALLYBOOK_FUZZ_CASES=5000)
	@scripts/record $@ scripts/test-cluster $(TEST) hostile

fuzz-api: ## Make requests of the OpenAPI document, and check every answer against it (FUZZ_SEED=1 FUZZ_EXAMPLES=25)
	@scripts/install-needs python
	@scripts/record $@ scripts/test-cluster scripts/fuzz-api

mutants: ## Change the Rust of the engine, one thing at a time, and see that a test fails (SHARD=src/rollup/verify); goes on where it stopped
	@scripts/install-needs mutants
	@scripts/record $@ scripts/test-cluster scripts/mutants $(SHARD)

results: needs ## Show the last results of the long runs in docs/TESTING.md
	@TALLYBOOK_UPDATE=1 $(TEST) --test it -- results::

bench: build ## Measure beside other designs, and write docs/BENCHMARKS.md (90 minutes; BENCH='--sizes 100000 --only reads' for less)
	@TALLYBOOK_TEST_DURABLE=1 scripts/test-cluster bash -c 'DATABASE_URL=$$TALLYBOOK_TEST_DATABASE_URL exec target/release/tallybook bench \
	  --output docs --commit "$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" $(BENCH)'

bench-quick: needs ## See that the benchmark suite works, and that nothing differs that must be exact: two minutes, and no word on speed
	@$(CARGO) build --locked --bin tallybook
	@scripts/test-cluster bash -c 'DATABASE_URL=$$TALLYBOOK_TEST_DATABASE_URL exec target/debug/tallybook bench --quick'

fmt: ## Format the code
	$(CARGO) fmt

build: needs ## Build the optimized binary
	$(CARGO) build --locked --release --features $(FEATURES)

release: build ## Build the optimized binary, stripped, with its checksum, in target/package
	@mkdir -p target/package
	@cp target/release/tallybook target/package/tallybook && cd target/package && sha256sum tallybook | tee tallybook.sha256

deb: release ## Make the Debian package, in target/package
	@scripts/build-deb target/package/tallybook target/package

check-deploy: ## Check what installs it: Dockerfile, compose file, Kubernetes manifests, systemd units, Debian package
	@scripts/install-needs python deploy
	@scripts/check-deploy

freeze-migrations: ## Write down the checksums of all migrations: from then on none of them may be edited
	@cd migrations && sha256sum [0-9]*.sql >frozen.sha256
