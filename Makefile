# `make` alone lists what there is. CI runs .ci/run, which is `make check`, `make test` and `make test-servers`.

CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2

.DEFAULT_GOAL := help
.PHONY: help setup build demo test test-servers check chaos simulate cost bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what Debian or Ubuntu with Rust lacks: compiler, headers, Java and Maven for the test broker
	@scripts/setup.sh

build: setup ## Build the release binary, target/release/millrace
	$(CARGO) build --release --locked

demo: setup ## Show the whole system in one process, no broker needed (SECONDS=20 stops it; ARGS=... goes to the demo)
	$(CARGO) run --locked -- demo $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

test: setup ## Run all tests; those of guarantees start a real Kafka
	$(CARGO) test --workspace --locked

test-servers: ## Send records through MLServer, KServe and Seldon's microservices, installed from PyPI once (1.6 GB)
	@scripts/setup.sh servers
	@tests/servers/install.sh
	$(CARGO) test --locked --test real_servers -- --ignored

check: setup ## Format, lints, licences and sources of dependencies, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@command -v cargo-deny >/dev/null || { \
		echo "check: installing cargo-deny $(CARGO_DENY_VERSION)"; \
		$(CARGO) install --locked cargo-deny --version $(CARGO_DENY_VERSION); }
	$(CARGO) deny --locked --workspace check --hide-inclusion-graph licenses bans sources
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked

chaos: setup ## The long hostile runs (an hour or less), of which `make test` has a short form
	MILLRACE_CHAOS=long $(CARGO) test --locked --test chaos -- --nocapture

simulate: setup ## Run the production machines through SEEDS random histories (1,000,000), of which `make test` runs 20,000
	MILLRACE_SIMULATE=$(or $(SEEDS),1000000) $(CARGO) test --locked --test simulation -- --nocapture

cost: setup ## Measure the service's CPU per record (ARGS=... goes to the script)
	scripts/cost.sh $(ARGS)

bench: setup ## Measure against a hand-written loop (QUICK=1: under three minutes; CELLS=a,b; RUNS=3): docs/benchmarks.md
	$(CARGO) build --release --locked -p millrace -p millrace-bench
	target/release/millrace-bench run --runs $(or $(RUNS),$(if $(QUICK),1,3)) $(if $(QUICK),--quick) $(if $(CELLS),--cells $(CELLS))

clean: ## Remove what was built
	$(CARGO) clean
