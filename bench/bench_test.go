//go:build linux

package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
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
	h := house{websocketd: "websocketd", crowd: 1, effort: 1, patience: 1, quiet: 1500 * time.Millisecond}
	done, err := h.furnish()
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	all, err := h.scenarios()
	if err != nil {
		b.Fatal(err)
	}
	if err := h.cores.pinSelf(); err != nil {
		b.Fatal(err)
	}
	for _, s := range all {
		b.Run(s.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if s.lacks != nil {
				b.Skip(s.lacks)
			}
			s.benchmark(b)
		})
	}
}

func (s scenario) benchmark(b *testing.B) {
	s.rounds = b.N
	results, err := s.run()
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
}
