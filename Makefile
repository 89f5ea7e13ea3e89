# make demo shows the main job, make test runs every check that needs no long
# load, make lab plants every fault live and prints the scoreboard.

SHELL := /bin/bash
GO    ?= go
OUT   ?= out
LAB   := cd testdata/lab && $(GO) run .

.DEFAULT_GOAL := build
.PHONY: build test doctor lab demo bench scoreboard fmt vet lint clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/culprit ./cmd/culprit

# Installs what the integration tests need, or names it; where something is
# missing the tests that need it skip and say so, and fail when CI=true. One
# package after the other: real servers under load do not share two cores well.
test: vet
	-$(LAB) doctor --fix
	$(GO) test -p 1 -timeout 30m ./... ./testdata/scoreboard
	cd testdata/lab && $(GO) test ./...
	cd testdata/promql && $(GO) test ./...

doctor:
	$(LAB) doctor

lab: build
	$(LAB) --culprit $(CURDIR)/bin/culprit -o $(abspath $(OUT))/lab matrix

# Judges every recorded run of the lab anew, also with witnesses missing. With
# N=3 the whole matrix, or SCENARIOS="a b", runs live so many times before, which
# takes an hour a time and goes on where it was ended; that board is written
# beside the bundles.
scoreboard: build
ifdef N
	-$(LAB) --culprit $(CURDIR)/bin/culprit -o $(abspath $(OUT))/lab -bundles $(abspath $(OUT))/live -repeat $(N) matrix $(SCENARIOS)
	$(GO) run ./testdata/scoreboard -runs $(OUT)/live -o $(OUT)/live/scoreboard.md
endif
	$(GO) run ./testdata/scoreboard -o testdata/scoreboard.md

demo: build
	@cmd/culprit/demo.sh bin/culprit $(abspath $(OUT))/demo

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

fmt:
	gofmt -l -w $$(git ls-files '*.go')

vet:
	$(GO) vet ./... ./testdata/scoreboard ./testdata/needs
	cd testdata/lab && $(GO) vet ./...
	cd testdata/promql && $(GO) vet ./...

lint: vet
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) test ./cmd/culprit -run 'ImportPlan|TopLevel|FolderNames|Sizes'

clean:
	rm -rf bin $(OUT)
