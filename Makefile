# The targets' work is done by the scripts in ci/, which say what and why.

ARGS  ?=
BENCH ?= .
COUNT ?= 1

FULL  ?=

.PHONY: help demo demo-nodes test lint check bench bench-rivals bench-logs

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build and run the demo; ARGS='-flag value' are its flags
	@ci/demo.sh demo $(ARGS)

demo-nodes: ## build and run the demo on three nodes behind a proxy; ARGS='-flag value' are its flags
	@ci/demo.sh demo-nodes $(ARGS)

test: ## run all tests of all modules, with all set-up
	@ci/test.sh

lint: ## run the linters, which are built first if need be
	@ci/lint.sh

check: ## check formatting, go.mod files, generated files and other systems' builds
	@ci/check.sh

bench: ## run the library's benchmarks; BENCH=regexp selects, COUNT=10 repeats
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) .

bench-rivals: ## measure it beside other packages for a minute; FULL=1 takes twenty and writes the report; ARGS='--flag value' select
	@FULL='$(FULL)' ci/bench-rivals.sh $(ARGS)

bench-logs: ## measure the cost of a log that processes share, for a minute; FULL=1 takes ten and writes the report; ARGS='--flag value' select
	@FULL='$(FULL)' ci/bench-logs.sh $(ARGS)
