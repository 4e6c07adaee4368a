package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is also the command: under the name hubbub, which is in the
// PATH of the tests, it runs main. So scripts and tests drive the real thing.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hubbub": main})
}
