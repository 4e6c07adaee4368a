package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

// This file is "between your laptop and VPS": two network namespaces, joined
// by a cable, the server in one and its clients in the other.

// network is those two. The laptop is 192.0.2.1, the VPS 192.0.2.2.
type network struct {
	t           *testing.T
	laptop, vps string // their namespaces
}

// wired makes two namespaces, joins them, says so, and removes them when its
// STDIN ends: so they go however the test ends, also by being killed.
const wired = `
trap '' INT TERM HUP
ip netns add "$1" && ip netns add "$2" &&
ip link add eth0 netns "$1" type veth peer name eth0 netns "$2" &&
ip -n "$1" address add 192.0.2.1/24 dev eth0 && ip -n "$1" link set eth0 up &&
ip -n "$2" address add 192.0.2.2/24 dev eth0 && ip -n "$2" link set eth0 up &&
echo up && read -r _
ip netns delete "$1"; ip netns delete "$2"
`

var networks atomic.Int32

func newNetwork(t *testing.T) *network {
	t.Helper()
	needs(t, "ip")
	name := fmt.Sprintf("hubbub-%d-%d-", os.Getpid(), networks.Add(1))
	n := &network{t, name + "laptop", name + "vps"}
	keeper := launch{shell: wired, args: []string{n.laptop, n.vps}}.start(t)
	t.Cleanup(func() {
		_ = keeper.stdin.Close()
		<-keeper.ended
	})
	said := keeper.stdout.When(t, "the network", func(said string, end bool) bool { return said == "up\n" || end })
	if said != "up\n" {
		why, _, _ := strings.Cut(keeper.stderr.Ends(t), "\n")
		scene.Unable(t, "network namespaces cannot be made here: "+why)
	}
	return n
}

// start runs hubbub in a namespace.
func (n *network) start(namespace string, args ...string) *program {
	n.t.Helper()
	return launch{shell: "exec ip netns exec " + namespace + ` hubbub "$@"`, args: args}.start(n.t)
}

// cable plugs the laptop in or out: "up", "down". The VPS hears nothing of it.
func (n *network) cable(state string) {
	n.t.Helper()
	if said, err := exec.Command("ip", "-n", n.laptop, "link", "set", "eth0", state).CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, said)
	}
}

// serve starts a server on the VPS.
func (n *network) serve(address string, flags ...string) *program {
	n.t.Helper()
	p := n.start(n.vps, append([]string{"serve", "tcp://" + address, "-v", "--wait-for", "1", "--drain", scene.LongEnough.String()}, flags...)...)
	p.address()
	return p
}

// join joins p from the laptop, and is there when it returns.
func (n *network) join(p *program, flags ...string) *program {
	n.t.Helper()
	joins := func(said string) int { return strings.Count(said, " joined\n") }
	before := joins(p.stderr.Text())
	c := n.start(n.laptop, append(rawJoin(p.address()), flags...)...)
	p.stderr.When(n.t, "a join", func(said string, _ bool) bool { return joins(said) > before })
	return c
}

// talk says a line each way, and waits until both are there.
func talk(server, client *program, line string) {
	server.t.Helper()
	server.says("from VPS: " + line + "\n")
	client.stdout.Until(server.t, "from VPS: "+line+"\n")
	client.says("from laptop: " + line + "\n")
	server.stdout.Until(server.t, "from laptop: "+line+"\n")
}

func TestBetweenLaptopAndVPSLinesGoBothWays(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	p := n.serve("192.0.2.2:0")
	a, b := n.join(p), n.join(p)
	p.says("one\ntwo\n")
	a.stdout.Is(t, "one\ntwo\n")
	b.stdout.Is(t, "one\ntwo\n")
	a.says("from a\n")
	p.stdout.Is(t, "from a\n")
	b.says("from b\n")
	p.stdout.Is(t, "from a\nfrom b\n")
	_ = a.stdin.Close()
	a.exits(exitDone)
	p.says("three\n")
	b.stdout.Is(t, "one\ntwo\nthree\n")
}

// A cable that is out for less than --keepalive loses nothing: messages arrive
// when it is back in.
func TestACableOutForAMomentLosesNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	p := n.serve("192.0.2.2:0")
	c := n.join(p)
	talk(p, c, "before")
	n.cable("down")
	p.says("from VPS: meanwhile\n")
	c.says("from laptop: meanwhile\n")
	n.cable("up")
	talk(p, c, "after")
	c.stdout.Is(t, "from VPS: before\nfrom VPS: meanwhile\nfrom VPS: after\n")
	p.stdout.Is(t, "from laptop: before\nfrom laptop: meanwhile\nfrom laptop: after\n")
	if said := p.stderr.Text() + c.stderr.Text(); strings.Contains(said, "left") || strings.Contains(said, "lost") {
		t.Errorf("STDERR says %s", said)
	}
}

// A client whose cable is pulled is closed within twice --keepalive, whether
// messages are sent to it or not. It reconnects by itself when the cable is back.
func TestAPulledCableIsFoundAndTheClientComesBack(t *testing.T) {
	t.Parallel()
	const keepAlive = 2 * time.Second
	for _, tt := range []struct{ name, meanwhile string }{
		{"idle", ""},
		{"talked to", "is anybody there?\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			p := n.serve("192.0.2.2:0", "--keepalive", keepAlive.String())
			c := n.join(p, "--keepalive", keepAlive.String())
			talk(p, c, "before")
			n.cable("down")
			pulled := time.Now()
			p.says(tt.meanwhile)
			p.stderr.Until(t, "hubbub: client 1 (192.0.2.1:")
			p.stderr.Until(t, ") left: ")
			foundInTime(t, pulled, keepAlive)
			c.stderr.Until(t, "hubbub: lost ")
			n.cable("up")
			c.stderr.Until(t, "hubbub: back at ")
			talk(p, c, "after")
		})
	}
}

// A client that merely pauses, with its window closed, answers the kernel's probes
// and stays connected. When its cable is pulled, it is found like any other.
func TestAClientThatPausesLivesUntilItsCableIsPulled(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	const keepAlive = 2 * time.Second
	p := n.serve("192.0.2.2:0", "--keepalive", keepAlive.String())
	_, unread := scene.Pipe(t)
	c := launch{
		shell: "exec ip netns exec " + n.laptop + ` hubbub "$@"`, args: rawJoin(p.address()),
		stdout: unread,
	}.start(t)
	p.stderr.Until(t, " joined\n")
	said := make(chan struct{})
	go func() { defer close(said); p.stdin.Write(numbered(8 << 20 / lineSize)) }() // more than is on its way at a time
	scene.Next(t, said, "STDIN to be read")
	paused := time.NewTimer(2*keepAlive + keepAlive/2)
	defer paused.Stop()
	select {
	case <-paused.C:
	case <-c.ended:
	}
	if said := p.stderr.Text() + c.stderr.Text(); strings.Contains(said, "left") || strings.Contains(said, "lost") {
		t.Fatalf("STDERR says %s", said)
	}
	n.cable("down")
	pulled := time.Now()
	p.stderr.Until(t, ") left: dead: ")
	foundInTime(t, pulled, keepAlive)
}

// foundInTime: a dead peer is found within twice --keepalive, and what a busy
// machine takes.
func foundInTime(t *testing.T, pulled time.Time, keepAlive time.Duration) {
	t.Helper()
	if took := time.Since(pulled); took > 2*keepAlive+8*time.Second {
		t.Errorf("found after %v, want at most %v", took, 2*keepAlive)
	}
}

// However the server ends, the client reconnects to the next one, which gets what
// the client sent meanwhile.
func TestARestartOfTheServerBringsTheClientBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(*program)
	}{
		{"stopped", func(p *program) { p.stop(exitDone) }},
		{"killed", func(p *program) { p.kill() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			first := n.serve("192.0.2.2:0")
			c := n.join(first)
			talk(first, c, "before")
			tt.end(first)
			c.stderr.Until(t, "hubbub: lost ")
			c.says("from laptop: meanwhile\n")
			second := n.serve(first.address())
			c.stderr.Until(t, "hubbub: back at ")
			second.stdout.Is(t, "from laptop: meanwhile\n")
			talk(second, c, "after")
			c.stdout.Is(t, "from VPS: before\nfrom VPS: after\n")
		})
	}
}

// The server is replaced by another while the cable is out: the client finds out
// when it is back in.
func TestARestartUnseenBringsTheClientBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	first := n.serve("192.0.2.2:0")
	c := n.join(first, "--keepalive", "2s")
	talk(first, c, "before")
	n.cable("down")
	first.kill()
	second := n.serve(first.address())
	n.cable("up")
	c.stderr.Until(t, "hubbub: back at ")
	talk(second, c, "after")
}
