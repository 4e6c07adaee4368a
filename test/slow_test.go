//go:build unix

package hubbub_test

// Clients that take little, or nothing: nobody waits for them longer than was
// agreed, and what they get is whole.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// A client that never reads must not delay one that does, whatever is to
// become of it: each message is heard before the next is broadcast.
func TestSlowClientDelaysNobody(t *testing.T) {
	t.Parallel()
	const n, size = 60, 50_000
	for _, o := range []hubbub.Options{
		{Loops: 1, Slow: hubbub.SlowWait, Backlog: 8 << 20}, // which holds all that is broadcast
		{Loops: 1, Slow: hubbub.SlowCut, Backlog: 256 << 10},
		{Loops: 1, Slow: hubbub.SlowSkip, Backlog: 256 << 10},
	} {
		t.Run(o.Slow.String(), func(t *testing.T) {
			everyNetwork(t, func(t *testing.T, address string) {
				s := openAt(t, address, o)
				stuck, p := s.narrowClient(), s.client()
				for i := range n {
					message := string(numbered(i, size))
					s.says(message)
					p.Hears(message + "\n")
				}
				if o.Slow != hubbub.SlowWait {
					return
				}
				if err := followAll(stuck.R, size, n); err != nil {
					t.Errorf("the stuck one, when it reads again: %v", err)
				}
			})
		})
	}
}

// pour broadcasts numbered messages until ctx ends, and says how many there
// were, and which was the longest time that one of them was held.
func pour(ctx context.Context, s *stage, size int) (n int, longest time.Duration, err error) {
	for {
		began := time.Now()
		if err := s.Broadcast(ctx, numbered(n, size)); err != nil {
			if errors.Is(err, ctx.Err()) {
				err = nil
			}
			return n, longest, err
		}
		longest = max(longest, time.Since(began))
		n++
	}
}

// A steady reader paces the source and is never taken to be too slow: neither
// well above MinRate nor just above it, with a large backlog or a small one.
func TestSteadyReaderIsNeverCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what    string
		rate    int // bytes a second
		backlog int64
	}{
		{"200 KB a second", 200_000, 1 << 20},
		{"200 KB a second, small backlog", 200_000, 64 << 10},
		{"a little above MinRate, small backlog", 80 << 10, 64 << 10},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			const size = 200
			s := open(t, hubbub.Options{Backlog: c.backlog})
			p := s.narrowClient()
			ctx, stop := context.WithCancel(patient(t))
			var sent int
			pouring := begins(func() (err error) {
				sent, _, err = pour(ctx, s, size)
				return err
			})
			steady := &steadyReader{r: p, rate: c.rate, began: time.Now()}
			r := bufio.NewReaderSize(steady, 1024)
			time.AfterFunc(3*time.Second, stop)
			following := begins(func() error {
				if err := follow(r, size, 1<<30, nil); !errors.Is(err, io.EOF) {
					return err
				}
				return nil
			})
			if err := pouring(); err != nil {
				t.Fatal(err)
			}
			took := time.Since(steady.began)
			if n := s.Stats().Clients; n != 1 {
				t.Fatal("the client was cut")
			}
			steady.hurry.Store(true)
			if err := s.Drain(patient(t), scene.LongEnough); err != nil {
				t.Error(err)
			}
			if err := following(); err != nil {
				t.Error(err)
			}
			// It was the client who set the pace: or it was never in question.
			if bytes := float64(sent) * (size + 1); bytes > 2*float64(c.rate)*took.Seconds()+float64(c.backlog) {
				t.Errorf("%.0f bytes were broadcast in %v: the source was not held", bytes, took)
			}
		})
	}
}

// steadyReader takes so many bytes a second, until it hurries.
type steadyReader struct {
	r     io.Reader
	rate  int
	began time.Time
	taken int
	hurry atomic.Bool
}

func (s *steadyReader) Read(p []byte) (int, error) {
	for !s.hurry.Load() {
		due := int(time.Since(s.began).Seconds() * float64(s.rate))
		if due > s.taken {
			p = p[:min(len(p), due-s.taken)]
			break
		}
		passes(5 * time.Millisecond)
	}
	n, err := s.r.Read(p)
	s.taken += n
	return n, err
}

// With Wait, a client that is a backlog behind and takes nothing, or only a
// trickle, is cut after one patience, and the source goes on. However many
// they are, the source is not held for longer.
func TestSlowClientIsCut(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		const clients, patience, size = 8, 2 * time.Second, 1000
		s := openAt(t, address, hubbub.Options{Backlog: 1 << 20, Patience: patience})
		for i := range clients {
			p := s.narrowClient()
			if i%2 == 0 {
				go trickles(p, 100)
			}
		}
		ctx, stop := context.WithCancel(patient(t))
		var longest time.Duration
		pouring := begins(func() (err error) {
			_, longest, err = pour(ctx, s, size)
			return err
		})
		for id := range uint64(clients) {
			reason := s.leaves(id + 1)
			if !strings.HasPrefix(reason, "too slow (") || !strings.HasSuffix(reason, "took less than 64 KiB/s over the last 2s)") {
				t.Errorf("client %d left because %q", id+1, reason)
			}
			s.logs(reason)
		}
		stop()
		if err := pouring(); err != nil {
			t.Fatal(err)
		}
		// One after the other they would hold it for a patience each. The rest of
		// the bound is for the machine, which may be busy.
		if most := clients / 2 * patience; longest > most {
			t.Errorf("a broadcast was held for %v; the patience is %v", longest, patience)
		}
	})
}

// trickles reads a little, from time to time, until there is no more.
func trickles(r io.Reader, n int) {
	p := make([]byte, n)
	for {
		if _, err := r.Read(p); err != nil {
			return
		}
		passes(20 * time.Millisecond)
	}
}

// Clients that come one after the other, want all there is and take nothing, each
// of them younger than a patience, do not hold the source for longer than it.
func TestAStreamOfNewcomersDoesNotHoldTheSource(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"raw", "silent", "websocket"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			const patience, size, backlog = 300 * time.Millisecond, 1000, 1 << 20
			o := hubbub.Options{Backlog: backlog, Patience: patience, Replay: hubbub.ReplayAll, SocketOptions: []string{"SO_SNDBUF=16384"}}
			address := map[string]string{"raw": "tcp://127.0.0.1:0"}[protocol]
			if address == "" {
				address = "127.0.0.1:0"
			}
			s := openAt(t, address, o)
			ctx, stop := context.WithCancel(patient(t))
			pouring := begins(func() error {
				_, _, err := pour(ctx, s, size)
				return err
			})
			scene.Until(t, "the backlog is full", func() bool { return s.Stats().Broadcasts*size > backlog })
			var all []net.Conn
			come := func() {
				c, err := scene.Connect(s.at, scene.Narrow(s.at))
				if err == nil && protocol == "websocket" {
					_, err = io.WriteString(c, request(http.MethodGet, "/?last=1000000", handshake...))
				}
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, c)
			}
			var held int64
			scene.Until(t, "the source is held", func() bool {
				come()
				before := held
				held = s.Stats().Broadcasts
				passes(patience / 6)
				return held == before
			})
			const segments = 3 // each of which one patience frees
			scene.Until(t, "the source goes on", func() bool {
				come()
				passes(patience / 6)
				return (s.Stats().Broadcasts-held)*size > segments*backlog/16
			})
			stop()
			if err := pouring(); err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				_ = c.Close()
			}
		})
	}
}

// A stalled client that reads again in time is not cut: the time before does
// not count.
func TestSlowClientThatRecoversInTimeStays(t *testing.T) {
	t.Parallel()
	const size = 1000
	s := open(t, hubbub.Options{Backlog: 1 << 20, Patience: scene.LongEnough})
	p := s.narrowClient()
	ctx, stop := context.WithCancel(patient(t))
	var sent int
	pouring := begins(func() (err error) {
		sent, _, err = pour(ctx, s, size)
		return err
	})
	held := s.isHeld(900<<10/size + 1)
	if err := follow(p.R, size, int(held), nil); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := pouring(); err != nil {
		t.Fatal(err)
	}
	if int64(sent) <= held {
		t.Errorf("the source did not go on after %d messages", held)
	}
	if s.Stats().Clients != 1 {
		t.Error("the client was cut")
	}
}

// With Cut, a client that is lapped is closed, with a word in the log, and
// the source is never held.
func TestCutClosesWhoIsLapped(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		const n, size = 3000, 1000
		s := openAt(t, address, hubbub.Options{Slow: hubbub.SlowCut, Backlog: 512 << 10})
		p := s.narrowClient()
		for i := range n {
			s.says(string(numbered(i, size)))
		}
		if reason := s.leaves(1); !strings.HasPrefix(reason, "lapped (") {
			t.Errorf("it left because %q, want lapped", reason)
		}
		s.logs("closed: lapped (")
		// What it gets is in order, then it ends, perhaps inside a message.
		err := follow(p.R, size, n, nil)
		if err == nil || strings.Contains(err.Error(), "this is none") {
			t.Errorf("it got %v, want messages in order and an end", err)
		}
	})
}

// With Skip, a client that stops in the middle of a message, and reads on
// when it is lapped, gets whole messages only, in order; its holes are counted
// and said.
func TestSkipTearsNoMessage(t *testing.T) {
	t.Parallel()
	for _, size := range []int{50, 3000, 30_000} { // less than a segment and more
		t.Run(fmt.Sprintf("messages of %d bytes", size), func(t *testing.T) {
			everyNetwork(t, func(t *testing.T, address string) {
				s := openAt(t, address, hubbub.Options{
					Slow: hubbub.SlowSkip, Backlog: 128 << 10, MaxMessage: 30_000, SocketOptions: []string{"SO_SNDBUF=16384"},
				})
				const clients, rounds = 3, 4
				each := 400_000 / size // more than the backlog and the kernel hold
				var peers []*peer
				heard := make([]bytes.Buffer, clients)
				for range clients {
					peers = append(peers, s.narrowClient())
				}
				ctx := patient(t)
				for round := range rounds {
					for i := range each {
						if err := s.Broadcast(ctx, numbered(round*each+i, size)); err != nil {
							t.Fatal(err)
						}
					}
					for i, p := range peers {
						if _, err := io.CopyN(&heard[i], p, int64(1001*(i+round+1))); err != nil {
							t.Fatal(err)
						}
					}
				}
				rest := begins(func() error {
					return together(clients, func(i int) error {
						_, err := io.Copy(&heard[i], peers[i])
						return errors.Join(err, peers[i].Close())
					})
				})
				var left *hubbub.UndeliveredError
				if err := s.Drain(ctx, scene.LongEnough); err != nil && (!errors.As(err, &left) || left.Clients > 0) {
					t.Error(err)
				}
				if err := rest(); err != nil {
					t.Fatal(err)
				}
				missed := int64(0)
				for i := range heard {
					missed += int64(rounds*each - wholeMessages(t, heard[i].Bytes(), size))
				}
				if skipped := s.Stats().Skipped; missed != skipped || missed == 0 || saidSkipped(t, s) != skipped {
					t.Errorf("%d messages were missed, %d counted as skipped, %d said to be", missed, skipped, saidSkipped(t, s))
				}
			})
		})
	}
}

// wholeMessages returns how many messages there are in p, which must hold nothing
// else, in order.
func wholeMessages(t *testing.T, p []byte, size int) int {
	t.Helper()
	n := 0
	err := follow(bufio.NewReader(bytes.NewReader(p)), size, 1<<30, func(int) { n++ })
	if !errors.Is(err, io.EOF) || n*(size+1) != len(p) {
		t.Error(err)
	}
	return n
}

// saidSkipped returns the sum of what the log says was skipped.
func saidSkipped(t *testing.T, s *stage) int64 {
	t.Helper()
	if n := s.Stats().LogsDropped; n > 0 {
		t.Fatalf("%d log lines were dropped: make the scene smaller", n)
	}
	sum := int64(0)
	for _, line := range s.log.All() {
		var id, n int64
		if _, err := fmt.Sscanf(line, "client %d skipped %d message", &id, &n); err == nil {
			sum += n
		}
	}
	return sum
}

// A client that takes nothing until it reaches the end of the backlog is cut
// there at once: the source does not wait for a patience first.
func TestSlowClientIsFoundInTime(t *testing.T) {
	t.Parallel()
	const patience, size = 6 * time.Second, 16 << 10
	s := open(t, hubbub.Options{Backlog: 1 << 20, Patience: patience, SocketOptions: []string{"SO_SNDBUF=16384"}})
	p := s.narrowClient()
	p.Says("I listen\n")
	s.hears("1 I listen")
	ctx := patient(t)
	for i := 0; s.Stats().Clients > 0; i++ {
		began := time.Now()
		if err := s.Broadcast(ctx, numbered(i, size)); err != nil {
			t.Fatal(err)
		}
		if held := time.Since(began); held > 3*patience/4 {
			t.Fatalf("the source was held for %v", held)
		}
		passes(patience / 40) // a backlog in one and a half
	}
	s.logs("client 1 (" + p.LocalAddr().String() + ") closed: too slow")
}

// So it is when messages are so short that their index fills the backlog.
func TestSlowClientIsCutWithTheShortestMessages(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{Framing: 1, Backlog: 256 << 10, Patience: 300 * time.Millisecond, SocketOptions: []string{"SO_SNDBUF=16384"}})
	s.narrowClient()
	ctx := patient(t)
	for s.Stats().Clients > 0 {
		if err := s.Broadcast(ctx, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	s.logs("closed: too slow")
}

// An earlier stall does not count: when the source bursts long afterwards, the
// client has a whole patience.
func TestAnOldStallIsForgotten(t *testing.T) {
	t.Parallel()
	const patience, size, backlog = 2 * time.Second, 10_000, 1 << 20
	s := open(t, hubbub.Options{Backlog: backlog, Patience: patience, MinRate: 1000, SocketOptions: []string{"SO_SNDBUF=16384"}})
	p := s.narrowClient()
	n := 0
	say := func(length int) {
		for range length / size {
			s.says(string(numbered(n, size)))
			n++
		}
	}
	say(backlog / 2)
	for range 20 { // too slow, while a little goes on
		say(size)
		passes(patience / 10)
	}
	passes(patience)
	if err := followAll(p.R, size, n); err != nil { // back
		t.Fatal(err)
	}
	end := n + 3*backlog/size
	following := begins(func() error {
		passes(patience / 4) // it need not be there at once
		return follow(p.R, size, end, nil)
	})
	say(3 * backlog)
	if err := following(); err != nil {
		t.Error(err)
	}
}

// A source is held only as long as somebody it waits for is there.
func TestTheSourceGoesOnWhenTheSlowestLeaves(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		const size = 1000
		s := openAt(t, address, hubbub.Options{Backlog: 256 << 10, Patience: scene.LongEnough})
		p := s.narrowClient()
		ctx, stop := context.WithCancel(patient(t))
		pouring := begins(func() error {
			_, _, err := pour(ctx, s, size)
			return err
		})
		held := s.isHeld(200<<10/size + 1)
		p.Reset()
		scene.Until(t, "the source goes on", func() bool { return s.Stats().Broadcasts > held+1000 })
		stop()
		if err := pouring(); err != nil {
			t.Error(err)
		}
	})
}
