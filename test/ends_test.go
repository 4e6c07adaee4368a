//go:build unix

package hubbub_test

// How clients end, and the hub: nothing is lost that could still arrive.

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example"
	"hubbub.example/internal/scene"
	"hubbub.example/internal/sock"
)

// A client that says something and ends its side, like `printf hello | nc`,
// gets what the feed holds, then the end of file.
func TestHalfCloseAfterSending(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{Replay: hubbub.ReplayAll})
		const n, size = 600, 1000
		for i := range n {
			s.says(string(numbered(i, size)))
		}
		p := s.client()
		p.Says("hello\nlast words")
		p.Done()
		if err := followAll(p.R, size, n); err != nil {
			t.Fatal(err)
		}
		p.HearsEnd()
		s.hears("1 hello", "1 last words")
		if got := s.leaves(1); got != "done" {
			t.Errorf("it left because %q, want done", got)
		}
		scene.Until(t, "it is gone", func() bool { return s.Stats().Clients == 0 })
	})
}

// A client that half-closes without ever having sent, like `ncat </dev/null`,
// is a watcher.
func TestWatcherStays(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{Loops: 1})
		watcher, other := s.client(), s.client()
		watcher.Done()
		other.Says("hello") // when the loop has this, it has seen the watcher's end
		other.Done()
		other.HearsEnd()
		for i := range 100 {
			s.says(fmt.Sprint(i))
			watcher.Hears(fmt.Sprintf("%d\n", i))
		}
		s.hears("2 hello")
		s.has(1) // the watcher
		if err := s.Drain(patient(t), scene.LongEnough); err != nil {
			t.Error(err)
		}
		watcher.HearsEnd()
	})
}

// A hub in which nothing else happens says at once that a client has left, and
// lets go of it.
func TestALeaveIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		how, reason string
		do          func(p *peer)
	}{
		{"done", "done", func(p *peer) { p.Says("last words"); p.Done() }},
		{"gone", "done", func(p *peer) { p.Says(strings.Repeat("x", 300_000)); _ = p.Close() }},
		{"reset", "reset", func(p *peer) { p.Reset() }},
		{"cut", "sent a message longer than 512 KiB", func(p *peer) { p.Says(strings.Repeat("x", 600<<10)) }},
	} {
		t.Run(c.how, func(t *testing.T) {
			s := open(t, hubbub.Options{MaxMessage: 512 << 10})
			c.do(s.client())
			if got := s.leaves(1); got != c.reason {
				t.Errorf("it left because %q, want %q", got, c.reason)
			}
			if s.isCut(1) != (c.how == "cut") {
				t.Error("whether it was cut is told wrongly")
			}
			s.has(0)
		})
	}
}

// The end of file comes together with the last bytes, or before they are
// read: everything that was said before it counts, whole.
func TestEOFCountsAfterAllInput(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openUntaken(t, address, hubbub.Options{MaxMessage: 4 << 20})
		sums := make(chan int, 1)
		received := begins(func() error {
			n, left := 0, 0
			for e := range s.Events(context.Background()) {
				n += len(e.Data)
				if e.Kind == hubbub.Leave {
					left++
				}
				if left == 40 {
					sums <- n
					return nil
				}
			}
			return errors.New("the hub closed")
		})
		// Sizes around what is read at a time, and all that may be kept.
		sizes := []int{1, 100, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 200_001, 1 << 20}
		want := 0
		for range 40 / len(sizes) {
			for _, n := range sizes {
				want += n
			}
		}
		if err := together(40, func(i int) error {
			c, err := scene.Connect(s.at, nil)
			if err != nil {
				return err
			}
			if _, err := c.Write(bytes.Repeat([]byte{'x'}, sizes[i%len(sizes)])); err != nil {
				return err
			}
			return c.Close()
		}); err != nil {
			t.Fatal(err)
		}
		if err := received(); err != nil {
			t.Fatal(err)
		}
		if got := <-sums; got != want {
			t.Errorf("%d bytes came, want %d", got, want)
		}
	})
}

// A client that goes while it is sent to ends, and nobody else notices.
func TestClientLeavesMidWrite(t *testing.T) {
	t.Parallel()
	for _, leave := range []struct {
		how string
		do  func(c net.Conn) error
	}{
		{"closing", net.Conn.Close},
		{"by reset", scene.Reset},
		{"half-closing first", func(c net.Conn) error { return errors.Join(scene.EndSending(c), c.Close()) }},
	} {
		t.Run(leave.how, func(t *testing.T) {
			everyNetwork(t, func(t *testing.T, address string) {
				s := openAt(t, address, hubbub.Options{})
				stays := s.client()
				goes := s.narrowClient()
				const n, size = 500, 2000
				following := begins(func() error { return followAll(stays.R, size, n) })
				for i := range n {
					s.says(string(numbered(i, size)))
					if i == n/2 { // it has read half of something, and more is on its way
						goes.Hears(string(numbered(0, size)[:size/2]))
						if err := leave.do(goes.Conn); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := following(); err != nil {
					t.Fatal(err)
				}
				s.leaves(2)
				s.says("on we go")
				stays.Hears("on we go\n")
				s.has(1)
			})
		})
	}
}

// Clients leave at any moment, in all ways, many at once; who stays gets
// everything, and what those said who left in order has come.
func TestClientsLeaveAtAnyMoment(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{Backlog: 1 << 20, Replay: hubbub.ReplayAll})
		stays := s.client()
		const n, size, leavers = 400, 500, 120
		following := begins(func() error { return followAll(stays.R, size, n) })
		leaving := begins(func() error {
			return together(leavers, func(i int) error { return comeAndGo(s.at, i) })
		})
		for i := range n {
			s.says(string(numbered(i, size)))
		}
		if err := errors.Join(following(), leaving()); err != nil {
			t.Fatal(err)
		}
		// Who left without a word is noticed by what is sent to him.
		scene.Until(t, "only one is left", func() bool {
			s.says("still there?")
			return s.Stats().Clients == 1
		})
		s.events.When(t, "the last words of all who closed", func(all []hubbub.Event) bool {
			came := map[string]bool{}
			for _, text := range texts(all) {
				_, text, _ = strings.Cut(text, " ")
				came[text] = true
			}
			for i := 0; i < leavers; i += 4 {
				if !came[fmt.Sprintf("%d's last words", i)] {
					return false
				}
			}
			return true
		})
	})
}

// comeAndGo is client i, who leaves as clients do.
func comeAndGo(address string, i int) error {
	c, err := scene.Connect(address, nil)
	if err != nil {
		return err
	}
	switch i % 4 {
	case 0: // having said a whole line and a last one
		if _, err := fmt.Fprintf(c, "hello\n%d's last words", i); err != nil {
			return err
		}
		if err := scene.EndSending(c); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c)
		return errors.Join(err, c.Close())
	case 1: // in the middle of a line, with a reset
		if _, err := io.WriteString(c, "never to be fin"); err != nil {
			return err
		}
		return scene.Reset(c)
	case 2: // at once
		return c.Close()
	default: // having heard something
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			return err
		}
		return scene.Reset(c)
	}
}

// A hub that drains while everybody talks and is talked to gives each client
// all that was broadcast and then the end of file, never a scene.Reset, though
// clients send until the very end.
func TestCloseLosesNothing(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		const clients, n, size, inbox = 8, 1000, 1000, 1 << 20 // bytes that the inbox of one loop takes
		// Joins that nobody takes could fill the inbox before all are accepted.
		s := openUntaken(t, address, hubbub.Options{Backlog: 4 << 20, Loops: 1, Inbox: hubbub.InboxMessages})
		peers := s.clients(clients)
		// The inbox is not taken before the hub drains: all that clients
		// send waits, unread, which makes a careless close a reset.
		var said atomic.Int64
		for _, p := range peers {
			go talks(counts{p, &said})
		}
		scene.Until(t, "they have said more than the inbox takes", func() bool { return said.Load() > inbox })
		following := begins(func() error {
			return together(clients, func(i int) error {
				if err := followAll(peers[i].R, size, n); err != nil {
					return err
				}
				rest, err := io.ReadAll(peers[i].R)
				if len(rest) > 0 {
					err = errors.Join(err, fmt.Errorf("%s came afterwards", scene.Brief(string(rest))))
				}
				return errors.Join(err, peers[i].Close())
			})
		})
		for i := range n {
			s.says(string(numbered(i, size)))
		}
		var left *hubbub.UndeliveredError
		err := s.Drain(patient(t), 4*time.Second)
		if !errors.As(err, &left) || left.Clients > 0 || left.Unheard > 0 || left.Unread == 0 {
			t.Errorf("Drain says %v, want that only what clients said is lost", err)
		}
		if err := following(); err != nil {
			t.Fatal(err)
		}
	})
}

// talks sends lines until that is no more possible.
func talks(w io.Writer) {
	lines := bytes.Repeat([]byte("I have something to say as well\n"), 1000)
	for {
		if _, err := w.Write(lines); err != nil {
			return
		}
	}
}

// counts counts what is written.
type counts struct {
	io.Writer
	n *atomic.Int64
}

func (c counts) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// What clients had said when the hub began to drain is received, although
// nobody had read it yet.
func TestDrainHearsOut(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		const clients, lines = 60, 600 // more than the inbox takes
		s := openUntaken(t, address, hubbub.Options{Loops: 1, Inbox: hubbub.InboxMessages})
		line := string(numbered(7, 99)) + "\n"
		peers := s.clients(clients)
		for _, p := range peers {
			p.Says(strings.Repeat(line, lines))
		}
		for _, p := range peers {
			scene.Until(t, "the kernel has it", func() bool { return p.unacked() == 0 || strings.HasPrefix(address, "unix:") })
		}
		if n := s.Stats().MessagesIn; n == clients*lines {
			t.Fatal("all was read before the hub began to drain: make the scene larger")
		}
		draining := begins(func() error { return s.Drain(patient(t), scene.LongEnough) })
		received := 0
		for e := range s.Events(context.Background()) {
			if e.Kind == hubbub.Message {
				received++
			}
			if received%2000 == 1999 {
				passes(50 * time.Millisecond) // a sink that takes its time
			}
		}
		if err := draining(); err != nil {
			t.Error(err)
		}
		if received != clients*lines {
			t.Errorf("%d lines were received, want %d", received, clients*lines)
		}
	})
}

// Who pauses at the end gets what it was promised all the same, as long as the
// pause is no longer than the drain allows.
func TestAPauseAtTheEnd(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		text := strings.Repeat("x", 60_000) // more than it takes before it reads
		s := openAt(t, address, hubbub.Options{})
		p := s.narrowClient()
		s.says(text)
		draining := begins(func() error { return s.Drain(patient(t), 20*time.Second) })
		passes(2 * time.Second)
		p.Hears(text + "\n")
		p.HearsEnd()
		_ = p.Close()
		if err := draining(); err != nil {
			t.Error(err)
		}
	})
}

// Clients that vanish free their places, although nobody takes what others
// have sent.
func TestTheVanishedLeaveThoughTheSinkIsBlocked(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Loops: 1, Inbox: hubbub.InboxMessages})
	talker := s.client()
	go talks(talker)
	scene.Until(t, "the inbox is full, and the socket too", func() bool { return talker.unacked() > 256<<10 })
	for _, p := range s.clients(20) {
		_ = p.Close()
	}
	scene.Until(t, "they have left", func() bool {
		s.says("is anybody there?")
		return s.Stats().Clients == 1
	})
}

// What a source had given when the hub began to drain goes out, although a
// client held it at that moment.
func TestDrainBroadcastsWhatIsHeld(t *testing.T) {
	t.Parallel()
	const size = 1000
	s := open(t, hubbub.Options{Backlog: 64 << 10, Patience: scene.LongEnough, SocketOptions: []string{"SO_SNDBUF=16384"}})
	p := s.narrowClient()
	from, to := scene.Pipe(t)
	broadcasting := begins(func() error { return s.BroadcastFrom(context.Background(), from) })
	taken := 0
	for {
		_ = to.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := to.Write(append(numbered(taken, size), '\n'))
		if taken++; err != nil && n < size+1 {
			break // the hub holds its source, and the pipe is full
		}
	}
	draining := begins(func() error { return s.Drain(patient(t), scene.LongEnough) })
	if err := broadcasting(); !errors.Is(err, hubbub.ErrClosed) {
		t.Errorf("the source ended with %v", err)
	}
	waiting, err := sock.Unread(int(from.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	heard, err := io.ReadAll(p.R)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
	if err := draining(); err != nil {
		t.Error(err)
	}
	// What was read of the message that was not whole yet is the only loss.
	if given := taken*(size+1) - waiting; len(heard) < given-2*(size+1) {
		t.Errorf("the source gave %d bytes, %d were heard", given, len(heard))
	}
}

// What was read from clients before the hub closed can still be received.
func TestWhatWasReadBeforeCloseIsReceived(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{})
	p := s.client()
	p.Says("one\ntwo\n")
	scene.Until(t, "both are read", func() bool { return s.Stats().MessagesIn == 2 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e := range s.Events(context.Background()) {
		got = append(got, fmt.Sprintf("%s %s%s", e.Kind, e.Data, e.Reason))
	}
	if want := "[join  message one message two leave shutdown]"; fmt.Sprint(got) != want {
		t.Errorf("received %s, want %s", got, want)
	}
	if _, err := s.Receive(patient(t)); !errors.Is(err, io.EOF) {
		t.Errorf("Receive after everything says %v, want the end of file", err)
	}
}

// A client that takes nothing is given up after the stall, and what it has
// not had is said.
func TestDrainSaysWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{})
		takes := s.client()
		s.narrowClient() // takes nothing
		const n, size = 1000, 4000
		following := begins(func() error {
			if err := followAll(takes.R, size, n); err != nil {
				return err
			}
			rest, err := io.ReadAll(takes.R)
			return errors.Join(err, takes.Close(), errorIf(len(rest) > 0, "more came"))
		})
		for i := range n {
			s.says(string(numbered(i, size)))
		}
		err := s.Drain(patient(t), 300*time.Millisecond)
		if err := following(); err != nil {
			t.Error(err)
		}
		var left *hubbub.UndeliveredError
		if !errors.As(err, &left) {
			t.Fatalf("Drain says %v, want what is undelivered", err)
		}
		if left.Clients != 1 || left.Bytes < n*size/2 || left.Unheard != 0 {
			t.Errorf("undelivered: %+v, want most of %d bytes for one client", *left, n*size)
		}
	})
}

func errorIf(wrong bool, what string) error {
	if wrong {
		return errors.New(what)
	}
	return nil
}

// What nobody was there to hear is not delivered either.
func TestDrainSaysWhatNobodyHeard(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{})
	p := s.client()
	s.says("heard")
	p.Hears("heard\n")
	p.Reset()
	scene.Until(t, "nobody is there", func() bool { return s.Stats().Clients == 0 })
	s.says("unheard", "unheard as well")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var left *hubbub.UndeliveredError
	if err := s.Settle(ctx, 0); !errors.As(err, &left) {
		t.Fatalf("Settle says %v, want what is undelivered", err)
	}
	if left.Unheard < 2 || left.Clients != 0 {
		t.Errorf("undelivered: %+v, want two messages unheard", *left)
	}
}

// Nothing works on a hub that is closed, and nothing hangs.
func TestAClosedHubSaysSo(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{})
	p := s.client()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.HearsEnd()
	if err := s.Close(); err != nil {
		t.Errorf("a second Close says %v", err)
	}
	ctx := patient(t)
	source, _ := scene.Pipe(t)
	for what, err := range map[string]error{
		"Broadcast":      s.Broadcast(ctx, []byte("x")),
		"WaitForClients": s.WaitForClients(ctx, 1),
		"Settle":         s.Settle(ctx, scene.LongEnough),
		"BroadcastFrom":  s.BroadcastFrom(ctx, source),
		"Listen":         second(s.Listen("127.0.0.1:0")),
	} {
		if !errors.Is(err, hubbub.ErrClosed) {
			t.Errorf("%s says %v, want ErrClosed", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Who is cut and goes on talking is not listened to for long, and is told why
// all the same.
func TestWhoIsCutIsNotListenedTo(t *testing.T) {
	t.Parallel()
	everyAny(t, func(t *testing.T, address string) {
		const most = 32 << 20 // what the kernel takes, and more
		s := openAt(t, address, unhurried(hubbub.Options{MaxMessage: 1000}))
		c := s.socket("/")
		said := make(chan int, 1)
		go func() {
			n, more := 0, frame(ws.OpBinary, true, make([]byte, 64<<10))
			for n < most {
				m, err := c.Write(more)
				n += m
				if err != nil {
					break
				}
			}
			said <- n
		}()
		if op, p := c.next(); op != ws.OpClose || binary.BigEndian.Uint16(p) != 1009 {
			t.Errorf("it is told %d %q", op, p)
		}
		if n := <-said; n >= most {
			t.Errorf("it said %d bytes", n)
		}
	})
}
