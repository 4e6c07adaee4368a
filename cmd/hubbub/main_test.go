package main

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"hubbub.example/internal/scene"
)

// The test binary is also the command: under the name hubbub, which is in the
// PATH of the tests, it runs main. So scripts and tests drive the real thing.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"hubbub": main})
}

// tests are run with no signal ignored that the programs they start would then
// ignore too: nohup make test must be green. What we catch, a program gets with
// its default.
type tests struct{ *testing.M }

func (t tests) Run() int {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	scene.AtOnce(6)
	return t.M.Run()
}
