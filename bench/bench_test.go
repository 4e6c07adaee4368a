//go:build linux

package main

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
)

// The floors are this program, started again; in a test, the test's.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		fail(runFloor(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// BenchmarkHubbub is the table of `go run ./bench` for go test -bench. One
// iteration is one round, floor and hub; -benchtime 10x makes it ten.
func BenchmarkHubbub(b *testing.B) {
	c := fullSize()
	cleanup, err := c.setup()
	if err != nil {
		b.Fatal(err)
	}
	defer cleanup()
	if err := c.cores.pinSelf(); err != nil {
		b.Fatal(err)
	}
	for _, s := range scenarios {
		b.Run(s.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			s.rounds = b.N
			results, err := c.run(s, "")
			if errors.Is(err, errMissing) {
				b.Skip(err)
			}
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range results {
				name := strings.ReplaceAll(r.name, " ", "-")
				b.ReportMetric(r.test, name+"-"+r.unit)
				if r.want == ratio {
					b.ReportMetric(r.times, name+"-x-floor")
				}
			}
		})
	}
}
