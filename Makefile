# What one does with this repository. `make test` is all that CI runs.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT       = mvdan.cc/gofumpt@v0.12.0
GOTESTSUM     = gotest.tools/gotestsum@v1.13.0

# It prints what fails, and at the end what was skipped and why.
TESTS = go run $(GOTESTSUM) --format pkgname-and-test-fails --

# Where hubbub must compile, one of each operating system: no file of ours is
# for one processor alone. vet checks every package and test for it, and
# compiles whatever another package imports. None of it runs here, so nothing
# is optimised, which is a quarter faster.
PLATFORMS = linux/arm64 darwin/arm64 windows/amd64 \
	freebsd/amd64 openbsd/amd64 netbsd/amd64 dragonfly/amd64
UNOPTIMISED = -gcflags='all=-N -l'

# Counted, not timed, so that every run does the same.
FUZZ = 20000

.PHONY: build run quick test needs vet race fuzz cross bench lint gofumpt
.NOTPARALLEL: # test is its parts in this order

build: # bin/hubbub
	go build -o bin/ ./cmd/hubbub

run: # a server on localhost:9000; make run ARGS=':9000 -v' for another
	go run ./cmd/hubbub serve $(ARGS)

quick: build # while you work: no installing, race detector, fuzzing or cross-compiling
	go vet ./...
	$(TESTS) -timeout 5m ./...

test: needs gofumpt vet race fuzz cross # all that must hold before a change goes in

needs: # install what the tests use
	@tools/needs

vet: # with -race: the tests then find their packages compiled
	go vet -race ./...

race: # the tests alone; one package at a time, so that none slows another's clocks
	$(TESTS) -race -p 1 -timeout 9m ./...

fuzz:
	@tools/fuzz $(FUZZ)

cross:
	@set -e; for platform in $(PLATFORMS); do \
		echo "go vet: $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} go vet $(UNOPTIMISED) ./...; \
	done

bench: # hubbub compared with its floors, as a table
	go run ./bench $(ARGS)

# The linter sees one platform at a time; what is unused on one may be used on
# another. The first run compiles it, which takes minutes: so it is no part of
# test.
lint: gofumpt # golangci-lint and gofumpt, as pinned above
	go run $(GOLANGCI_LINT) run
	go run -exec 'env GOOS=darwin' $(GOLANGCI_LINT) run -D unused
	go run -exec 'env GOOS=windows' $(GOLANGCI_LINT) run -D unused

gofumpt:
	@set -e; unformatted=$$(go run $(GOFUMPT) -l .); if [ -n "$$unformatted" ]; then \
		echo "Not formatted (mend: go run $(GOFUMPT) -w .):"; echo "$$unformatted"; exit 1; \
	fi
