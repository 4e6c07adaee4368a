//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hubbub.example/internal/scene"
)

// cutter is a way to a server that breaks again and again, in the midst of
// whatever it carries, until it has done so often enough.
type cutter struct {
	net.Listener
	to string

	mu     sync.Mutex
	random *rand.Rand
	lasts  bool
	cuts   int
	most   int // cuts
}

func newCutter(t *testing.T, to string, most int) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: to, most: most, random: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(func() { _ = l.Close() })
	go c.serve()
	return c
}

func (c *cutter) serve() {
	for {
		ours, err := c.Accept()
		if err != nil {
			return
		}
		theirs, err := scene.Connect(c.to, nil)
		if err != nil {
			_ = ours.Close()
			continue
		}
		go c.carry(ours, theirs)
		go c.carry(theirs, ours)
	}
}

// carry carries bytes one way; then it resets both connections.
func (c *cutter) carry(from, to net.Conn) {
	for buf := make([]byte, 4096); ; {
		n, err := from.Read(buf[:c.atMost(len(buf))])
		if n > 0 {
			_, err = to.Write(buf[:n])
		}
		if err != nil || c.breaks() {
			break
		}
	}
	for _, conn := range []net.Conn{from, to} {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

func (c *cutter) atMost(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return 1 + c.random.IntN(n)
}

func (c *cutter) breaks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lasts || c.random.IntN(40) > 0 {
		return false
	}
	c.cuts++
	c.lasts = c.cuts >= c.most
	return true
}

// cutSoFar returns how often it did.
func (c *cutter) cutSoFar() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

// However often the connection breaks, and wherever: every line arrives once, in
// order, at both ends.
func TestJoinThroughBreaksLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	const lines, cuts = 4000, 5 // a sixth would be waited for
	p := start(t, "serve", "127.0.0.1:0", "--replay", "all")
	c := newCutter(t, p.address(), cuts)
	j := start(t, "join", c.Addr().String(), "--eof", "exit")
	var want strings.Builder
	for i := range lines {
		fmt.Fprintf(&want, "line %d %s\n", i, strings.Repeat("x", i%300))
	}
	go func() { _, _ = io.WriteString(p.stdin, want.String()) }()
	go func() {
		_, _ = io.WriteString(j.stdin, want.String())
		_ = j.stdin.Close()
	}()
	p.stdout.Is(t, want.String())
	j.stdout.Is(t, want.String())
	if n := c.cutSoFar(); n != cuts {
		t.Errorf("the connection broke %d times, want %d", n, cuts)
	}
	j.exits(exitDone)
	p.stop(exitDone)
}

// With hubbub.v1 join is a client at once, before it sends a message, over a Unix
// socket too, under the name it gives.
func TestJoinIsAClientAtOnce(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "http://127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		p := start(t, "serve", address, "--out", "json")
		j := start(t, "join", p.address(), "--name", "ann")
		p.stdout.Until(t, `"name":"ann"`)
		p.stdout.Until(t, `"protocol":"hubbub.v1"`)
		j.says("hello\n")
		p.stdout.Until(t, `"text":"hello"`)
		p.says("welcome\n")
		j.stdout.Is(t, "welcome\n")
	}
}

// A restarted server has a new epoch: join reports that, and continues with what
// the server has.
func TestJoinIsToldThatTheServerWasStartedAnew(t *testing.T) {
	t.Parallel()
	first := start(t, "serve", "127.0.0.1:0")
	at := first.address()
	j := start(t, "join", at)
	first.says("one\ntwo\n")
	j.stdout.Is(t, "one\ntwo\n")
	first.signal(syscall.SIGTERM)
	first.exits(exitDone)
	second := start(t, "serve", at)
	second.says("three\n")
	j.stdout.Is(t, "one\ntwo\nthree\n")
	j.stderr.Until(t, "the server was restarted")
	j.says("four\n")
	second.stdout.Is(t, "four\n")
}

// After a reconnect join reports how many messages the server no longer has.
func TestJoinSaysHowManyAreGone(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--backlog", "64KiB", "--slow", "skip")
	watcher := start(t, "join", p.address(), "--out", "json")
	p.says("one\n")
	first := watcher.stdout.Until(t, "\n")
	if !strings.Contains(first, `"seq":1,`) || !strings.Contains(first, `"text":"one"`) {
		t.Fatalf("join says %q", first)
	}
	epoch := epochOf(t, p)
	p.says(strings.Repeat(strings.Repeat("x", 99)+"\n", 4000))
	p.says("the last\n")
	watcher.stdout.Until(t, "the last")
	late := start(t, "join", p.address(), "--since", epoch+"-1")
	late.stdout.Until(t, "the last\n")
	said := late.stderr.Until(t, " no longer keeps")
	var gone int
	for word := range strings.FieldsSeq(said) {
		if n, err := strconv.Atoi(word); err == nil {
			gone = n
		}
	}
	if got := strings.Count(late.stdout.Text(), "\n"); gone+got != 4001 {
		t.Errorf("%d are said to be gone, %d came, of 4001: %s", gone, got, said)
	}
}

// epochOf asks p for its epoch.
func epochOf(t *testing.T, p *program) string {
	t.Helper()
	r, err := http.Get("http://" + p.address() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var health struct{ Epoch string }
	if err := json.NewDecoder(r.Body).Decode(&health); err != nil || health.Epoch == "" {
		t.Fatalf("its health is %+v, %v", health, err)
	}
	return health.Epoch
}
