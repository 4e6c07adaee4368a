package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

// A server that is out of descriptors tells those it refuses why, does not spin,
// serves its clients a stream larger than the backlog, and accepts new ones once
// some have left.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	p := launch{
		shell: `ulimit -n 60; exec hubbub "$@"`,
		args:  []string{"serve", "127.0.0.1:0", "--max-clients", "1000", "--backlog", "64KiB"},
	}.start(t)
	admitted := fillUp(t, p)
	before := cpuTicks(t, p)
	<-time.After(time.Second) // what is measured, and no wait for anything
	if used := cpuTicks(t, p) - before; used > 50 {
		t.Errorf("the server used %d ms of a second to do nothing", 10*used)
	}
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 1000) // the kernel holds it for those who are not looked at yet
	go p.stdin.Write([]byte(text))
	for i, c := range admitted {
		if i%2 == 0 {
			c.Hears(text)
		} else {
			_ = c.Close()
		}
	}
	// A busy server may look at who comes before it looks at who has left.
	scene.Until(t, "some have left", func() bool { return len(descriptors(t, p)) < 50 })
	late := p.client()
	late.Says("room again\n")
	p.stdout.Until(t, "room again\n")
}

// The same holds with clients of all kinds: those that are connected get every
// line in time while others are refused with a reason. New clients of all kinds
// are served once silent ones have left.
func TestOutOfDescriptorsWithClientsOfAllKinds(t *testing.T) {
	t.Parallel()
	const limit, enough = 60, 50 // lines, in a second
	needs(t, "curl")
	p := launch{
		shell: fmt.Sprintf(`ulimit -n %d; exec hubbub "$@"`, limit),
		args:  []string{"serve", "127.0.0.1:0", "--max-clients", "1000", "--replay", "none", "--sniff", "1m"},
	}.start(t)
	m := tick(t, p)
	ears := m.ears(p)
	for _, e := range ears {
		e.p99(t, 1) // from now on nobody takes a second descriptor for a moment
	}
	inUse := func() (n int) {
		for _, fd := range descriptors(t, p) {
			if i, err := strconv.Atoi(fd); err == nil && i < limit { // one that it was given may lie beyond
				n++
			}
		}
		return n
	}
	var silent []*peer
	for n := inUse(); n < limit; n++ {
		silent = append(silent, dial(t, p.address()))
		scene.Until(t, "it is accepted", func() bool { return inUse() > n })
	}
	before, began := cpuTicks(t, p), time.Now()
	for _, says := range []string{"", "hello\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		c := dial(t, p.address())
		c.Says(says)
		c.Hears("hubbub: refused: the server is out of descriptors\n")
		c.hearsEnd()
	}
	if used, took := 10*(cpuTicks(t, p)-before), time.Since(began); used > int(took.Milliseconds()/2) {
		t.Errorf("the server used %d ms of %v to refuse three", used, took)
	}
	for name, e := range ears {
		scene.Until(t, name+" hears in time while others are refused", func() bool { return e.p99(t, enough) < time.Second })
	}

	for _, c := range silent {
		c.resets() // or it might watch
	}
	scene.Until(t, "they have left", func() bool { return inUse() < limit-len(silent)/2 })
	probe(t, p, "after")
	for _, e := range ears {
		e.p99(t, enough)
	}
	if said := p.stderr.Text(); strings.Count(said, "out of descriptors with") != 1 {
		t.Errorf("STDERR says %s", scene.Brief(said))
	}
}

// fillUp connects until it is refused for want of descriptors.
func fillUp(t *testing.T, p *program) (admitted []*peer) {
	t.Helper()
	for n := 1; n < 200; n++ {
		c := dial(t, p.address())
		said := fmt.Sprintf("%d is here\n", n)
		_, _ = c.Write([]byte(said)) // who is refused may have gone already
		refused := make(chan string, 1)
		go func() { refused <- firstWords(c) }()
		for {
			if strings.Contains(p.stdout.Text(), said) {
				_ = c.SetReadDeadline(time.Now()) // ends firstWords
				<-refused
				_ = c.SetReadDeadline(time.Time{})
				admitted = append(admitted, c)
				break
			}
			select {
			case words := <-refused:
				if words != "hubbub: refused: the server is out of descriptors\n" {
					t.Fatalf("client %d was told %q", n, words)
				}
				return admitted
			case <-time.After(time.Millisecond):
			}
		}
	}
	t.Fatal("200 clients, and nobody was refused")
	return nil
}

func firstWords(c net.Conn) string {
	p := make([]byte, 200)
	n, _ := c.Read(p)
	return string(p[:n])
}

// cpuTicks returns the CPU time of p, in hundredths of a second.
func cpuTicks(t *testing.T, p *program) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):]))
	user, _ := strconv.Atoi(fields[12])
	system, _ := strconv.Atoi(fields[13])
	return user + system
}

// A program that the server starts inherits nothing that the server opened: no
// listener, client, epoll or event descriptor, and no part of the feed.
func TestDescriptorsCloseOnExec(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0")
	c := p.client()
	p.says("hello\n")
	c.Hears("hello\n")
	for _, fd := range descriptors(t, p) {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.cmd.Process.Pid, fd))
		if ours, err := os.Readlink("/proc/self/fd/" + fd); fd <= "2" && len(fd) == 1 || err == nil && ours == to {
			continue // it was handed to us, and by us to the server
		}
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", p.cmd.Process.Pid, fd))
		if err != nil {
			t.Fatal(err)
		}
		const closeOnExec = 0o2000000
		_, rest, _ := strings.Cut(string(info), "flags:")
		flags, err := strconv.ParseInt(strings.Fields(rest)[0], 8, 64)
		if err != nil || flags&closeOnExec == 0 {
			t.Errorf("descriptor %s (%s) stays open across exec", fd, to)
		}
	}
}
