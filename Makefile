# What one does with this repository. `make test` is all that CI runs.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT       = mvdan.cc/gofumpt@v0.12.0

# Where hubbub must compile, and how: none of it runs here, so nothing is
# optimised, which is a quarter faster.
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 \
	freebsd/amd64 openbsd/amd64 netbsd/amd64 dragonfly/amd64
UNOPTIMISED = -gcflags='all=-N -l'

# Counted, not timed, so that every run does the same.
FUZZ = 20000x

.PHONY: build run test needs vet race fuzz cross bench lint gofumpt
.NOTPARALLEL: # test is its parts in this order

build: # bin/hubbub
	go build -o bin/ ./cmd/hubbub

run: # a server on localhost:9000; make run ARGS=':9000 -v' for another
	go run ./cmd/hubbub serve $(ARGS)

test: needs gofumpt vet race fuzz cross # all that must hold before a change goes in

needs: # install what the tests use
	@tools/needs

vet: # with -race: the tests then find their packages compiled
	go vet -race ./...

race: # the tests alone
	go test -race -timeout 9m ./...

fuzz:
	@tools/fuzz $(FUZZ)

cross:
	@set -e; for platform in $(PLATFORMS); do \
		[ $$platform != "$$(go env GOHOSTOS)/$$(go env GOHOSTARCH)" ] || continue; \
		echo "go vet, go build: $$platform"; \
		export GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		go vet $(UNOPTIMISED) ./...; \
		go build $(UNOPTIMISED) -o /dev/null ./cmd/hubbub; \
	done

bench: # hubbub beside its floors; a table
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
