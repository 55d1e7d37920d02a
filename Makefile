# SPDX-License-Identifier: MIT
# The short way in. Everything is CMake's; this sets up, builds and runs. PRESET=debug|asan|tsan for the other builds.
PRESET ?= release
BUILD := build/$(PRESET)
PREFIX ?= /usr/local

.PHONY: all deps configure build run test bench bench-peers check format install clean

all: build

deps:
	@tools/install-deps

configure: deps
	@test -f $(BUILD)/build.ninja -a -z "$(CMAKE_ARGS)" || cmake --preset $(PRESET) $(CMAKE_ARGS)

build: configure
	@cmake --build $(BUILD)

# The main job on real photographs, with a few hostile files among them.
run: build
	@tools/demo.sh $(BUILD)

test: build
	@tools/run-tests $(BUILD)

bench: build
	@cmake --build $(BUILD) --target bench_programs
	@bench/run --build $(BUILD) $(BENCH_ARGS)

# What others wrote, to measure against; outside the tree's dependencies.
bench-peers: deps
	@bench/peers/install.sh

check: build
	@tools/check $(BUILD)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	@rm -rf build
