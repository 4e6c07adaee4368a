package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hubbub.example/internal/scene"
)

// The test binary is also the command: under the name hubbub, which is in the PATH
// of the tests, it runs main. So scripts and tests use the real program.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"hubbub": main})
}

type tests struct{ *testing.M }

func (t tests) Run() int {
	scene.Signals()
	scene.AtOnce(6)
	return t.M.Run()
}
