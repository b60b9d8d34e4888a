# Berth: `make demo` shows it, `make test` proves it. Both install what they need (apt) by themselves.

SWIFT ?= swift
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3

DEBUG := .build/debug
RELEASE := .build/release
FORMATTED := Package.swift Sources Tests Fuzz/Package.swift Fuzz/Sources/Fuzz/Main.swift
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
# A tree of the caller's own needs no root.
INSTALL_SUDO := $(if $(DESTDIR),,$(SUDO))

export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Building

.PHONY: setup
setup: ## Install the Debian packages that building and testing need, when they are missing
	@scripts/setup build test peers

.PHONY: build
build: setup-build ## Build both programs for debugging (.build/debug)
	$(SWIFT) build -j $(JOBS)

.PHONY: release
release: setup-build ## Build both programs as they are shipped (.build/release)
	$(SWIFT) build -c release -j $(JOBS) --product berth-runtime
	$(SWIFT) build -c release -j $(JOBS) --product berth

.PHONY: setup-build
setup-build:
	@scripts/setup build

.PHONY: install
install: release ## Install the release build, manual pages and completion below PREFIX (/usr/local)
	@BUILT=$(RELEASE) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) SUDO="$(INSTALL_SUDO)" scripts/install

.PHONY: uninstall
uninstall: ## Remove what install put below PREFIX
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) SUDO="$(INSTALL_SUDO)" scripts/install --remove

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf .build

## Showing

.PHONY: demo
demo: ## Build, make an image of busybox, run it: as root and as an ordinary user
	@scripts/demo

## Proving

.PHONY: test
test: ## Run all tests that are short (under 30 minutes from a clean clone, building included)
	@scripts/setup build test peers
	@$(PYTHON) scripts/test.py unit integration

.PHONY: test-full
test-full: ## Run all tests, those that take long included, and the suite of the runtime with Debian's runc
	@scripts/setup build test peers
	@$(PYTHON) scripts/test.py --full unit integration

.PHONY: test-unit
test-unit: ## Run the unit tests: no root, no network
	@scripts/setup build
	@$(PYTHON) scripts/test.py unit

.PHONY: test-integration
test-integration: ## Run the integration tests on the real kernel
	@scripts/setup build test peers
	@$(PYTHON) scripts/test.py integration

.PHONY: fuzz
fuzz: setup-build ## Search with libFuzzer: TARGET=tar SECONDS=60; all targets without TARGET
	@scripts/fuzz "$(or $(TARGET),all)" "$(or $(SECONDS),60)"

.PHONY: bench
bench: ## Measure against podman, docker, runc, crun, bubblewrap; writes bench/RESULTS.md
	@scripts/setup build test peers bench
	@$(MAKE) --no-print-directory release
	$(SUDO) $(PYTHON) bench/run.py

## Writing

.PHONY: format
format: ## Rewrite all Swift sources in the one format (.swift-format)
	$(SWIFT) format format --in-place --parallel --recursive $(FORMATTED)

.PHONY: lint
lint: ## Check format and style of all Swift sources; changes nothing
	$(SWIFT) format lint --strict --parallel --recursive $(FORMATTED)

.PHONY: docs
docs: build ## Write the command reference (docs/reference) from the command tables
	@mkdir -p docs/reference
	$(DEBUG)/berth __markdown > docs/reference/berth.md
	$(DEBUG)/berth-runtime __markdown > docs/reference/berth-runtime.md

.PHONY: man
man: build ## Write the manual pages from the command tables (.build/man)
	@rm -rf .build/man && mkdir -p .build/man
	$(DEBUG)/berth __man .build/man
	$(DEBUG)/berth-runtime __man .build/man
