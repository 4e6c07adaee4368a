//go:build linux

// Command bench puts hubbub beside its floors and prints a table in Markdown:
//
//	go run ./bench                 everything, in about eight minutes
//	go run ./bench -run fanout     the scenarios whose name matches
//	go run ./bench -short          a third of the rounds, in about two
//	go run ./bench -list           what there is
//	go run ./bench -beside PATH    another build of hubbub in the floors' place
//
// A floor is the least a server can do: a bare loop of system calls that does
// the same work. It is this program, started again. README.md says what the
// figures mean. The way through the files:
//
//	main.go       the command; the table
//	scenarios.go  what is measured, and what is wanted of it
//	compare.go    floor and hub by turns, and what comes of it
//	rig.go        one server (server.go, cores.go) with its clients (load.go)
//	fanout.go stream.go fanin.go idle.go lunch.go paced.go
//	handshakes.go heads.go posts.go replies.go    what is done to it
//	form.go       clients that are not raw: WebSockets, events, posts
//	measure.go    CPU, memory, lateness; diag.go: the memory of sockets;
//	family.go     CPU and memory of a server that is several processes
//	floor*.go     the floors; bare.go: their system calls, and the clients'
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		fail(runFloor(os.Args[2:]))
	}
	run := flag.String("run", "", "only the scenarios whose name matches this `regexp`")
	short := flag.Bool("short", false, "a third of the rounds")
	list := flag.Bool("list", false, "say what there is, and measure nothing")
	hub := flag.String("hubbub", "", "the `program` to measure (default: this module's, built for it)")
	websocketd := flag.String("websocketd", "websocketd", "the `program` of that name, looked up in PATH")
	beside := flag.String("beside", "", "instead of the floors, this `program`: another build of hubbub")
	flag.Parse()
	only, err := regexp.Compile(*run)
	if err != nil {
		fail(err)
	}
	h := house{hub: *hub, websocketd: *websocketd, crowd: 1, effort: 1, patience: 1, quiet: 1500 * time.Millisecond}
	if *short {
		h.patience = 0.34
	}
	if err := h.bench(*beside, only, *list); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// bench prints the table, or the list.
func (h house) bench(beside string, only *regexp.Regexp, list bool) error {
	done, err := h.furnish()
	if err != nil {
		return err
	}
	defer done()
	all, err := h.scenarios()
	if err != nil {
		return err
	}
	if beside != "" {
		if err := h.instead(all, beside); err != nil {
			return err
		}
	}
	if list {
		for _, s := range all {
			fmt.Printf("%-12s %s\n%12s floor: %s\n", s.name, s.does, "", s.floor)
		}
		return nil
	}
	// From here on this thread is the load's, and on its core.
	runtime.LockOSThread()
	if err := h.cores.pinSelf(); err != nil {
		return err
	}
	return table(all, only)
}

// furnish finds what a house needs. What it makes, done takes away.
func (h *house) furnish() (done func(), err error) {
	if h.cores, err = share(); err != nil {
		return nil, err
	}
	if h.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if h.dir, err = os.MkdirTemp("", "hubbub-bench-"); err != nil {
		return nil, err
	}
	done = func() { _ = os.RemoveAll(h.dir) }
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		done()
		os.Exit(1)
	}()
	if h.hub == "" {
		h.hub, err = buildHub(h.dir)
	}
	if err != nil {
		done()
	}
	return done, err
}

// instead puts another build of the hub in the floors' place.
func (h house) instead(all []scenario, hub string) error {
	h.hub = hub
	theirs, err := h.scenarios()
	for i := range theirs {
		all[i].base, all[i].floor, all[i].lacks = theirs[i].test, hub, nil
	}
	return err
}

// table measures and prints, row by row. A scenario that fails fails alone.
func table(all []scenario, only *regexp.Regexp) error {
	fmt.Println("| scenario | figure | floor | hubbub | ratio (quartiles) | wanted | |")
	fmt.Println("|---|---|---:|---:|---:|---:|---|")
	var failed []string
	for _, s := range all {
		if !only.MatchString(s.name) {
			continue
		}
		if s.lacks != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", s.name, s.lacks)
			continue
		}
		began := time.Now()
		results, err := s.run()
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, err)
			failed = append(failed, s.name)
			continue
		}
		for _, r := range results {
			fmt.Println(r.row(s))
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %.0f s\n", s.name, time.Since(began).Seconds())
	}
	if failed != nil {
		return fmt.Errorf("could not measure %s", strings.Join(failed, ", "))
	}
	return nil
}

// row is one line of the table.
func (r result) row(s scenario) string {
	base, times, wanted, verdict := "–", "–", "–", ""
	if s.base != nil {
		base = number(r.base)
	}
	if r.want == ratio || r.want == beside {
		times = fmt.Sprintf("**%.2f** (%.2f–%.2f)", r.times, r.spread[0], r.spread[1])
	}
	switch r.want {
	case shown, beside:
	case ratio:
		wanted = fmt.Sprintf("≤ %.2f ×", r.most)
		verdict = "ok"
	case limit:
		wanted = "≤ " + number(r.most)
		verdict = "ok"
	}
	if r.missed() {
		verdict = "**missed**"
	}
	return fmt.Sprintf("| %s | %s, %s | %s | %s | %s | %s | %s |",
		s.name, r.name, r.unit, base, number(r.test), times, wanted, verdict)
}

// number has three digits that count.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1 || v <= -1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
