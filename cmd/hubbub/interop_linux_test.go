package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"hubbub.example/internal/scene"
)

// A client that sends nothing and half-closes at once is a watcher: it stays and
// gets later messages.
func TestOthersProgramsWithoutStdinWatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		command string
		closes  bool // it half-closes; others just never say anything
	}{
		{"ncat HOST PORT", true},
		{"nc -N HOST PORT", true},
		{"socat -t 60 - TCP:HOST:PORT", true},
		{"nc HOST PORT", false},
		{"nc -d HOST PORT", false},
		{"ncat --recv-only HOST PORT", false},
		{"socat -u TCP:HOST:PORT -", false},
	} {
		t.Run(tt.command, func(t *testing.T) {
			t.Parallel() // some stay a while when the server has ended
			p := host(t, "-v", "--wait-for", "1")
			nothing, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer nothing.Close()
			c := launch{stdin: nothing}.visit(t, p, tt.command)
			p.stderr.Until(t, " joined\n")
			if tt.closes {
				scene.Until(t, "the server sees the half-close", func() bool { return halfClosed(t, p.address()) })
			}
			p.says("said later\n")
			c.stdout.Is(t, "said later\n")
			p.says("and later still\n")
			c.stdout.Is(t, "said later\nand later still\n")
			if said := p.stderr.Text(); strings.Contains(said, "left") {
				t.Errorf("STDERR says %s", scene.Brief(said))
			}
			p.stop(exitDone)
			scene.Next(t, c.ended, "its end")
		})
	}
}

// halfClosed asks the system whether the peer of some connection at address
// has said that it sends nothing more: CLOSE_WAIT in proc(5), net/tcp.
func halfClosed(t *testing.T, address string) bool {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const closeWait = "08"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		at := strings.Fields(lines.Text())
		if len(at) > 3 && strings.HasSuffix(at[1], fmt.Sprintf(":%04X", n)) && at[3] == closeWait {
			return true
		}
	}
	return false
}
