# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

SHELL       := bash
VERSION     := $(shell cat VERSION)
CACHE       := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gardener-extension-networking-ipv6
TOOLS       := $(CACHE)/bin
LANDSCAPE   := $(CACHE)/bin/landscape
MODULE      := github.com/gardener/gardener-extension-networking-ipv6
PROGRAMS    := $(notdir $(wildcard cmd/*))
LD_FLAGS    := -s -w -X k8s.io/component-base/version.gitVersion=$(VERSION) -X k8s.io/component-base/version/verflag.programName=gardener-extension-networking-ipv6
# Without it, GoBGP's gRPC pulls in what takes the agent a third of its memory.
TAGS        := grpcnotrace
SCENARIO    ?=

# One set of flags everywhere, so that every target shares one compile cache.
export GOFLAGS     := -trimpath -buildvcs=false
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ The local landscape

# The program that builds the others needs next to no compiling, so that even a cold start shows at once what it does.
BUILD := go run ./test/landscape/build/cmd

$(LANDSCAPE): # demo, demo-down and test-e2e find it there after the first build
	@mkdir -p $(TOOLS) && go build -o $(LANDSCAPE) ./test/landscape

.PHONY: demo
demo: ## Bring up a real Gardener-like landscape here, create a Shoot, show what became of it (root)
	@$(if $(SCENARIO),hack/prerequisites.sh && )$(BUILD) landscape && $(LANDSCAPE) demo --skip-build --scenario=$(SCENARIO)

.PHONY: demo-down
demo-down: $(LANDSCAPE) ## Remove every process, namespace, mount and cgroup that demo made (root)
	@$(LANDSCAPE) down

.PHONY: binaries
binaries: ## Build the API servers that the integration tests run, into the cache outside the work tree
	@$(BUILD) binaries

##@ Tests

.PHONY: test
test: test-unit test-race test-sim sim test-integration test-ipam test-node ## Everything that needs no landscape: unit, race, simulation, integration, IPAM, node tests

.PHONY: test-unit
test-unit: ## Unit tests, fuzz seeds and golden files
	go test ./pkg/... ./cmd/... ./charts/... ./example/... ./hack/... ./test/landscape/build/... ./test/landscape/image/... ./test/landscape/driver/... ./test/landscape/show/... ./test/landscape/capture/... ./test/scenarios/... ./test/bench/...

# Only packages where goroutines meet and that do not pull in Kubernetes: -race compiles every dependency anew.
RACE_PACKAGES := ./pkg/prefix ./pkg/podip/... ./pkg/cnirpc/... ./pkg/dataplane/... ./pkg/reservation ./pkg/reservation/pool ./pkg/reservation/ula ./pkg/reservation/fake ./pkg/bgp ./pkg/announce ./pkg/nodesource ./pkg/lbip

.PHONY: test-race
test-race: ## The packages where goroutines meet, under the race detector
	CGO_ENABLED=1 go test -race $(RACE_PACKAGES)

.PHONY: test-integration
test-integration: binaries ## Controllers, webhooks and admission against real API servers
	go test -count=1 -timeout 25m ./test/integration/... ./test/envtest/...

.PHONY: test-ipam
test-ipam: binaries ## The IPAM backends against their real servers, or wire-level fakes where there are none to be had (root)
	go test -count=1 -timeout 25m ./test/ipam/...

RUNS ?= 100000
SEED ?= 1

.PHONY: test-sim
test-sim: ## The simulation's own tests, and that it finds each bug that is put in on purpose
	go test -count=1 -timeout 15m ./test/sim

.PHONY: sim
sim: ## Simulate the reservation protocol against an IPAM that fails in every way: RUNS=100000 SEED=1
	go run ./test/sim -runs $(RUNS) -seed $(SEED)

.PHONY: test-node
test-node: binaries ## Agent, CNI plugin, BGP speaker and sources of node prefixes in network namespaces (root)
	@if [ "$$(id -u)" = 0 ]; then hack/prerequisites.sh && go test -count=1 -timeout 15m ./test/node/... ./test/bgp/... ./test/nodesource/...; \
	elif [ "$$CI" = true ]; then echo 'test-node needs root: the tests make network namespaces. Failing, because CI=true.' >&2; exit 1; \
	else echo 'LEFT OUT: test-node, because it needs root (network namespaces). Run: sudo make test-node' >&2; fi

.PHONY: test-e2e
test-e2e: ## The Shoot's life and upstream's [sig-network] conformance on the landscape (root)
	@$(BUILD) all && $(LANDSCAPE) e2e

SCENARIOS ?=

.PHONY: test-scenarios
test-scenarios: ## The scenarios of docs/scenarios.md, one Shoot after the other: all, or SCENARIOS='packet|talos' (root)
	@hack/prerequisites.sh && $(BUILD) landscape && go test -tags=e2e -count=1 -timeout=60m -v $(if $(SCENARIOS),-run 'TestScenarios/^($(SCENARIOS))$$') ./test/scenarios/...

.PHONY: test-landscape
test-landscape: ## The landscape's own machinery: nodes that come and go, no trace left behind (root)
	@$(BUILD) all && go test -count=1 -timeout 15m ./test/landscape/...

.PHONY: bench-ipam
bench-ipam: binaries ## The pool with 100,000 reservations beside others' allocators, and 1,000 Shoots at once on a real API server
	go run ./test/bench/prefixes
	go run ./test/bench/thousand

.PHONY: bench-churn
bench-churn: binaries ## The agent beside 1,000 Nodes that come, go and change on a real API server
	go run ./test/bench/churn

.PHONY: bench
bench: ## Benchmarks of the pure core, and of the CNI plugin beside others (root)
	go test -run '^$$' -bench . -benchmem $$(grep -rl --include='*_test.go' '^func Benchmark' pkg | xargs -n 1 dirname | sed 's|^|./|' | sort -u)
	@if [ "$$(id -u)" = 0 ]; then go run ./test/bench; \
	elif [ "$$CI" = true ]; then echo 'The CNI benchmark needs root: it makes network namespaces. Failing, because CI=true.' >&2; exit 1; \
	else echo 'LEFT OUT: the CNI benchmark, because it needs root (network namespaces). Run: sudo make bench' >&2; fi

##@ The code

.PHONY: check
check: lint-tools ## gofmt, goimports, vet, golangci-lint, charts, govulncheck, shellcheck, links
	@hack/check.sh $(TOOLS)

.PHONY: lint-tools
lint-tools:
	@hack/tools/lint/build.sh $(TOOLS)

.PHONY: format
format: lint-tools ## Format the Go code
	@$(TOOLS)/goimports -local $(MODULE) -w $$(git ls-files '*.go' | grep -v zz_generated)

.PHONY: generate
generate: ## Generate deepcopy, conversion, defaulting, CRDs and API docs
	@hack/api/generate.sh

.PHONY: check-generate
check-generate: ## Fail if generated files are not up to date
	@hack/check-generate.sh

.PHONY: verify
verify: check check-generate test ## check, check-generate and test

##@ Programs

.PHONY: build
build: ## Build all programs into bin/
	@mkdir -p bin && go build -tags $(TAGS) -ldflags '$(LD_FLAGS)' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))

.PHONY: install
install: ## Install all programs into GOBIN
	go install -tags $(TAGS) -ldflags '$(LD_FLAGS)' $(addprefix ./cmd/,$(PROGRAMS))

.PHONY: docker-images
docker-images: ## Build the programs' images as one archive, without a container engine
	@$(BUILD) images

.PHONY: start
start: ## Run the extension here against the seed in KUBECONFIG
	go run -ldflags '$(LD_FLAGS)' ./cmd/gardener-extension-networking-ipv6 \
	  --config=example/00-componentconfig.yaml --ignore-operation-annotation=true --leader-election=false \
	  --heartbeat-namespace=garden --webhook-config-mode=url --webhook-config-url=$(or $(WEBHOOK_URL),localhost:8443) \
	  --webhook-config-server-port=8443 --webhook-config-namespace=garden

.PHONY: start-admission
start-admission: ## Run the admission webhooks here against the garden in KUBECONFIG
	go run -ldflags '$(LD_FLAGS)' ./cmd/gardener-extension-admission-ipv6 \
	  --leader-election=false --webhook-config-mode=url --webhook-config-url=$(or $(WEBHOOK_URL),localhost:9443) \
	  --webhook-config-server-port=9443 --webhook-config-namespace=garden
