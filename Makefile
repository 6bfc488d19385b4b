SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := bin
PKG ?= ./...

# What `msgorch --version` says; a source archive has no history to ask.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# The race detector needs a C compiler.
RACE ?= $(shell command -v "$$(go env CC)" >/dev/null && echo -race)

# A private PostgreSQL and Redis for the tests, or the ones that DATABASE_URL and REDIS_URL name.
THROWAWAY = scripts/services run --throwaway .run/test-$$$$ --

# The console's tests need a browser and are skipped without one.
BROWSER = if path=$$(scripts/browser find); then export CHROMIUM="$$path"; fi

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## everything in one terminal: PostgreSQL, Redis, api, worker, sandbox gateway
	@exec scripts/services run .run/dev -- $(BIN)/msgorch up

.PHONY: test
test: ## all tests (PKG=./tasks for one package)
	@$(BROWSER); exec $(THROWAWAY) go test $(RACE) -count=1 -parallel 4 -timeout 20m $(PKG)

.PHONY: test-fast
test-fast: ## the tests that take no time, without the race detector
	@$(BROWSER); exec $(THROWAWAY) go test -short -count=1 $(PKG)

.PHONY: chaos
chaos: ## kill anything at random under load, and prove that nothing was lost (SEED=n repeats a storm)
	@scripts/services ensure; CHAOS_MESSAGES=$${CHAOS_MESSAGES:-20000} CHAOS_CHATS=$${CHAOS_CHATS:-500} CHAOS_SECONDS=$${CHAOS_SECONDS:-240} \
		go test -count=1 -v -timeout 15m -run '^TestChaos$$' ./internal/e2e

.PHONY: pace
pace: ## the promises about time: a minute's rate, two minutes without a gateway, a hot neighbour (takes 10 minutes)
	@exec $(THROWAWAY) env PACE=1 go test -count=1 -v -timeout 20m -run '^TestPace' ./internal/e2e

# Servers that keep what they are told, as in life, and count statements.
.PHONY: bench
bench: build ## how fast this machine is, beside raw asynq and River (ONLY="api river", BENCH="--rounds 1")
	@cd internal/bench/peers && CGO_ENABLED=0 go build -o $(CURDIR)/$(BIN)/ .
	@export SERVICES_POSTGRES='-c shared_preload_libraries=pg_stat_statements -c min_wal_size=1GB'; \
		scripts/services run .run/bench -- bash -c 'REDIS_URL=$${REDIS_URL%/*}/63 $(BIN)/msgorch bench run --peers $(CURDIR)/$(BIN)/peers $(foreach name,$(ONLY),--only $(name)) $(BENCH)'

.PHONY: build
build: ## static binaries in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/...

.PHONY: check
check: generated lint test ## what CI runs

.PHONY: lint
lint: $(BIN)/tools ## golangci-lint
	$(BIN)/golangci-lint run

.PHONY: format
format: $(BIN)/tools ## gofumpt and the order of imports
	$(BIN)/golangci-lint fmt

.PHONY: generate
generate: $(BIN)/tools ## db/*.sql.go from db/*.sql and migrations/
	$(BIN)/sqlc generate

.PHONY: generated
generated: $(BIN)/tools ## fail if generated code or go.mod is stale
	$(BIN)/sqlc diff
	go mod tidy -diff

.PHONY: tools
tools: $(BIN)/tools ## the pinned sqlc and golangci-lint, in bin/

# Each tool is built with its own go.mod, as its authors tested it.
TOOLS := \
	github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 \
	github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The file lists what has been built, so that another change of the Makefile builds nothing.
$(BIN)/tools: Makefile
	@mkdir -p $(BIN)
	@if [[ "$$(cat $@ 2>/dev/null)" != "$(TOOLS)" ]]; then \
		for tool in $(TOOLS); do \
			echo "go install $$tool"; \
			GOBIN=$(CURDIR)/$(BIN) GOFLAGS= go install "$$tool"; \
		done; \
		echo "$(TOOLS)" >$@; \
	fi
	@touch $@

.PHONY: clean
clean: ## stop what runs, delete bin/ and .run/ with the development data
	@for dir in .run/*/; do if [[ -d $$dir ]]; then scripts/services remove "$$dir"; fi; done
	rm -rf $(BIN) .run
