# The targets are what one does with the project; `make` alone builds it.

GO            ?= go
FUZZTIME      ?= 20000x
BENCH         ?= .
SOAK          ?= 20m
BINARY        ?= bin/keda-otel-scaler
LINT_VERSION  := v2.15.0
LINT          := $(CURDIR)/.cache/bin/golangci-lint-$(LINT_VERSION)/golangci-lint
DOCS_VERSION  := v1.14.2
DOCS          := $(CURDIR)/.cache/bin/helm-docs-$(DOCS_VERSION)/helm-docs
CHART         := deploy/helm/keda-otel-scaler
MODULES       := $(patsubst %/go.mod,%,$(wildcard go.mod demo/go.mod proto/generate/go.mod deploy/image/go.mod test/*/go.mod))
MODULES       := $(patsubst go.mod,.,$(MODULES))

# Of the modules beside the main one. What go vet finds, lint finds, too; here it
# would go through all of Kubernetes once more.
TEST := $(GO) test -count=1 -vet=off

# Without cgo, which only the race detector needs: so what lint, tests and
# programs have in common, all of Kubernetes among it, is compiled once.
export CGO_ENABLED := 0

.DEFAULT_GOAL := build
.PHONY: demo test lint tools build generate promql otlp admission kserve supply sbom vulncheck manifests helm-test image image-test e2e e2e-programs plays soak bench bench-servers fuzz corpus fmt

# Show the product at work: a fleet of model servers, scaled before your eyes.
demo:
	cd demo && $(GO) run .

# Nothing may print after the last go test: its lines are the result.
test:
	$(GO) vet ./...
	CGO_ENABLED=1 $(GO) test -race -timeout=30m ./...
	@if [ -f demo/go.mod ]; then cd demo && $(GO) vet ./... && CGO_ENABLED=1 $(GO) test -race ./...; fi

# SKIP=test/e2e is for those who have no time for all that KEDA imports.
lint: $(LINT)
	@set -e; for module in $(filter-out $(SKIP),$(MODULES)); do echo "lint $$module"; (cd $$module && $(LINT) run ./...); done

# One static file that needs nothing of the system it runs on.
build:
	$(GO) build -trimpath -buildvcs=auto -ldflags='-s -w' -o $(BINARY) ./cmd/keda-otel-scaler

# Go out of proto/*.proto, with the plugins of the versions in go.mod.
generate:
	cd proto/generate && $(GO) run . ..

# Prometheus' own acceptance scripts, and some of ours, on our store.
promql:
	cd test/promql && $(TEST) ./...

# The same OTLP requests to our receiver and to Prometheus' own.
otlp:
	cd test/otlp && $(TEST) ./...

# The ValidatingAdmissionPolicy in the API server's own CEL environment.
admission:
	cd test/admission && $(TEST) ./...

# What render and check say, and what KServe's own code does. Cold it compiles
# some 1,500 packages, which takes minutes.
kserve:
	cd test/kserve && $(TEST) ./...

# What the binary is made of: licences, the bill of materials, the same bytes twice.
supply:
	cd test/supply && $(TEST) ./...

sbom: build
	cd test/supply && $(GO) run . -binary=$(abspath $(BINARY)) -out=$(abspath $(BINARY)).cdx.json

# Known vulnerabilities of what is linked, where their database can be reached.
vulncheck:
	@out=$$($(GO) tool -modfile=test/supply/go.mod govulncheck ./... 2>&1) || code=$$?; echo "$$out"; \
	case "$${code:-0} $$out" in \
		0\ *) ;; \
		3\ *) exit 3 ;; \
		*vuln.go.dev*) echo "vulncheck: its database can't be reached from here, so NOTHING was checked" ;; \
		*) exit 1 ;; \
	esac

# What follows from the chart: its README, and manifests for those without Helm.
manifests: $(DOCS)
	$(DOCS) --chart-search-root=$(CHART) --template-files=README.md.gotmpl --sort-values-order=file --log-level=warning
	cd test/helm && $(GO) run ./manifests ../../$(CHART) ../../deploy/manifests/keda-otel-scaler.yaml

# An OCI layout in bin/image, with no Docker daemon; IMAGEFLAGS='-docker ../../bin/image.tar' is for docker load.
image:
	cd deploy/image && $(GO) run . -tag keda-otel-scaler:$$(sed -n 's/^appVersion: //p' ../../$(CHART)/Chart.yaml) $(IMAGEFLAGS)

# The image is the same twice, and runs.
image-test:
	cd deploy/image && $(TEST) ./...

# The chart with values of many kinds: what it renders, and whether that is valid.
helm-test:
	cd test/helm && $(TEST) ./...

# The programs that the end-to-end tests start, as far as they are not there yet:
# no test's clock shall run meanwhile.
e2e-programs:
	cd test/e2e && $(GO) run ./build

# One package at a time: they pick free ports and measure reactions. PLAY=3 is one
# play, without the other tests.
e2e: e2e-programs
ifdef PLAY
	cd test/e2e && $(TEST) -v -timeout=40m -run='^Test(Play|Faults)$$/^$(PLAY)_' ./plays$(if $(filter 6,$(PLAY)),/faults)
else
	cd test/e2e && $(TEST) -p=1 -timeout=40m $$($(GO) list ./... | grep -v /plays)
	$(MAKE) plays
endif

# The plays on a control plane. They have networks of their own, and mostly wait:
# play 6, the longest, runs beside the others.
plays: e2e-programs
	cd test/e2e && $(TEST) -p=2 -timeout=40m ./plays/...

# Everything that happens in a month, with the race detector; prints the curves.
soak:
	cd test/e2e && $(TEST) -v -run='^TestSoak$$' -timeout=24h -soak=$(SOAK) -soak-race .

bench:
	$(GO) test -run='^$$' -bench='$(BENCH)' -benchmem ./...

# The whole process beside reference servers: CPU a point, latencies, memory.
bench-servers:
	cd test/bench && $(GO) run . $(BENCHFLAGS)

# go test fuzzes one target at a time. FUZZTIME is a number of inputs: at the end of a
# duration, Go 1.26 can report "context deadline exceeded" as a failure of the target
# (golang/go#75804). Vet is off because it would check all instrumented code again.
fuzz:
	@set -e; for folder in $$($(GO) list -f '{{.Dir}}' ./...); do \
		for target in $$(cat $$folder/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[^(]*\).*/\1/p'); do \
			echo "fuzz $${folder#$(CURDIR)/} $$target"; \
			$(GO) test -vet=off -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=20x $$folder; \
		done; \
	done

# Small inputs that the fuzzers found worth keeping become part of the tests; the
# names are hashes, so the first are no particular ones.
corpus:
	@module=$$($(GO) list -m); cd "$$($(GO) env GOCACHE)/fuzz/$$module"; for target in $$(find . -type d -name 'Fuzz*'); do \
		kept="$(CURDIR)/$$(dirname $$target)/testdata/fuzz/$$(basename $$target)"; mkdir -p "$$kept"; \
		room=$$((128 - $$(ls "$$kept" | wc -l))); [ $$room -gt 0 ] || continue; \
		find $$target -type f -size -3 | sort | head -$$room | xargs -I{} cp -n {} "$$kept/"; \
	done

fmt: $(LINT)
	@set -e; for module in $(MODULES); do (cd $$module && $(LINT) fmt ./...); done

tools: $(LINT) $(DOCS)

# Both built from source, so that the module checksums vouch for them.
$(DOCS):
	GOBIN=$(@D) $(GO) install github.com/norwoodj/helm-docs/cmd/helm-docs@$(DOCS_VERSION)

$(LINT):
	GOBIN=$(@D) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
