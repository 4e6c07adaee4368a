// Package scene is what the tests of all packages are made of. Only tests
// import it.
//
//	scene.go    waiting, with one bound for all of it; what a test needs to run
//	board.go    a list that grows and that tests wait for
//	peer.go     a client of the plainest kind; narrow ones in narrow_unix.go
//	pipes.go    two ends of a pipe or a connection
//
// Every wait is for something that happens. A test that passes never waits for
// a bound to be over, so bounds are long, and a busy machine meets them too.
package scene

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// LongEnough bounds every wait. Only something broken takes as long.
const LongEnough = 2 * time.Minute

// AtOnce runs so many parallel tests of a package at a time, unless -parallel is
// given: for tests that mostly wait, which need no core each. TestMain calls it.
func AtOnce(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}

// Signals has the programs that the tests start begin with SIGHUP and SIGINT at
// their defaults, also where nohup or a shell has ignored these for the tests:
// a program inherits a signal that is ignored, but not one that is caught.
// TestMain calls it.
func Signals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// Until looks again and again until ok. It is for what nothing reports, such
// as a counter or what the kernel knows.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	limit := time.After(LongEnough)
	for !ok() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("still waiting until %s", what)
		}
	}
}

// Next waits for a value of c, or for c to be closed.
func Next[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(LongEnough):
		t.Fatalf("still waiting for %s", what)
	}
	panic("unreachable")
}

// Brief is text as a failure can show it: quoted, and not all of it if it is
// long.
func Brief(text string) string {
	const most = 300
	if len(text) <= 2*most {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%d bytes, %q ... %q", len(text), text[:most], text[len(text)-most:])
}

// Needs skips the test on a machine that lacks one of these programs. In CI
// that is a failure.
func Needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(strings.TrimSpace(name)); err != nil {
			Unable(t, err.Error()+" (make needs installs it)")
		}
	}
}

// Unable skips the test, for a reason that the machine gives. In CI, where
// everything is installed, that is a failure.
func Unable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
