//go:build unix

package hubbub_test

// Everything at once, and what is left of it: nothing.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// After storms of clients that come and go in every way, the hub has the
// descriptors and goroutines that it had; and after its end there is nothing
// of it. (Not parallel: others' would be counted.)
func TestNothingIsLeftBehind(t *testing.T) {
	before, _ := scene.Pipe(t) // the runtime's poller takes what it needs, and keeps it
	_ = before.Close()
	nothing := inUse(t)
	s := openAt(t, "127.0.0.1:0", hubbub.Options{MaxClients: 100, Loops: 3, Sniff: 200 * time.Millisecond})
	stay := []*peer{s.sse("/"), s.socket("/").peer, s.socket("/", speaksV1).peer}
	for _, p := range stay {
		go func() { _, _ = io.Copy(io.Discard, p.R) }() // who keeps each form's feed
	}
	storm(t, s)
	still := inUse(t)
	for range 2 {
		storm(t, s)
		scene.Until(t, "all that the storm took is given back", func() bool { return inUse(t).within(still) })
	}
	source, theirs := scene.Pipe(t)
	_ = theirs.Close()
	if err := s.BroadcastFrom(patient(t), source); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.BroadcastFrom(patient(t), source); !errors.Is(err, hubbub.ErrClosed) {
		t.Errorf("BroadcastFrom says %v, want ErrClosed", err)
	}
	_ = source.Close()
	for _, p := range stay {
		_ = p.Close()
	}
	scene.Until(t, "nothing is left", func() bool { return inUse(t).within(nothing) })
}

// used is what a process uses that could leak.
type used struct{ descriptors, goroutines int }

func (u used) within(most used) bool {
	return u.descriptors <= most.descriptors && u.goroutines <= most.goroutines
}

func inUse(t *testing.T) used {
	t.Helper()
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("this system does not tell which descriptors are open:", err)
	}
	return used{len(fds), runtime.NumGoroutine()}
}

// storm is some hundred clients, at once, that all leave again.
func storm(t *testing.T, s *stage) {
	t.Helper()
	err := together(200, func(i int) error {
		c, err := scene.Connect(s.at, nil)
		if err != nil {
			return err
		}
		switch i % 10 {
		case 0:
			return c.Close()
		case 1:
			return scene.Reset(c)
		case 2: // one too many is refused, and that may be a reset
			_, _ = fmt.Fprintf(c, "half a line")
			return c.Close()
		case 3:
			_, _ = fmt.Fprintf(c, "a line\n")
			_ = scene.EndSending(c)
			_, _ = io.Copy(io.Discard, c)
			return c.Close()
		case 4:
			_, _ = io.WriteString(c, strings.Repeat("lines\n", 1000))
			return scene.Reset(c)
		case 5: // what is not asked for to its end, and what is not spoken here
			_, _ = io.WriteString(c, []string{"GET / HT", "\x16\x03\x01", "P", "PRI * HTTP/2.0\r\n"}[i/10%4])
			return c.Close()
		case 6:
			_, _ = io.WriteString(c, request(http.MethodGet, "/healthz"))
			_, _ = io.ReadFull(c, make([]byte, 50))
			return c.Close()
		case 7:
			_, _ = io.WriteString(c, request(http.MethodPost, "/", chunked)+chunk("a post\nhalf"))
			return []func(net.Conn) error{scene.Reset, net.Conn.Close}[i/10%2](c)
		case 8:
			_, _ = io.WriteString(c, request(http.MethodGet, "/?last=9", acceptEvents))
			_, _ = io.ReadFull(c, make([]byte, 50))
			return []func(net.Conn) error{scene.Reset, net.Conn.Close}[i/10%2](c)
		default:
			_, _ = io.WriteString(c, request(http.MethodGet, fmt.Sprintf("/?last=9&session=storm-session-%d", i%3), append([]string{speaksV1}, handshake...)...))
			_, _ = io.ReadFull(c, make([]byte, 50))
			_, _ = io.WriteString(c, []string{text(said(1, "hello")), closing(1000, ""), "\x81", "what"}[i/10%4])
			return []func(net.Conn) error{scene.Reset, net.Conn.Close}[i/10%2](c)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// Who left without a word is noticed by what it is sent.
	scene.Until(t, "all have left", func() bool {
		s.says("anyone?")
		return s.Stats().Clients == 3
	})
}

// A hub that is closed in the midst of a storm of connects leaves none behind,
// nor a listener that was to be opened meanwhile.
func TestCloseInAStorm(t *testing.T) {
	before, _ := scene.Pipe(t)
	_ = before.Close()
	nothing := inUse(t)
	for range 10 {
		s := open(t, hubbub.Options{Loops: 4, Inbox: hubbub.InboxNone})
		storming := begins(func() error {
			return together(40, func(int) error {
				if c, err := scene.Connect(s.at, nil); err == nil {
					_ = c.Close()
				}
				return nil
			})
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Listen("127.0.0.1:0"); !errors.Is(err, hubbub.ErrClosed) {
			t.Errorf("Listen says %v, want ErrClosed", err)
		}
		_ = storming()
		if n := s.Stats().Clients; n != 0 {
			t.Errorf("there are %d clients", n)
		}
	}
	scene.Until(t, "nothing is left", func() bool { return inUse(t).within(nothing) })
}

// Everybody does everything at the same time, and in the midst of it the hub
// is closed or drained: nothing hangs, nothing panics, nobody is left waiting.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	for i, o := range []hubbub.Options{
		{Slow: hubbub.SlowWait, Patience: 50 * time.Millisecond},
		{Slow: hubbub.SlowCut, IdleTimeout: 50 * time.Millisecond},
		{Slow: hubbub.SlowSkip, MaxClients: 20, Replay: hubbub.ReplayAll},
		{Slow: hubbub.SlowWait, Replay: 10, KeepAlive: 20 * time.Millisecond, SocketOptions: []string{"SO_LINGER=0"}},
	} {
		t.Run(fmt.Sprintf("%v %d", o.Slow, i), func(t *testing.T) {
			t.Parallel()
			o.Loops, o.Backlog, o.MaxMessage = 4, 128<<10, 10_000
			s := open(t, o)
			at, err := s.Listen(unixAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			m := &mob{stage: s, addresses: []string{s.at, at[0].String()}, over: make(chan struct{})}
			acting := begins(m.act)
			passes(500 * time.Millisecond)
			if i%2 == 0 {
				err = s.Close()
			} else {
				err = s.Drain(patient(t), 100*time.Millisecond)
			}
			var left *hubbub.UndeliveredError
			if err != nil && !errors.As(err, &left) {
				t.Error(err)
			}
			close(m.over)
			if err := acting(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Receive(patient(t)); !errors.Is(err, io.EOF) {
				t.Errorf("Receive says %v, want the end of file", err)
			}
		})
	}
}

// mob is many who do as they like with one hub.
type mob struct {
	*stage
	addresses []string
	over      chan struct{}
}

// act has all of them act until it is over.
func (m *mob) act() error {
	const actors = 24
	return together(actors, func(i int) error {
		random := rand.New(rand.NewPCG(uint64(i), 7))
		for {
			select {
			case <-m.over:
				return nil
			default:
			}
			if i%3 == 0 {
				m.useHub(random)
			} else {
				m.beClient(random)
			}
		}
	})
}

// useHub does something with the hub that may be refused, but must end.
func (m *mob) useHub(random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(30))*time.Millisecond)
	defer cancel()
	switch random.IntN(8) {
	default:
		for range random.IntN(200) {
			_ = m.Broadcast(ctx, numbered(0, 10+random.IntN(5000)))
		}
	case 0:
		r, w, err := os.Pipe()
		if err != nil {
			return
		}
		text := strings.Repeat("from a source\n", random.IntN(5000))
		go func() {
			_, _ = io.WriteString(w, text)
			_ = w.Close()
		}()
		_ = m.BroadcastFrom(ctx, r)
		_ = r.Close() // ends who still writes
	case 1:
		_ = m.WaitForClients(ctx, random.IntN(30))
	case 2:
		_ = m.Settle(ctx, time.Millisecond)
	case 3:
		_, _ = m.Listen("127.0.0.1:0")
	}
	_ = m.Stats()
}

// beClient is one client's life.
func (m *mob) beClient(random *rand.Rand) {
	c, err := scene.Connect(m.addresses[random.IntN(len(m.addresses))], nil)
	if err != nil {
		return // the hub is gone
	}
	var both sync.WaitGroup
	defer both.Wait()
	defer m.leave(c, random.IntN(3))
	both.Go(func() {
		r := bufio.NewReader(c)
		for {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		}
	})
	for range random.IntN(30) {
		if _, err := c.Write(append(numbered(0, 10+random.IntN(12_000)), "\n\r\x00"[random.IntN(3)])); err != nil {
			return
		}
	}
}

func (m *mob) leave(c net.Conn, how int) {
	switch how {
	case 0:
		_ = scene.Reset(c)
	case 1:
		_ = scene.EndSending(c)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		passes(time.Millisecond)
	}
	_ = c.Close()
}
