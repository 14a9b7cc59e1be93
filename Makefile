# Everything a user or a developer of mapstore runs. `make help` lists it.
#
#   make demo    two programs share a ConfigMap, on a loopback API server
#   make test    everything there is to check, on the real API server too
#   make check   the daily loop: the same without the real server

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Neither the demo nor a test ever uses a cluster because the environment
# happens to name one: only CLUSTER= and MAPSTORE_TEST_KUBECONFIG do.
unexport KUBECONFIG MAPSTORE_CLUSTER_CONFIG_PATH NAMESPACE
unexport KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT

# Go's compiler is the one that is here, checked by tests/tools.sh: none is downloaded.
GOTOOLCHAIN ?= local
export GOTOOLCHAIN

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
DEBUG := $(TARGET)/debug
APISERVER := $(CURDIR)/.build/apiserver
# Where cargo puts what PROFILE makes.
BUILT = $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
RESULTS := $(TARGET)/conformance
PREFIX ?= /usr/local
DESTDIR ?=
PROFILE ?= release
CLUSTER ?=

# One selection of packages for all: with another one cargo unites the features
# of the dependencies otherwise, and compiles them once more.
BUILD := cargo build --locked --workspace --all-targets

step = @printf '\n=== %s\n' '$(1)'

.PHONY: help
help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST))

# --- for users

## make demo [CLUSTER=kubeconfig]   C, Rust, Go and Python programs share a ConfigMap; loopback server unless CLUSTER is given
.PHONY: demo
demo:
	@tests/tools.sh cargo cc
	$(call step,building (the first time takes some minutes))
	cargo build --locked -p mapstore -p mapstore-ffi -p mapstore-dev -p mapstore-py --lib --bins --examples
	@tests/demo/demo.sh '$(DEBUG)' '$(CLUSTER)'

## make install [PREFIX=/usr/local] [DESTDIR=]   library, headers, pkg-config and CMake files
.PHONY: install
install:
	@tests/tools.sh cargo
	@mapstore-ffi/install.sh PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' PROFILE='$(PROFILE)'

## make install-dev [PREFIX=] [DESTDIR=]   mapstore-dev and its C library, for the tests of C programs
.PHONY: install-dev
install-dev:
	@tests/tools.sh cargo
	cargo build --locked --profile '$(PROFILE)' -p mapstore-dev -p mapstore-dev-capi
	install -D -m 755 '$(BUILT)/mapstore-dev' '$(DESTDIR)$(PREFIX)/bin/mapstore-dev'
	install -D -m 755 '$(BUILT)/libmapstore_dev.so' '$(DESTDIR)$(PREFIX)/lib/libmapstore_dev.so'
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/include' include/mapstore_dev.h include/mapstore_dev.hpp

## make wheel       the Python package as a wheel, tested on every Python found here
.PHONY: wheel
wheel:
	@tests/tools.sh cargo python3
	$(call step,the wheel (the release build takes some minutes))
	$(BUILD)
	@mapstore-py/wheel.sh '$(TARGET)' '$(DEBUG)'
	@tests/paths.sh '$(TARGET)'/wheels/*.whl

# --- for developers

## make check       formats, lints, all tests that need no real API server
.PHONY: check
check:
	@tests/tools.sh cargo cc c++ go python3 nm readelf pkg-config cmake
	@$(MAKE) lint tests-offline proxies go python conformance-dev

## make busy        the tests of make check beside four busy loops: none depends on an idle machine
.PHONY: busy
busy:
	$(call step,the tests that need no real API server, on a busy machine)
	$(BUILD)
	@tests/busy.sh 4 $(MAKE) tests-offline go python conformance-dev

## make go          the Go package's tests; make go ALL=all: with the race detector and more
.PHONY: go
go:
	$(call step,the Go package)
	$(BUILD)
	@bindings/go/test.sh '$(DEBUG)' $(ALL)

## make python      the Python package's tests
.PHONY: python
python:
	$(call step,the Python package)
	$(BUILD)
	@mapstore-py/test.sh '$(DEBUG)'

## make test        everything: check, the real API server, installation, documents
.PHONY: test
test:
	@tests/tools.sh cargo cc c++ go python3 nm readelf pkg-config cmake
	@$(MAKE) apiserver
	@$(MAKE) check
	@$(MAKE) go ALL=all
	@$(MAKE) tests-real kubeconfigs
	@$(MAKE) faults
	@$(MAKE) conformance-real
	@$(MAKE) conformance-count
	@$(MAKE) conformance-role
	@$(MAKE) many
	@$(MAKE) bench-check
	@$(MAKE) docs
	@$(MAKE) audit
	@$(MAKE) installed
	@$(MAKE) wheel
	$(call step,all of make test passed)

.PHONY: lint
lint:
	$(call step,formats and lints)
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@tests/pinned.sh
	@python3 tests/house.py >/dev/null || python3 tests/house.py

## make house       the drawing: folders, floors, circles, longest functions and files of each crate
.PHONY: house
house:
	$(call step,the house)
	@python3 tests/house.py

.PHONY: tests-offline
tests-offline:
	$(call step,tests without a real API server)
	$(BUILD)
	cargo test --locked --workspace
	cd tests/faults/check && gofmt -l . | (! grep .) && go vet ./... && go test ./...

# The committed verdicts are Go's; that mapstore's are the same is a unit test.
.PHONY: proxies
proxies:
	$(call step,NO_PROXY and its kin as Go reads them)
	cd tests/proxies && gofmt -l . | (! grep .) && go vet . && go run . < table.jsonl | diff - verdicts.txt

.PHONY: apiserver
apiserver:
	$(call step,the real API server (cold: about 5 minutes))
	tests/apiserver/build.sh '$(APISERVER)'

# Many kubeconfigs through kubectl and through mapstore.
.PHONY: kubeconfigs
kubeconfigs: apiserver
	$(call step,kubeconfigs as kubectl reads them)
	$(BUILD)
	cd tests/kubeconfigs && gofmt -l . | (! grep .) && go vet . && \
	    go run . '$(APISERVER)/kubectl' '$(DEBUG)/runner-rust'

# These test targets are no part of a plain `cargo test` (`test = false`).
.PHONY: tests-real
tests-real: apiserver
	$(call step,tests on the real API server)
	cd tests/apiserver && gofmt -l . | (! grep .) && go vet ./cmd/launcher . && \
	    MAPSTORE_APISERVER='$(APISERVER)/apiserver' go test -count=1 .
	MAPSTORE_APISERVER_DIR='$(APISERVER)' cargo test --locked --workspace \
	    --test compare --test kubectl $(REAL_TESTS) --test c_programs --test installation

REAL_TESTS := $(patsubst mapstore/tests/%.rs,--test %,$(wildcard mapstore/tests/real_*.rs))

.PHONY: runners
runners:
	$(BUILD)
	tests/conformance/c/build.sh include '$(DEBUG)' '$(DEBUG)/runner-c'
	tests/conformance/cpp/build.sh include '$(DEBUG)' '$(DEBUG)/runner-cpp'
	tests/conformance/go/build.sh '$(DEBUG)' '$(DEBUG)/runner-go'
	tests/conformance/python/build.sh '$(DEBUG)' '$(DEBUG)/python'

# Each language's program for the table.
RUNNERS = --runner rust --runner c --runner 'cpp=$(DEBUG)/runner-cpp' \
    --runner 'go=$(DEBUG)/runner-go' \
    --runner 'python=env PYTHONPATH=$(DEBUG)/python PYTHONDONTWRITEBYTECODE=1 python3 tests/conformance/python/runner.py'

.PHONY: conformance-dev
conformance-dev: runners
	$(call step,the conformance table on mapstore-dev)
	@mkdir -p '$(RESULTS)'
	$(DEBUG)/conformance --server dev $(RUNNERS) --json '$(RESULTS)/dev.json'

.PHONY: conformance-real
conformance-real: runners apiserver
	$(call step,the conformance table on the real API server)
	@mkdir -p '$(RESULTS)'
	MAPSTORE_APISERVER_DIR='$(APISERVER)' \
	    $(DEBUG)/conformance --server real $(RUNNERS) --json '$(RESULTS)/real.json'

# Under the Role that the Go package github.com/unrolled/mapstore publishes, which has no patch, and under get and patch
# alone on a map that somebody else has made; without the cases that need more than that.
.PHONY: conformance-role
conformance-role: runners apiserver
	$(call step,the Go table under little rights)
	MAPSTORE_APISERVER_DIR='$(APISERVER)' $(DEBUG)/conformance --server real --runner 'go=$(DEBUG)/runner-go' \
	    --role get,create,update,delete --without-need another-namespace
	MAPSTORE_APISERVER_DIR='$(APISERVER)' $(DEBUG)/conformance --server real --runner 'go=$(DEBUG)/runner-go' \
	    --role get,patch --existing --without-need another-namespace --without-need a-missing-map

## make many        eight processes in three languages write one map of the real API server; KEYS=1000 each
.PHONY: many
many: runners apiserver
	$(call step,eight processes)
	@tests/many/run.sh '$(DEBUG)' '$(APISERVER)' '$(or $(KEYS),100)'

# The short form is 24 seeds, or as many as go into four and a half minutes.
FAULTS := $(TARGET)/faults
JOBS ?= 2
faults-run = MAPSTORE_APISERVER_DIR='$(APISERVER)' '$(DEBUG)/faults' --built '$(DEBUG)' \
    --sources tests/faults/traffic --jobs '$(JOBS)'

.PHONY: faults-built
faults-built: apiserver
	$(BUILD)
	@tests/faults/build.sh '$(DEBUG)'

## make faults [SEED=n]   histories with faults on the real API server, judged; with a seed that one only
.PHONY: faults
faults: faults-built
	$(call step,histories with faults)
	@rm -rf '$(FAULTS)/short'
	$(faults-run) --out '$(FAULTS)/short' $(if $(SEED),--seed '$(SEED)' --keep,--seed 1 --count 24 --seconds 270)

## make soak HOURS=n   the same with new seeds, for so many hours
.PHONY: soak
soak: faults-built
	$(call step,histories with faults for $(or $(HOURS),1) h)
	$(faults-run) --out '$(FAULTS)/soak' --seed "$$(date +%s)" \
	    --seconds "$$(awk 'BEGIN { print int($(or $(HOURS),1) * 3600) }')"

## make mutants     builds of the core with one mistake each: the checker of the histories has to find it
.PHONY: mutants
mutants: faults-built
	$(call step,mistakes that the checker has to find)
	@tests/faults/mutants.sh '$(TARGET)' '$(APISERVER)' $(ONLY)

## make bench       what writes cost, beside other clients: see bench/README.md; BENCH="only=sizes rounds=1" measures less
.PHONY: bench
bench: apiserver
	@tests/tools.sh cargo cc go python3 pkg-config
	$(call step,what writes cost (half an hour))
	@bench/run.sh '$(TARGET)' '$(APISERVER)' '$(CURDIR)/bench/results' $(BENCH)

# Its short form: requests and bytes.
.PHONY: bench-check
bench-check: apiserver
	$(call step,requests and bytes of writes in four languages)
	@bench/run.sh '$(TARGET)' '$(APISERVER)' check

.PHONY: conformance-count
conformance-count:
	$(DEBUG)/conformance --count --server dev --server real $(RUNNERS) \
	    '$(RESULTS)/dev.json' '$(RESULTS)/real.json'

## make docs        the examples, the documents' too, compiled and run
.PHONY: docs
docs: runners apiserver
	$(call step,examples and those in the documents)
	cargo test --locked --workspace --doc
	@tests/docs/extract.sh '$(DEBUG)'
	@python3 tests/docs/readme.py '$(TARGET)'
	@tests/examples/run.sh '$(DEBUG)' '$(APISERVER)'

## make audit       licences and sources of the dependencies, and whether each is used
.PHONY: audit
audit:
	$(call step,licences and sources of the dependencies)
	@tests/audit.sh '$(TARGET)'

## make installed   builds the release library, installs it to a scratch place and uses it from there
.PHONY: installed
installed:
	$(call step,the installed library (the release build takes about 5 minutes))
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	    $(MAKE) install PREFIX="$$scratch" DESTDIR= && mapstore-ffi/tests/install.sh "$$scratch" && \
	    tests/paths.sh "$$scratch"/lib/libmapstore.so "$$scratch"/lib/libmapstore.a
	@strip -s -o '$(TARGET)/libmapstore.stripped' '$(TARGET)/release/libmapstore.so'
	@printf 'stripped library: %s bytes (aim: 6 MB or less)\n' "$$(stat -c %s '$(TARGET)/libmapstore.stripped')"

## make sanitize    valgrind, AddressSanitizer and LeakSanitizer on the C programs and the C runner
.PHONY: sanitize
sanitize:
	@tests/tools.sh cargo cc valgrind
	$(call step,valgrind and sanitizers)
	@mapstore-ffi/tests/sanitize.sh

## make bless       writes the generated headers, and the notices of the Python package, anew
.PHONY: bless
bless:
	MAPSTORE_BLESS=1 cargo test --locked -p mapstore-ffi --test header
	MAPSTORE_BLESS=1 cargo test --locked -p mapstore-dev-capi
	python3 mapstore-py/notices.py mapstore-py/THIRD-PARTY-NOTICES.txt

## make clean       removes what was built here
.PHONY: clean
clean:
	cargo clean
	rm -rf .build
