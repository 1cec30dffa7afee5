# Stoker. `make run` tries it out, `make test` tests everything; README.md has the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

SWIFT ?= swift
# The Swift runtime is linked into the program, so that it runs where no Swift is installed.
RELEASE := -c release --static-swift-stdlib
BIN := .build/release/stoker
PREFIX ?= /usr
DESTDIR ?=
# Where a real vLLM for the CPU, tiny models and the tests' own environment are kept.
export STOKER_DEV_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stoker-dev
DEV := $(STOKER_DEV_DIR)
MODEL ?=
PORT ?= 8080
ADMIN_PORT ?= 8081
ROUNDS ?= 7

.PHONY: help deps build run test test-fast fuzz test-swift test-end-to-end chaos real-vllm lint bench bench-counts deb install clean

help: ## Shows this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

deps: ## Installs the system packages that building needs (Debian, Ubuntu)
	@scripts/deps

build: deps ## Builds the release program
	$(SWIFT) build $(RELEASE) --product stoker

run: build ## Builds, and serves a real vLLM (MODEL=…, PORT=…, ADMIN_PORT=…)
	@BIN=$(BIN) MODEL='$(MODEL)' PORT='$(PORT)' ADMIN_PORT='$(ADMIN_PORT)' scripts/run

test: lint fuzz real-vllm ## Everything, a real vLLM on the CPU included
	@$(MAKE) --no-print-directory test-swift STOKER_TEST_VLLM="$$(scripts/vllm-cpu path)" STOKER_TEST_MODEL=$(DEV)/tiny-llama
	@$(MAKE) --no-print-directory test-end-to-end

test-fast: lint fuzz test-swift ## Everything but what needs a real vLLM
	@$(MAKE) --no-print-directory test-end-to-end MARKS='not real'

fuzz: export SECONDS_IN_ALL := $(or $(SECONDS_IN_ALL),60)
fuzz: deps ## Fuzzes what reads strangers' bytes (SECONDS_IN_ALL=60, or SECONDS_PER_TARGET=3600)
	@SECONDS_PER_TARGET='$(SECONDS_PER_TARGET)' TARGETS='$(TARGETS)' scripts/fuzz

real-vllm: deps
	@scripts/real-vllm >/dev/null

test-swift: export STOKER_TEST_VLLM := $(STOKER_TEST_VLLM)
test-swift: export STOKER_TEST_MODEL := $(STOKER_TEST_MODEL)
test-swift: deps
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --no-parallel

test-end-to-end: build
	$(SWIFT) build $(RELEASE) --product vllm-stand-in
	@BIN=$(BIN) STAND_IN=.build/release/vllm-stand-in scripts/test-end-to-end $(if $(MARKS),-m "$(MARKS)")

chaos: build real-vllm ## Injects every fault many times and keeps the table in docs/reliability.md (as root)
	$(SWIFT) build $(RELEASE) --product vllm-stand-in
	@BIN=$(BIN) STAND_IN=.build/release/vllm-stand-in STOKER_CHAOS=full STOKER_CHAOS_TABLE=docs/reliability.md \
		scripts/test-end-to-end -s Tests/EndToEnd/test_chaos.py Tests/EndToEnd/test_chaos_around.py

lint: deps
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

bench: build ## Measures the gateway beside nginx and HAProxy: times and memory (ROUNDS=…, OTHERS=1), idle machine
	@scripts/bench-deps $(if $(OTHERS),--others)
	Benchmarks/bench.py --stoker $(BIN) --rounds $(ROUNDS) $(if $(OTHERS),--others)

bench-counts: build ## Counts the gateway's instructions and system calls beside theirs: repeatable on a busy machine
	@scripts/bench-deps
	Benchmarks/bench.py --stoker $(BIN) --counts

deb: build ## Makes Debian packages in out/
	@scripts/deb $(BIN) out

install: ## Installs program, unit and user (after `make build`; as root)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/stoker
	install -D -m 644 units/stoker.service $(DESTDIR)$(PREFIX)/lib/systemd/system/stoker.service
	install -d -m 755 $(DESTDIR)/etc/stoker
	test -n "$(DESTDIR)" || getent passwd stoker >/dev/null || \
		useradd --system --user-group --home-dir /var/lib/stoker --shell /usr/sbin/nologin stoker
	test -n "$(DESTDIR)" || ! test -d /run/systemd/system || systemctl daemon-reload

clean: ## Removes what was built here
	rm -rf .build out
