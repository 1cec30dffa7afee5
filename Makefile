# Stoker. `make run` tries it out, `make test` tests everything; README.md has the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

SWIFT ?= swift
# The Swift runtime is linked into the program, so that it runs where no Swift is installed.
RELEASE := -c release --static-swift-stdlib
BIN := .build/release/stoker
PREFIX ?= /usr
DESTDIR ?=
MODEL ?=
PORT ?= 8080
ADMIN_PORT ?= 8081

.PHONY: help deps build run test test-fast test-swift test-end-to-end lint install clean

help: ## Shows this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

deps: ## Installs the system packages that building needs (Debian, Ubuntu)
	@scripts/deps

build: deps ## Builds the release program
	$(SWIFT) build $(RELEASE) --product stoker

run: build ## Builds, and serves a real vLLM (MODEL=…, PORT=…, ADMIN_PORT=…)
	@BIN=$(BIN) MODEL='$(MODEL)' PORT='$(PORT)' ADMIN_PORT='$(ADMIN_PORT)' scripts/run

test: lint test-swift test-end-to-end ## Everything, a real vLLM on the CPU included

test-fast: lint test-swift ## Everything but what needs a real vLLM
	@$(MAKE) --no-print-directory test-end-to-end MARKS='not real'

test-swift: deps
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --no-parallel

test-end-to-end: build
	$(SWIFT) build $(RELEASE) --product vllm-stand-in
	@BIN=$(BIN) STAND_IN=.build/release/vllm-stand-in scripts/test-end-to-end $(if $(MARKS),-m "$(MARKS)")

lint: deps
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

install: ## Installs program, unit and user (after `make build`; as root)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/stoker
	install -D -m 644 units/stoker.service $(DESTDIR)$(PREFIX)/lib/systemd/system/stoker.service
	install -d -m 755 $(DESTDIR)/etc/stoker
	test -n "$(DESTDIR)" || getent passwd stoker >/dev/null || \
		useradd --system --user-group --home-dir /var/lib/stoker --shell /usr/sbin/nologin stoker
	test -n "$(DESTDIR)" || ! test -d /run/systemd/system || systemctl daemon-reload

clean: ## Removes what was built here
	rm -rf .build
