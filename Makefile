# The verbs that people type. `.ci/run` calls the same ones.
#
# Each verb first asks scripts/require whether this machine has what it needs.

# One target folder for all verbs, as an absolute path, because `demo` leaves this folder.
export CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))

CARGO ?= cargo
RELEASE := $(CARGO_TARGET_DIR)/release/hopline
DEMO := $(CARGO_TARGET_DIR)/demo/hopline

# The demo is compiled quickly, not to the utmost, and without the features that are on by default and take long. Name
# here what it needs of them.
DEMO_FEATURES ?=
DEMO_PROJECT ?= examples/wordcount
DEMO_DATA ?= $(CARGO_TARGET_DIR)/demo-data

# nextest's profile: `ci` goes on after a failure, so that one run tells everything.
NEXTEST_PROFILE ?= $(if $(CI),ci,default)

# The console's own sources: only when one of them has changed is it built again, and the server with it. Folders tell of
# those that are gone.
CONSOLE := web/console/dist/index.html
WEB_SOURCES := $(shell find web/console web/react web/*.json \( -path '*/src*' -type d -o -type f -not -name '*.test.*' \) \
	-not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
# Written by npm when it has put the packages of the lock file there.
WEB_PACKAGES := web/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults soak fuzz bench bench-traces bench-console pictures console build check fmt lint

help: ## Show the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## Build Hopline and watch it run and trace a real build
	@scripts/require build
	$(CARGO) build --profile demo --locked -p hopline --no-default-features $(addprefix --features ,$(DEMO_FEATURES))
# The build in the example is its own make, not a part of this one: it must not see this one's flags and job slots.
	cd $(DEMO_PROJECT) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
		$(DEMO) run --data $(abspath $(DEMO_DATA)) --file hopline-steps.toml

$(WEB_PACKAGES): web/package-lock.json web/package.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(CONSOLE): $(WEB_SOURCES) $(WEB_PACKAGES)
	cd web && npm run --silent build
	touch $@

console: $(CONSOLE) ## Build the console, which the server then has in it

# The build names the same targets as the test run, so that both resolve the same features and nothing is built twice.
test: ## Install what the tests need, then run every test
	@scripts/require test
	@scripts/install-test-deps
	$(MAKE) console
	cd web && npm test
	$(CARGO) build --workspace --locked --bins --tests
	$(CARGO) test --doc --workspace --locked
	$(CARGO) nextest run --workspace --locked --profile $(NEXTEST_PROFILE)
	cd web && npm run test:browser -w @hopline/browser-tests

# Not under nextest, which ends a test that takes minutes. Both databases have so many rounds each.
test-faults: ROUNDS ?= 100
test-faults: ## Break every part under builds, ROUNDS times on each database
	@scripts/require test
	@scripts/install-test-deps
	ROUNDS=$(ROUNDS) $(CARGO) test --locked -p hopline --test fault_run -- --nocapture --test-threads 1

# On release builds, which take more of them in the time.
soak: EVENTS ?= 2000000
soak: BUILDS ?= 64
soak: ## Break every part under BUILDS builds at once, one fault after the other, until EVENTS events are through
	@scripts/require test
	@scripts/install-test-deps
	EVENTS=$(EVENTS) BUILDS=$(BUILDS) PARTS=$(or $(PARTS),3000) FAULTS=$(or $(FAULTS),4) \
		$(CARGO) test --release --locked -p hopline --test fault_run sqlite -- --nocapture --test-threads 1

# Every target for FUZZ_SECONDS, one after the other; an input that breaks one is kept in its corpus.
fuzz: FUZZ_SECONDS ?= 60
fuzz: ## Try hostile inputs on every parser, a minute each
	@scripts/require test
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --locked --workspace --lib --test fuzz fuzz_ -- --nocapture --test-threads 1

bench: ## Measure a release build, print the figures as a table
	@scripts/require build
	$(CARGO) build --release --locked -p hopline
	bench/run

bench-traces: ## Measure the trace store: at rest, in, asked and killed, others beside it
	@scripts/require build
	bench/traces

bench-console: console ## Measure the console in a real browser, on a release build
	@scripts/require test
	$(CARGO) build --release --locked -p hopline
	cd web && HOPLINE_BIN=$(RELEASE) npm run --silent bench -w @hopline/browser-tests

pictures: console ## Make the manual's pictures of the console anew
	@scripts/require test
	$(CARGO) build --workspace --locked --bins --tests
	cd web && npm run pictures -w @hopline/browser-tests

build: ## Build the full program in release, with its console where there is Node
	@scripts/require build
	@if scripts/require console; then $(MAKE) console; else echo "without Node the program is built without its console"; fi
	$(CARGO) build --release --locked -p hopline

check: ## Format, lints, structure, licences and docs, as CI asks for them
	@scripts/require check
	$(MAKE) $(WEB_PACKAGES)
	cd web && npm run --silent check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	scripts/check-structure
# Fetched first, because deny looks at every platform's crates and the lints above at this one's only.
	$(CARGO) fetch --locked --quiet
	$(CARGO) deny --offline --locked check --hide-inclusion-graph bans licenses sources
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

fmt: ## Format the code
	@scripts/require fmt
	$(CARGO) fmt --all
	$(MAKE) $(WEB_PACKAGES)
	cd web && npm run --silent fmt

lint: ## Clippy and the rules of structure, without the rest of check
	@scripts/require lint
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	scripts/check-structure
