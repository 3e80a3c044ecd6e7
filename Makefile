# Every verb a contributor needs; `make help` lists them.
SHELL := /bin/bash
CARGO_FLAGS ?=
# `make demo DEMO_ARGS="--speed max --port 9464"` keeps the page up until Ctrl-C.
DEMO_ARGS ?= --speed max --exit-after-replay

.DEFAULT_GOAL := help
# `make chaos CHAOS_KILLS=1000` kills more often; `make chaos SEEDS=1000000` simulates more.
CHAOS_KILLS ?= 200
CANDIDATE_KILLS ?= 500
START_KILLS ?= 500
SEEDS ?= 100000
SOAK_SECONDS ?= 3600
.PHONY: help setup demo test check bench screenshots chaos soak fuzz time interop package judgement

help: ## list these verbs
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

setup: ## install or fetch what the tests and the demo need (once; then it takes a moment)
	@tests/rig/setup.sh test

demo: ## nine months of real flights through a real model, told in the terminal
	@tests/rig/setup.sh demo
	@eval "$$(tests/rig/setup.sh env)" && cargo run $(CARGO_FLAGS) --bin driftline -- demo $(DEMO_ARGS)

test: setup ## every test, against real Kafka, SMTP, webhooks, ONNX Runtime, Prometheus and scipy
	@eval "$$(tests/rig/setup.sh env)" && DRIFTLINE_TEST_STRICT=1 cargo test $(CARGO_FLAGS) --workspace

interop: ## records written anew by the writers that others use, and read by ours
	python3 -m venv target/interop
	target/interop/bin/pip install --quiet --requirement tests/interop/requirements.txt
	python3 -m venv target/interop-mlserver
	target/interop-mlserver/bin/pip install --quiet mlserver==1.7.1
	(target/interop/bin/python tests/interop/write_goldens.py && \
		target/interop-mlserver/bin/python tests/interop/write_goldens_mlserver.py) > target/goldens.jsonl
	mv target/goldens.jsonl ingest/formats/src/mapped/tests/goldens.jsonl
	cargo test $(CARGO_FLAGS) -p driftline-formats goldens

check: ## done means this passes: format, lints (those of the fuzz targets too), tests, documentation, licences
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	@cp Cargo.lock fuzz/Cargo.lock
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --manifest-path fuzz/Cargo.toml --bins -- -D warnings
	$(MAKE) test
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --workspace --no-deps
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check licenses bans sources; \
	else echo "check: licences not checked, cargo-deny is not installed (cargo install cargo-deny)"; fi

# An optimised binary takes DataFusion a while; `make bench DRIFTLINE=path` measures one that is there.
DRIFTLINE ?= target/release/driftline
BENCH_ARGS ?=
target/release/driftline:
	cargo build --release $(CARGO_FLAGS) --bin driftline

bench: setup $(DRIFTLINE) ## the benchmarks, beside a real broker and the peers, into docs/performance/
	@eval "$$(tests/rig/setup.sh env)" && "$$DRIFTLINE_TEST_PYTHON" benches/bench.py --driftline $(DRIFTLINE) $(BENCH_ARGS)

JUDGEMENT_RUNS ?= 20
judgement: setup ## docs/judgement.md and its pictures: false alarms and delays of the shipped code beside others'
	cargo run $(CARGO_FLAGS) --release -p driftline-analytics --example judgement -- $(JUDGEMENT_RUNS)
	@eval "$$(tests/rig/setup.sh env)" && DRIFTLINE_TEST_STRICT=1 DRIFTLINE_ALL_MONTHS=1 cargo test $(CARGO_FLAGS) --test it -- --nocapture a_month_by_the_others

screenshots: setup ## docs/img: every view of the page in both themes and two widths, by Chromium
	@eval "$$(tests/rig/setup.sh env)" && DRIFTLINE_SCREENSHOTS=$(CURDIR)/docs/img cargo test $(CARGO_FLAGS) --workspace --test it every_view_is_sound

chaos: setup $(DRIFTLINE) ## the long forms: 100 000 simulated runs, 200 deaths of the optimised binary, 500 of candidates, 500 of first starts, a minute without brokers
	DRIFTLINE_SIMULATION_SEEDS=$(SEEDS) cargo test $(CARGO_FLAGS) -p driftline-pipeline whatever_befalls -- --nocapture
	DRIFTLINE_PAIRS=200000 cargo test $(CARGO_FLAGS) -p driftline-pipeline pairs_are_the_same -- --nocapture
	@eval "$$(tests/rig/setup.sh env)" && DRIFTLINE_TEST_STRICT=1 DRIFTLINE_TEST_BINARY=$(abspath $(DRIFTLINE)) \
		DRIFTLINE_CHAOS_KILLS=$(CHAOS_KILLS) DRIFTLINE_CANDIDATE_KILLS=$(CANDIDATE_KILLS) DRIFTLINE_START_KILLS=$(START_KILLS) DRIFTLINE_BROKERS_AWAY_S=60 \
		cargo test $(CARGO_FLAGS) --workspace --test it -- service::chaos:: service::candidates:: service::first_start:: kafka::cluster:: --nocapture

soak: setup $(DRIFTLINE) ## an hour of steady load, a backlog of five million records, a week with a slow partition
	@eval "$$(tests/rig/setup.sh env)" && DRIFTLINE_TEST_STRICT=1 DRIFTLINE_TEST_BINARY=$(abspath $(DRIFTLINE)) \
		DRIFTLINE_SOAK_SECONDS=$(SOAK_SECONDS) DRIFTLINE_BACKLOG_RECORDS=5000000 DRIFTLINE_SLOW_DAYS=7 \
		cargo test $(CARGO_FLAGS) --workspace --test it -- service::bounds:: --nocapture --test-threads 1

# PACKAGE_PROFILE=dev takes the unoptimised binary, for a look at the packages alone.
PACKAGE_PROFILE ?= release
package: setup ## the packages: wheel and Debian package built and tried, the rest linted
	@PACKAGE_PROFILE=$(PACKAGE_PROFILE) CARGO_FLAGS="$(CARGO_FLAGS)" tests/package/package.sh

time: ## docs/time.md: good rows under the rule of time and the former one, over streams of wrong clocks
	@cargo run $(CARGO_FLAGS) -q -p driftline-analytics --example time > docs/time.md.part
	@mv docs/time.md.part docs/time.md

FUZZ_SECONDS ?= 60
FUZZ_FLAGS ?=
FUZZ_TARGETS ?= decoder avro protobuf inference schema configuration baseline checkpoint http
# The versions are ours, and no sanitizer is asked for, since those need another compiler than ours.
fuzz: ## any bytes into decoders, schemas, configuration, baseline, checkpoint and HTTP, FUZZ_SECONDS each
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@cp Cargo.lock fuzz/Cargo.lock
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo fuzz run --sanitizer none --codegen-units 16 $(FUZZ_FLAGS) $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 || exit 1; \
	done
