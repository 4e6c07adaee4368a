package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
)

// This file is an attack with slow handshakes: thousands of connections that
// occupy whatever a server sets apart for a request, as cheaply as they can.

// slowAttack is what each kind of attacker says at once, and what then, a byte
// a second, over and over.
var slowAttack = []struct {
	name, first, then string
	refused           bool // with 408, after ten seconds
	brief             bool // it may be gone sooner than that
}{
	{name: "a header, a byte a second", first: "GET /", then: "slow", refused: true},
	{name: "a header without an end", first: "GET / HTTP/1.1\r\nHost: localhost\r\n", refused: true},
	{name: "one byte", first: "G"},
	{name: "a body, a byte a second", first: "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", then: "slow"},
	{name: "an answer never read", first: "GET /view.js HTTP/1.1\r\nHost: localhost\r\n\r\n", brief: true},
	{name: "many answers never read", first: strings.Repeat("GET /view.js HTTP/1.1\r\nHost: localhost\r\n\r\n", 60), brief: true},
	{name: "a body that is refused", first: "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", then: "slow", brief: true},
}

// attackers are those of one server.
type attackers struct {
	t     *testing.T
	kinds [][]net.Conn
	stop  chan struct{}
	done  sync.WaitGroup
}

// attack connects so many of each kind, and keeps on.
func attack(t *testing.T, address string, each int) *attackers {
	t.Helper()
	a := &attackers{t: t, kinds: make([][]net.Conn, len(slowAttack)), stop: make(chan struct{})}
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { // they take little
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	for range each {
		for kind, says := range slowAttack {
			c, err := small.Dial("tcp", address)
			if err == nil {
				_, err = io.WriteString(c, says.first)
			}
			if err != nil {
				t.Fatal(err)
			}
			a.kinds[kind] = append(a.kinds[kind], c)
		}
	}
	a.done.Go(a.dribble)
	t.Cleanup(a.leave)
	return a
}

func (a *attackers) dribble() {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for n := 0; ; n++ {
		for kind, says := range slowAttack {
			for _, c := range a.kinds[kind] {
				if says.then != "" {
					_, _ = io.WriteString(c, says.then[n%len(says.then):][:1]) // some are gone in time
				}
			}
		}
		select {
		case <-second.C:
		case <-a.stop:
			return
		}
	}
}

// lasting returns how many of them stay for ten seconds at least.
func (a *attackers) lasting() (n int) {
	for kind, says := range slowAttack {
		if !says.brief {
			n += len(a.kinds[kind])
		}
	}
	return n
}

// areRefused waits until those are who are to be.
func (a *attackers) areRefused() {
	a.t.Helper()
	for kind, says := range slowAttack {
		for _, c := range a.kinds[kind] {
			if !says.refused {
				continue
			}
			_ = c.SetReadDeadline(time.Now().Add(scene.LongEnough))
			if answer, err := io.ReadAll(c); !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
				a.t.Fatalf("%s is answered %q (%v)", says.name, answer, err)
			}
		}
	}
}

func (a *attackers) leave() {
	if isDone(a.stop) {
		return
	}
	close(a.stop)
	a.done.Wait()
	for _, kind := range a.kinds {
		for _, c := range kind {
			_ = c.Close()
		}
	}
}

// metronome is a source of numbered lines, fifty a second.
type metronome struct {
	mu    sync.Mutex
	sent  []time.Time
	stop  chan struct{}
	ended chan struct{}
}

func tick(t *testing.T, p *program) *metronome {
	t.Helper()
	m := &metronome{stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		beat := time.NewTicker(20 * time.Millisecond)
		defer beat.Stop()
		for n := 0; ; n++ {
			select {
			case now := <-beat.C:
				m.mu.Lock()
				m.sent = append(m.sent, now)
				m.mu.Unlock()
				_, _ = fmt.Fprintf(p.stdin, "tick %d\n", n)
			case <-m.stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(m.stop); <-m.ended })
	return m
}

// ear is an established client, and how late it hears the metronome.
type ear struct {
	mu     sync.Mutex
	delays []time.Duration
	next   int
	err    error
}

// hear takes what somebody heard.
func (m *metronome) hear(e *ear, said string) error {
	var n int
	if _, err := fmt.Sscanf(said, "tick %d", &n); err != nil || n != e.next && e.next > 0 {
		return fmt.Errorf("after tick %d comes %q", e.next-1, said)
	}
	m.mu.Lock()
	sent := m.sent[n]
	m.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = n + 1
	e.delays = append(e.delays, time.Since(sent))
	return nil
}

// listen returns a client that has what next returns, until that fails.
func (m *metronome) listen(next func() (string, error)) *ear {
	e := &ear{}
	go func() {
		for {
			said, err := next()
			if err == nil {
				err = m.hear(e, said)
			}
			if err != nil {
				e.mu.Lock()
				e.err = err
				e.mu.Unlock()
				return
			}
		}
	}()
	return e
}

// ears are established clients: a raw one, a WebSocket and one for events.
func (m *metronome) ears(p *program) map[string]*ear {
	t := p.t
	t.Helper()
	raw := p.client()
	raw.Says("raw\n")
	p.stdout.Until(t, "raw\n")
	events := p.client()
	events.Says("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
	socket, _, err := websocket.Dial(ctx, "ws://"+p.address(), nil)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.CloseNow(); cancel() })
	return map[string]*ear{
		"raw":       m.listen(func() (string, error) { return raw.R.ReadString('\n') }),
		"WebSocket": m.listen(func() (string, error) { _, said, err := socket.Read(ctx); return string(said), err }),
		"events": m.listen(func() (string, error) {
			for {
				line, err := events.R.ReadString('\n')
				if said, ok := strings.CutPrefix(line, "data: "); ok || err != nil {
					return said, err
				}
			}
		}),
	}
}

// p99 returns that of what was heard since the last time, which is a number of
// lines.
func (e *ear) p99(t *testing.T, lines int) time.Duration {
	t.Helper()
	var delays []time.Duration
	scene.Until(t, "there is enough to hear", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.err != nil {
			t.Fatal(e.err)
		}
		delays = slices.Clone(e.delays)
		return len(delays) >= lines
	})
	e.mu.Lock()
	e.delays = nil
	e.mu.Unlock()
	slices.Sort(delays)
	return delays[len(delays)*99/100]
}

// probe returns how long it takes to be served as a newcomer: raw, by a WebSocket,
// and by curl.
func probe(t *testing.T, p *program, when string) (slowest time.Duration) {
	t.Helper()
	for name, serve := range map[string]func(says string){
		"raw": func(says string) {
			c := dial(t, p.address())
			defer c.Close()
			c.Says(says + "\n")
			p.stdout.Until(t, says)
			if line, err := c.R.ReadString('\n'); err != nil {
				t.Fatal(line, err)
			}
		},
		"WebSocket": func(says string) {
			ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
			defer cancel()
			c, _, err := websocket.Dial(ctx, "ws://"+p.address(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			write(t, c, []byte(says))
			p.stdout.Until(t, says)
			if _, _, err := c.Read(ctx); err != nil {
				t.Fatal(err)
			}
		},
		"curl": func(says string) {
			c := launch{shell: `exec "$@"`, args: []string{"curl", "-sS", "-d", says, "http://" + p.address()}}.start(t)
			p.stdout.Until(t, says)
			c.exits(0)
		},
	} {
		began := time.Now()
		serve(when + " " + name)
		slowest = max(slowest, time.Since(began))
	}
	return slowest
}

// bearable returns how long one may wait during an attack: nobody waits for those who
// attack, which would be ten seconds. How much less it is the bench measures
// (slow-heads), as here other tests are at work.
func bearable(calm time.Duration) time.Duration { return max(5*time.Second, 5*calm) }

// Three thousand clients that send one byte of a request per second, stop in its
// middle or never read the answer delay nobody, neither connected clients nor new
// ones. The server answers an unfinished request after ten seconds and closes it.
func TestASlowHandshakeAttackDelaysNobody(t *testing.T) {
	t.Parallel()
	const each, probes = 600, 4
	needs(t, "curl")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max < 8000 {
		scene.Unable(t, fmt.Sprintf("%d open files are too few for an attack", limit.Max))
	}
	p := start(t, "serve", "127.0.0.1:0", "--replay", "none", "--sniff", "1m")
	ears := tick(t, p).ears(p)
	other := start(t, "serve", "127.0.0.1:0", "--replay", "none", "--sniff", "1m")
	calm := tick(t, other).ears(other) // what else the machine does delays these as well
	for name, e := range ears {
		e.p99(t, 100)
		calm[name].p99(t, 100)
	}
	probe(t, p, "before")
	before, itself := len(descriptors(t, p)), peakMemory(t, p)

	a := attack(t, p.address(), each)
	scene.Until(t, "all attackers are there", func() bool { return len(descriptors(t, p)) >= before+a.lasting() })
	for n := range probes {
		when := fmt.Sprint("during ", n)
		took, calm := probe(t, p, when), probe(t, other, when)
		if took > bearable(calm) {
			t.Errorf("a newcomer is served after %v; where nobody attacks, after %v", took, calm)
		}
	}
	a.areRefused()
	for name, e := range ears {
		got, calm := e.p99(t, 400), calm[name].p99(t, 400)
		if got > bearable(calm) {
			t.Errorf("%s hears with a p99 delay of %v; where nobody attacks, of %v", name, got, calm)
		}
	}
	a.leave()
	scene.Until(t, "all are gone", func() bool { return len(descriptors(t, p)) <= before })
	once := peakMemory(t, p) - itself
	t.Logf("%d attackers cost %d KB each", len(slowAttack)*each, once>>10/(len(slowAttack)*each))
	for range 2 { // what they cost is there for the next
		a := attack(t, p.address(), each)
		scene.Until(t, "all attackers are there", func() bool { return len(descriptors(t, p)) >= before+a.lasting() })
		a.leave()
		scene.Until(t, "all are gone", func() bool { return len(descriptors(t, p)) <= before })
	}
	if thrice := peakMemory(t, p) - itself; thrice > 2*once {
		t.Errorf("an attack costs %d MB, three cost %d MB", once>>20, thrice>>20)
	}
}
