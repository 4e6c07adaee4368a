package main

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Finding a dead server while nothing is sent is up to the kernel: it probes after
// 40 s, then every 10 s, and gives up within 80 s.
func TestJoinHasTheKernelAsk(t *testing.T) {
	t.Parallel()
	for option, want := range map[int]int{unix.TCP_KEEPIDLE: 40, unix.TCP_KEEPINTVL: 10, unix.TCP_KEEPCNT: 3} {
		if got := joinedOption(t, "--keepalive 40s", unix.IPPROTO_TCP, option); got != want {
			t.Errorf("option %d is %d, want %d", option, got, want)
		}
	}
}

// A server whose cable is pulled while join sends to it is found too; the kernel
// alone would retransmit for a quarter of an hour. Join reports data in flight as
// lost and sends the rest later.
func TestJoinFindsADeadServerWhileTalkingToIt(t *testing.T) {
	t.Parallel()
	const keepAlive = 2 * time.Second
	n := newNetwork(t)
	p := n.serve("192.0.2.2:0", "--keepalive", keepAlive.String())
	c := n.join(p, "--keepalive", keepAlive.String())
	talk(p, c, "before")
	n.cable("down")
	pulled := time.Now()
	c.says("is anybody there?\n")
	c.stderr.Until(t, "hubbub: lost 192.0.2.2:")
	foundInTime(t, pulled, keepAlive)
	if said := c.stderr.Text(); !strings.Contains(said, "the server does not answer any more; the last 18 bytes sent may not have arrived") {
		t.Errorf("STDERR says %q", said)
	}
	c.says("meanwhile\n")
	n.cable("up")
	p.stdout.Until(t, "meanwhile\n")
}

// A server that merely does not read answers the kernel's probes, and join keeps
// the connection, however long that takes.
func TestJoinDoesNotGiveUpAServerThatPauses(t *testing.T) {
	t.Parallel()
	const keepAlive = 4 * time.Second // what a busy machine may be late by
	s := listenFor(t)
	c := start(t, "join", s.address(), "--keepalive", keepAlive.String())
	p := s.visited()
	const lines = 16 << 20 / lineSize // more than everybody keeps
	told := make(chan struct{})
	go func() { defer close(told); _, _ = c.stdin.Write(numbered(lines)) }()
	paused := time.NewTimer(2*keepAlive + keepAlive/2)
	defer paused.Stop()
	select {
	case <-paused.C:
	case <-c.ended:
	case <-told:
		t.Fatal("the server reads nothing, but all is taken from STDIN")
	}
	if said := c.stderr.Text(); said != "" {
		t.Fatalf("STDERR says %q", said)
	}
	p.Hears(string(numbered(lines)))
}
