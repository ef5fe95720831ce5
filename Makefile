# Realm: `make demo` shows the main job, `make test` builds and runs every test.
# Both install what the machine lacks (tools/setup) and do only what is left when run again.
# Underneath are CMake presets: cmake --preset release && cmake --build --preset release
SHELL := /bin/bash
.DEFAULT_GOAL := demo
export PATH := $(PATH):$(HOME)/.cargo/bin
MODEL := qwen2.5-coder-0.5b
REALM := build/release/realm

.PHONY: setup build demo test test-long bench bench-load bench-start models format clean help
help:
	@echo "make demo       build, fetch the default model, run the main job"
	@echo "make test       build everything, run every test (sanitizers too)"
	@echo "make test-long  long loops, fuzzing, the 1.5B model"
	@echo "make bench      Realm beside llama.cpp on the same files"
	@echo "make bench-load the server: cost of guests, slow clients, thousands that wait, overload"
	@echo "make bench-start  exec to first byte"
	@echo "make format     format the sources"

setup:
	@tools/setup

build: setup
	@tools/build release

demo: build
	@tools/demo $(MODEL)

models: build
	@tools/import_models gemma3-270m $(MODEL)

test: setup
	@tools/test

test-long: setup
	@tools/test long

bench: build
	@tools/import_models gemma3-270m $(MODEL)
	@bench/peers/run

bench-load: build
	@tools/import_models $(MODEL)
	@for part in guest slow hold overload prefix speculate; do echo "== $$part"; bench/load/$$part.py $(MODEL) || exit 1; done

bench-start: build
	@tools/import_models gemma3-270m $(MODEL)
	@bench/start/run.py gemma3-270m $(MODEL)

format:
	@tools/check_format clang-format --fix

clean:
	rm -rf build
