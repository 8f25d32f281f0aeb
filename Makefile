# Everything a person or a CI job does with this checkout. The work is in scripts/; this file names it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SWIFT ?= swift
PREFIX ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
PYTHON := .venv/bin/python3
# Arguments for `make bench`, `make soak` and `make test`, for example: make bench ARGS=--quick
ARGS ?=

# `make test` treats warnings as errors; with a compiler newer than ours: make test LOCKERD_STRICT=0
test test-tsan test-asan fuzz: export LOCKERD_STRICT ?= 1

.PHONY: help deps bench-deps guest build release demo run test test-full test-tsan test-asan fuzz soak lint bench bench-lines bench-gpio bench-ble install clean distclean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## Installs what is missing: Debian packages (as root or by sudo) and the Python peers in .venv
	@scripts/deps

bench-deps: deps ## The same, and what `make bench` measures against
	@scripts/deps --bench

build: deps ## Debug build, modules laid out beside the programs
	$(SWIFT) build
	scripts/stage-modules "$$($(SWIFT) build --show-bin-path)"

release: deps ## Optimised build, modules laid out beside the programs
	@SWIFT="$(SWIFT)" scripts/build-release

demo: release ## Shows the daemon at work on the demo site, checks every step, stops
	@$(PYTHON) scripts/demo

run: release ## The demo site in the foreground until Ctrl-C; socket .run/control.sock
	@exec $(PYTHON) scripts/run-demo

guest: deps ## Builds the kernel that GPIO tests run in, once, in the user's cache (five minutes)
	@scripts/deps --guest
	@Tests/Bench/guest/build-kernel
	@Tests/Bench/guest/build-shims

test: deps ## Every check and every test that this machine can run
	@$(PYTHON) scripts/run-tests $(ARGS)

test-full: test ## The same, and GPIO once more in an emulated computer with Debian's own kernel
	@scripts/deps --machine
	@$(PYTHON) scripts/test-machine

test-tsan: deps ## The tests under thread sanitizer, in .build-tsan
	@$(PYTHON) scripts/run-tests --sanitize thread $(ARGS)

test-asan: deps ## The tests under address sanitizer, in .build-asan
	@$(PYTHON) scripts/run-tests --sanitize address $(ARGS)

fuzz: deps ## The fuzz tests only, again and again with new seeds (FUZZ_RUNS=20)
	@$(PYTHON) scripts/run-tests --fuzz $(ARGS)

# The debug build: it alone ends itself at a named step of an open.
soak: build ## Kills core and modules 5000 times and checks every promise (half an hour; ARGS="--minutes 5")
	@$(PYTHON) Tests/Bench/killing/kill_anywhere.py --lockerd "$$($(SWIFT) build --show-bin-path)/lockerd" --kills 5000 $(ARGS)

lint: deps ## Format of the Swift sources, Python and shell syntax
	@scripts/lint

bench: bench-deps release guest ## Speed and memory beside NUT's upsd and a bare echo, then bench-lines, bench-gpio and bench-ble; JSON in .build/bench
	@$(PYTHON) scripts/bench $(ARGS)
	@$(PYTHON) scripts/bench-lines $(if $(findstring --quick,$(ARGS)),--quick)
	@$(PYTHON) scripts/bench-gpio $(if $(findstring --quick,$(ARGS)),--quick)
	@$(PYTHON) scripts/bench-ble $(if $(findstring --quick,$(ARGS)),--quick)

bench-gpio: release guest ## How exact pulses and edges are, on simulated GPIO chips; JSON in .build/bench
	@$(PYTHON) scripts/bench-gpio $(ARGS)

bench-ble: release guest ## How quickly towers are found and opened, over simulated Bluetooth; JSON in .build/bench
	@$(PYTHON) scripts/bench-ble $(ARGS)

# `sudo make install` often has no compiler in its PATH: then what is already built is installed.
bench-lines: bench-deps release ## How serial lines are used, against boards that keep their time; JSON in .build/bench
	@$(PYTHON) scripts/bench-lines $(ARGS)

install: $(if $(shell command -v $(SWIFT)),release) ## Installs below $(DESTDIR)$(PREFIX); never touches existing configuration
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" scripts/install-tree .build/release

clean: ## Removes what was built
	rm -rf .build .build-tsan .build-asan .run

distclean: clean ## The same, and the Python peers
	rm -rf .venv
