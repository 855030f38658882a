# make help lists what this file does.

SHELL   := /bin/sh
CACHE   := .cache
TOOLS   := $(CACHE)/tools
LINT    := go tool -modfile=$(CURDIR)/.ci/tools/go.mod golangci-lint
# The wildcard ./... leaves out folders named testdata; fixture is a package of ours all the same.
PKGS    := ./... ./testdata/fixture/...
FUZZTIME    ?= 30s
MUTATE_SEED ?= 0
MUTATE_ROWS ?= 20
TESTFLAGS   ?=
CORPUS      ?= ../shared/data
# As in install.sh, so that its builds and ours share the cache.
CGO_CFLAGS  ?= -O2 -g -Wno-deprecated-declarations
export CORPUS CGO_CFLAGS

.PHONY: build test lint fuzz bench mutate stories-update engine-tests-update install clean help packages tools
.DEFAULT_GOAL := build

build: ## build the programs into bin/ (without a C compiler: all but gpu-preflight-nvml)
	@./install.sh --build bin

test: packages build tools ## install what the tests need (as root, through apt), build, vet, run every test
	@mkdir -p $(CACHE)
	CGO_ENABLED=0 go build $(PKGS)
	CGO_ENABLED=0 go vet $(PKGS)
	go vet $(PKGS)
	cd testdata/tools && go vet ./... && go test ./...
	@if [ -d "$(CORPUS)" ]; then echo "corpus: $(CORPUS)"; else echo "corpus: absent"; fi
	@rm -f $(CACHE)/test.rc; \
	{ go test -json -count=1 -timeout 35m $(TESTFLAGS) $(PKGS); echo $$? >$(CACHE)/test.rc; } | $(TOOLS)/testlog -dir $(CACHE) && exit "$$(cat $(CACHE)/test.rc)"

lint: packages ## golangci-lint with the import rules, and shellcheck
	$(LINT) run $(PKGS)
	cd testdata/tools && $(LINT) run --config $(CURDIR)/.golangci.yml ./...
	shellcheck $$(git grep -lE '^#!/bin/sh' -- install.sh .ci deploy testdata ':!*.txtar')

# Making what is new small would eat the time of large inputs: a minute for each.
fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ {t[n++] = $$1} /^ok/ {for (i = 0; i < n; i++) print $$2, t[i]; n = 0}' | \
	while read -r pkg target; do \
		echo "fuzz $$pkg $$target"; \
		go test "$$pkg" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s </dev/null || exit 1; \
	done

bench: build tools ## what a launch costs, side by side with a program that does nothing (prints, never fails)
	@$(TOOLS)/bench -bin bin -tools $(TOOLS) -nvml testdata/nvml/nvml.c

mutate: tools ## change MUTATE_ROWS (20) random rows of the tables one by one; a test must turn red each time
	@$(TOOLS)/mutate -seed $(MUTATE_SEED) -rows $(MUTATE_ROWS)

stories-update: build ## write what the programs print now into the stories; read the diff before you commit it
	UPDATE_STORIES=1 go test -count=1 -run 'Stories|Story' ./cmd/...

engine-tests-update: ## write the engine tests that passed in the last make test into the list that .ci/run wants
	@.ci/engine-tests >$(CACHE)/engine-tests.txt
	@{ sed -n '/^#/p' testdata/engine-tests.txt; cat $(CACHE)/engine-tests.txt; } >$(CACHE)/list && mv $(CACHE)/list testdata/engine-tests.txt

install: ## build and install on this host (./install.sh --help)
	@./install.sh

clean: ## remove what this file builds
	rm -rf bin $(CACHE)

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

packages:
	@.ci/packages

# The programs that only the tests and the benchmark use; their module is apart, so that ours stays small.
tools:
	@mkdir -p $(TOOLS)
	@cd testdata/tools && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o $(CURDIR)/$(TOOLS)/ ./...
