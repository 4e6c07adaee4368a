//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// This file prints results as a table in Markdown, and keeps the one in README.md
// up to date:
//
//	| **fanout** | what it does; compared with: the floor | 2026-11-23 | …
//	| | CPU per delivery, µs | 5.46 | 5.69 | **1.00** (0.97–1.09) | ≤ 1.10 × | ok |
//
// The first row of a scenario says what it is and when it was measured.

// readme is relative to the module's root, where go run ./bench is started.
const readme = "bench/README.md"

const tableHead = "| scenario | figure | floor | hubbub | ratio (quartiles) | goal | |\n|---|---|---:|---:|---:|---:|---|\n"

// rows are the rows of one scenario.
func rows(s scenario, other string, results []result) string {
	floor := s.floor
	if other != "" {
		floor = other
	}
	if floor != "" {
		floor = "; floor: " + floor
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| **%s** | %s%s | | | | | %s |\n", s.name, s.what, floor, time.Now().Format(time.DateOnly))
	for _, r := range results {
		b.WriteString(r.row(floor != ""))
	}
	return b.String()
}

func (r result) row(compared bool) string {
	base, times, goal, verdict := "–", "–", "–", ""
	if compared {
		base = number(r.base)
	}
	if r.want == ratio || r.want == beside {
		times = fmt.Sprintf("**%.2f** (%.2f–%.2f)", r.times, r.spread[0], r.spread[1])
	}
	switch r.want {
	case ratio:
		goal, verdict = fmt.Sprintf("≤ %.2f ×", r.most), "ok"
	case limit:
		goal, verdict = "≤ "+number(r.most), "ok"
	}
	if r.missed() {
		verdict = "**missed**"
	}
	return fmt.Sprintf("| | %s, %s | %s | %s | %s | %s | %s |\n", r.name, r.unit, base, number(r.test), times, goal, verdict)
}

// number has three significant digits.
func number(v float64) string {
	digits := 3
	for _, limit := range []float64{1, 10, 100} {
		if v >= limit || v <= -limit || v == 0 {
			digits--
		}
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// The results stand between these lines.
const resultsBegin, resultsEnd = "<!-- results -->\n", "<!-- end of results -->\n"

// writeResults replaces the rows of the measured scenarios in a file, and keeps
// the others.
func writeResults(path string, measured map[string]string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, found := bytes.Cut(text, []byte(resultsBegin))
	old, tail, ended := bytes.Cut(rest, []byte(resultsEnd))
	if !found || !ended {
		return fmt.Errorf("%s: no lines %q and %q", path, resultsBegin, resultsEnd)
	}
	kept := rowsOf(old)
	var b bytes.Buffer
	b.Write(head)
	fmt.Fprintf(&b, "%sLast run: `go run ./bench %s` on %s, %s.\n\n%s",
		resultsBegin, strings.Join(os.Args[1:], " "), time.Now().Format(time.DateOnly), machine(), tableHead)
	for _, s := range scenarios {
		if new, ok := measured[s.name]; ok {
			b.WriteString(new)
		} else {
			b.WriteString(kept[s.name])
		}
	}
	b.WriteString(resultsEnd)
	b.Write(tail)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// rowsOf splits a table into the rows of each scenario.
func rowsOf(table []byte) map[string]string {
	found, name := map[string]string{}, ""
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		line := lines.Text()
		if begin, ok := strings.CutPrefix(line, "| **"); ok {
			name, _, _ = strings.Cut(begin, "**")
		}
		if name != "" && strings.HasPrefix(line, "|") {
			found[name] += line + "\n"
		}
	}
	return found
}

// machine returns what kind of machine this is.
func machine() string {
	var system unix.Utsname
	var info unix.Sysinfo_t
	_, _ = unix.Uname(&system), unix.Sysinfo(&info)
	release, _, _ := strings.Cut(unix.ByteSliceToString(system.Release[:]), "-")
	return fmt.Sprintf("%s %s, %d cores, %s", runtime.GOARCH, "Linux "+release, runtime.NumCPU(), humanize.IBytes(info.Totalram))
}
