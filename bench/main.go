//go:build linux

// Command bench compares hubbub with floors and prints the figures as a table:
//
//	go run ./bench                 everything, in about 18 minutes
//	go run ./bench -run fanout     the scenarios whose name matches
//	go run ./bench -short          a third of the rounds
//	go run ./bench -list           what there is
//	go run ./bench -write          also updates the results in README.md
//	go run ./bench -beside PATH    another build of hubbub in place of the floors
//
// A floor is the least a server can do: a bare loop of system calls that does
// the same work. It is this program, started again. README.md explains the method
// and has the results. The files:
//
//	main.go        the command
//	table.go       all scenarios, as values
//	config.go      how to start a server, and at what size
//	compare.go     floor and hubbub by turns, and the result
//	results.go     the table that is printed, and the one in README.md
//	harness.go     one server (server.go, cores.go) with its clients (clients.go)
//	fanout.go stream.go fanin.go idle.go stalled.go paced.go relay.go
//	handshakes.go slowloris.go posts.go replies.go    the workloads
//	protocol.go    clients that are not raw: WebSockets, events, posts
//	measure.go     CPU, memory, lateness; sockets.go: the memory of sockets
//	floor*.go      the floors; bare.go: their system calls, and the clients'
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		fail(runFloor(os.Args[2:]))
	}
	c := fullSize()
	run := flag.String("run", "", "only the scenarios whose name matches this `regexp`")
	short := flag.Bool("short", false, "a third of the rounds")
	list := flag.Bool("list", false, "list the scenarios and measure nothing")
	write := flag.Bool("write", false, "update the results in "+readme)
	flag.StringVar(&c.hub, "hubbub", "", "the `program` to measure (default: built from this module)")
	flag.StringVar(&c.websocketd, "websocketd", c.websocketd, "the `path` of websocketd, or its name in PATH")
	beside := flag.String("beside", "", "another build of hubbub, a `program` in place of the floors")
	flag.Parse()
	only, err := regexp.Compile(*run)
	if err != nil {
		fail(err)
	}
	if *write && *beside != "" {
		fail(errors.New("-write cannot be used with -beside: the results compare with the floors"))
	}
	if *short {
		c.roundScale = 0.34
	}
	if *list {
		for _, s := range scenarios {
			fmt.Printf("%-18s %s\n%18s compared with: %s\n", s.name, s.what, "", s.floor)
		}
		return
	}
	if err := c.bench(only, *beside, *write); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// bench measures and prints, scenario by scenario. One that fails does not stop
// the others.
func (c config) bench(only *regexp.Regexp, other string, write bool) error {
	cleanup, err := c.setup()
	if err != nil {
		return err
	}
	defer cleanup()
	// From here on this thread runs the clients, on their core.
	runtime.LockOSThread()
	if err := c.cores.pinSelf(); err != nil {
		return err
	}
	fmt.Print(tableHead)
	var failed []string
	measured := map[string]string{}
	for _, s := range scenarios {
		if !only.MatchString(s.name) {
			continue
		}
		began := time.Now()
		results, err := c.run(s, other)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, err)
			if !errors.Is(err, errMissing) {
				failed = append(failed, s.name)
			}
			continue
		}
		measured[s.name] = rows(s, other, results)
		fmt.Print(measured[s.name])
		fmt.Fprintf(os.Stderr, "bench: %s took %.0f s\n", s.name, time.Since(began).Seconds())
	}
	if write {
		err = writeResults(readme, measured)
	}
	if failed != nil {
		err = errors.Join(err, fmt.Errorf("could not measure %s", strings.Join(failed, ", ")))
	}
	return err
}
