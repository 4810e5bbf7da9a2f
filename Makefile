# The two commands of a newcomer are `make demo` and `make test`; the rest are their parts.
SHELL := /usr/bin/env bash
CARGO ?= cargo

.PHONY: help demo test tools runner controlplane build fmt-check clippy unit walks integration sdk e2e docs crds chart tables fmt bench fuzz

help: ## What there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: tools controlplane ## The whole story on loopback, told as it happens (KEEP=1 leaves it running)
	@echo "Building the operator and the stand-ins (some minutes the first time, seconds later)"
	@$(CARGO) build --quiet --bin slipway --example demo
	@$(CARGO) run --quiet --example demo

test: tools runner fmt-check clippy docs controlplane unit integration sdk ## Everything that must be green
	@echo "all tests passed"
	@if [ -s target/flaky ]; then echo FLAKY; cat target/flaky; fi

tools:
	@tests/tools.sh

runner: ## What runs the integration tests, tested itself
	@CARGO=$(CARGO) tests/runner/test.sh

controlplane: ## The pinned Kubernetes binaries, built once into a cache
	@tests/controlplane/build.sh

build:
	$(CARGO) build --workspace --all-targets

fmt: ## Format the code
	$(CARGO) fmt --all

fmt-check: ## Formatting
	$(CARGO) fmt --all --check

clippy: ## Lints, without warnings
	$(CARGO) clippy --workspace --all-targets -- -D warnings

docs: ## The documentation, without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

unit: ## Unit tests
	$(CARGO) test --workspace --lib --bins

walks: ## Random walks of the decisions, many more than in `unit` (WALK_SEEDS, WALK_STEPS; WALK_SEED runs one again)
	WALK_SEEDS=$${WALK_SEEDS:-10000} WALK_STEPS=$${WALK_STEPS:-200} CARGO_PROFILE_RELEASE_LTO=off \
		CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=none $(CARGO) test --release --lib walk

integration: ## Flows on the real API server
	@tests/controlplane/build.sh helm lint
	@tests/chart/checkov/install.sh >/dev/null
	CARGO=$(CARGO) tests/integration.sh

sdk: ## The stand-ins, checked by the official SDKs
	tests/sdk/octokit/run.sh
	tests/sdk/e2b-js/run.sh
	tests/sdk/e2b-python/run.sh

e2e: ## The chart on a whole cluster: kind where there is docker, else, as root, a node of this machine
	@CARGO=$(CARGO) tests/e2e/run.sh

bench: ## Throughput, deliveries, checkout, files, GitHub's line, rest and outages, measured (docs/benchmarks.md)
	$(CARGO) bench --bench tasks
	$(CARGO) bench --bench deliveries
	$(CARGO) bench --bench checkout
	$(CARGO) bench --bench files
	$(CARGO) bench --bench line
	$(CARGO) bench --bench rest
	$(CARGO) bench --bench outage

fuzz: ## Fuzz the receiver with cargo-fuzz (TARGET=payload, headers or request; RUNS)
	cargo fuzz run --sanitizer none $${TARGET:-payload} -- -runs=$${RUNS:-1000000} -max_len=30000

crds: ## Regenerate crds/ from the Rust types
	$(CARGO) run --quiet --bin slipway -- crds > crds/slipway.dev.yaml

tables: ## Print docs/github.md and docs/e2b.md from the tables of answers
	PRINT_TABLES=1 $(CARGO) test --quiet --lib -- docs_github_md docs_e2b_md

chart: crds ## Regenerate the chart's CRDs, and the kustomize base from the chart
	cp crds/slipway.dev.yaml charts/slipway/files/crds.yaml
	@tests/controlplane/build.sh helm
	deploy/kustomize/generate.sh > deploy/kustomize/base/slipway.yaml
