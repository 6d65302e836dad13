# `make demo` and `make test` are all that a fresh Debian or Ubuntu machine with Python 3 needs.
#   LIBTORCH=DIR  an existing LibTorch    CXX=...  the compiler    JOBS=N  parallel jobs    PREFIX=DIR  for install
PREFIX ?= /usr/local
# Absolute, since CMake and the tests run in other folders.
ifneq ($(LIBTORCH),)
  override LIBTORCH := $(abspath $(LIBTORCH))
endif
export LIBTORCH JOBS

.PHONY: help demo test build program setup install bench-versus asan fuzz format tidy clean
help:
	@echo "make demo          compress SmolLM2 by every method, compare the results in one page"
	@echo "make test          build, and run all tests"
	@echo "make program       build build/release/formwork and formwork-run; make build builds tests and benchmarks too"
	@echo "make install       install under PREFIX ($(PREFIX)): program, library, headers, CMake package"
	@echo "make bench-versus  measure against PyTorch, llama.cpp, CTranslate2 and write docs/performance.md"
	@echo "make asan          build with address and undefined-behaviour sanitizers, and run the tests"
	@echo "make fuzz          fuzz the readers of foreign files, SECONDS=10 each"
	@echo "make format, tidy  clang-format on all files, clang-tidy on the changed ones"

setup:
	@tools/setup.sh

build: setup
	@tools/build.sh release

# What ships, without tests and benchmarks: two thirds of the time.
program: setup
	@tools/build.sh release formwork formwork-run

demo: program
	@tools/demo.sh

test: build
	@tools/test.sh release

install: program
	@cmake --install build/release --prefix "$(abspath $(PREFIX))"

# Compares with PyTorch itself and with transformers, so the torch wheel is needed even where LIBTORCH is set.
bench-versus: build
	@LIBTORCH= tools/setup.sh
	@tools/bench_versus.sh

asan: setup
	@tools/setup.sh sanitizers
	@tools/build.sh asan
	@tools/test.sh asan

fuzz: setup
	@tools/setup.sh sanitizers
	@tools/fuzz.sh $(SECONDS)

format:
	@tools/format.sh

tidy: build
	@tools/tidy.sh

clean:
	@rm -rf build
