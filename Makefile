# Run 'make' for what can be made. Building needs Go alone: the BPF object is in the
# repository. Tracing, the demo and the kernel's tests need root.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
export CGO_ENABLED := 0

# Versions that 'make generate' and 'make lint' need: what they make differs from one to the next.
CLANG := clang-19
CLANG_FORMAT := clang-format-19
BASE ?=
BENCH_FLAGS ?=
MINUTES ?= 10
FUZZTIME ?= 20s
SOAK_FLAGS ?=
KERNELS ?= 5.10 6.1 6.12 7
ARCH ?= amd64
RUN ?=
SKIP ?=
PKGS ?= ./...
PREFIX ?= /usr/local
DESTDIR ?=
SHARE = $(DESTDIR)$(PREFIX)/share

.DEFAULT_GOAL := help
.PHONY: help build demo browser containers test race fuzz test-vm bench soak lab compilers lint generate generated cross install uninstall packages clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: tcptrace ## Build ./tcptrace, static

# A clone's version is its commit, if git may read it.
VCS := $(if $(shell git rev-parse HEAD 2>/dev/null),true,false)

.PHONY: tcptrace
tcptrace:
	@go build -trimpath -buildvcs=$(VCS) -o $@ ./cmd/tcptrace

demo: tcptrace ## See it at work: two hosts, three ways to close (root, 10s)
	@./tcptrace demo

test: lint cross ## Run all tests, including those of the real kernel (root, 10 min)
	@go tool gotestsum --format standard-quiet --packages ./... -- -p 1 -parallel 8

# The detector needs cgo. It makes a trace so slow that events are lost: -short leaves out the
# tests that need the kernel or measure time.
race: ## Run the tests that need no kernel with the race detector (needs a C compiler)
	@CGO_ENABLED=1 go test -race -short ./...

fuzz: ## Fuzz each target (FUZZTIME=20s)
	@for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

browser: ## Install the browser that tests look at the page of report with (apt-get)
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -qq -y chromium; } >/dev/null

containers: ## Install what tests run containers with: runc, Podman and busybox (apt-get)
	@command -v runc >/dev/null && command -v podman >/dev/null && busybox ip link >/dev/null || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends runc podman busybox-static; } >/dev/null

compilers: ## Install what makes the programs whose stacks tests look at: compilers for C and C++, and Node (apt-get)
	@command -v gcc >/dev/null && command -v g++ >/dev/null && command -v strip >/dev/null && command -v node >/dev/null || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends gcc g++ binutils libc6-dev nodejs; } >/dev/null

test-vm: ## Run the kernel's tests on other kernels, in emulated machines (KERNELS, ARCH, RUN, SKIP, PKGS)
	@go run ./internal/testvm -arch "$(ARCH)" -run "$(RUN)" -skip "$(SKIP)" -packages "$(PKGS)" $(KERNELS)

bench: ## Measure what tracing costs, next to other tools (root, 12 min; BASE=REV compares with a commit)
	@go run ./internal/bench -base "$(BASE)" $(BENCH_FLAGS) >bench.txt
	@go tool benchstat $(if $(BASE),-filter "/tcptrace:(base OR this)" -col /tcptrace) bench.txt
	@grep -E '^(target|this/base): ' bench.txt || true

soak: ## Trace a random workload in many ways, kill tracers, judge all (root, MINUTES=10)
	@go run ./internal/soak -minutes $(MINUTES) $(SOAK_FLAGS)

lab: tcptrace ## Find out the idle timeouts of real programs, and the requests lost by them (root, 10 min; LAB_FLAGS)
	@for program in nginx apache2 haproxy node gunicorn redis-server; do command -v $$program >/dev/null || missing=1; done; \
		/usr/bin/python3 -c 'import aiohttp' 2>/dev/null && [ -z "$$missing" ] || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends nginx apache2 haproxy nodejs gunicorn redis-server python3-aiohttp; } >/dev/null
	@go run ./internal/lab $(LAB_FLAGS)

lint: ## Check format and the usual mistakes
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted" >&2; exit 1; fi
	@if command -v $(CLANG_FORMAT) >/dev/null; then $(CLANG_FORMAT) --dry-run -Werror bpf/*.[ch] headers/*.h; fi
	@go vet ./...
	@go tool staticcheck ./...
	@go tool -modfile=packaging/go.mod actionlint -shellcheck= -pyflakes= .github/workflows/*.yml
	@if command -v mandoc >/dev/null; then mandoc -W warning packaging/*.[15] >/dev/null; fi
	@if command -v groff >/dev/null; then ! groff -mdoc -ww -z -Tutf8 packaging/*.[15] 2>&1 | grep .; fi

cross: ## Prove that the command builds for other systems
	@GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/tcptrace
	@GOARCH=arm64 go build -o /dev/null ./cmd/tcptrace

generate: ## Compile the BPF programs anew (installs clang by apt-get where it is missing)
	@command -v $(CLANG) >/dev/null && command -v $(CLANG_FORMAT) >/dev/null || \
		{ apt-get update -qq && apt-get install -qq -y $(CLANG) $(CLANG_FORMAT) llvm-19; } >/dev/null
	@go generate .

generated: generate ## Prove that the objects in the repository are those of the sources
	@git diff --exit-code -- internal/probe || { echo "internal/probe is stale: commit what 'make generate' made" >&2; exit 1; }

install: tcptrace ## Install it with its man pages and completion (PREFIX=/usr/local)
	@install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/man/man1 $(SHARE)/man/man5
	@install -m 755 tcptrace $(DESTDIR)$(PREFIX)/bin/tcptrace
	@install -m 644 packaging/tcptrace.1 $(SHARE)/man/man1/tcptrace.1
	@install -m 644 packaging/tcptrace-capture.5 $(SHARE)/man/man5/tcptrace-capture.5
	@install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	@./tcptrace completion bash | install -m 644 /dev/stdin $(SHARE)/bash-completion/completions/tcptrace
	@./tcptrace completion zsh | install -m 644 /dev/stdin $(SHARE)/zsh/site-functions/_tcptrace
	@./tcptrace completion fish | install -m 644 /dev/stdin $(SHARE)/fish/vendor_completions.d/tcptrace.fish

uninstall: ## Remove what 'make install' installed
	@rm -f $(DESTDIR)$(PREFIX)/bin/tcptrace $(SHARE)/man/man1/tcptrace.1 $(SHARE)/man/man5/tcptrace-capture.5 \
		$(SHARE)/bash-completion/completions/tcptrace $(SHARE)/zsh/site-functions/_tcptrace \
		$(SHARE)/fish/vendor_completions.d/tcptrace.fish

packages: ## Make static binaries, deb and rpm packages, into dist/
	@packaging/build.sh

clean: ## Remove what was built
	@rm -rf tcptrace dist
