//go:build unix

package engine

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"hubbub.example/internal/engine/delivery"
)

// possible reports whether a client can be in phase p between two turns when
// its input has ended and its output is broken, or not.
func possible(p phase, inputEnded, outputBroken bool) bool {
	if p == closed {
		return true
	}
	return outputBroken == (p == halfBroken) && (!inputEnded || p.sends())
}

// Every combination of phase, end of input and broken output is either what a
// client can be in, and then it is known what is read and sent, or impossible.
func TestPhases(t *testing.T) {
	for _, c := range []struct {
		phase      phase
		inputEnded bool
		broken     bool // output
		possible   bool
		receives   bool
		sends      bool
	}{
		{open, false, false, true, true, true},
		{open, true, false, true, true, true}, // a watcher
		{open, false, true, false, true, true},
		{open, true, true, false, true, true},
		{flushing, false, false, true, true, true},
		{flushing, true, false, true, true, true},
		{flushing, false, true, false, true, true},
		{flushing, true, true, false, true, true},
		{halfBroken, false, true, true, true, false},
		{halfBroken, true, true, false, true, false},
		{halfBroken, false, false, false, true, false},
		{halfBroken, true, false, false, true, false},
		{lingering, false, false, true, false, false},
		{lingering, true, false, false, false, false},
		{lingering, false, true, false, false, false},
		{lingering, true, true, false, false, false},
		{closed, false, false, true, false, false},
		{closed, true, false, true, false, false},
		{closed, false, true, true, false, false},
		{closed, true, true, true, false, false},
	} {
		name := fmt.Sprintf("%s, input ended %v, output broken %v", c.phase, c.inputEnded, c.broken)
		if got := possible(c.phase, c.inputEnded, c.broken); got != c.possible {
			t.Errorf("%s: possible is %v", name, got)
		}
		if c.phase.receives() != c.receives || c.phase.sends() != c.sends {
			t.Errorf("%s: receives %v, sends %v", name, c.phase.receives(), c.phase.sends())
		}
	}
}

// Whatever clients do, between two turns none is in a phase that is impossible,
// and one that has a reason to end is on its way out.
func TestNoClientIsInAnImpossiblePhase(t *testing.T) {
	h, at := hall(t, Config{Loops: 1, Slow: delivery.Cut, Backlog: 64 << 10, IdleTimeout: 50 * time.Millisecond})
	go func() {
		for range h.events(t.Context()) { // they only have to be taken
		}
	}()
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 25 {
				live(t, at, random)
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond): // what goes on is looked at now and then
		}
		_ = h.Broadcast(t.Context(), make([]byte, 10+i%3000))
		h.on(func(l *shard) {
			for _, c := range l.clients {
				if !possible(c.phase, c.link.EOF(), c.phase == halfBroken) || (c.phase == open) != (c.end == nil) {
					t.Errorf("a client is %s, input ended %v, why %v", c.phase, c.link.EOF(), c.end)
				}
			}
		})
	}
}

// live is a client's short life, which ends in one way or another.
func live(t *testing.T, at string, random *rand.Rand) {
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Error(err)
		return
	}
	c := conn.(*net.TCPConn)
	defer c.Close()
	_, _ = c.Write(make([]byte, random.IntN(3000)))
	switch random.IntN(5) {
	case 0:
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	case 1:
		_ = c.SetLinger(0)
	case 2:
		<-time.After(time.Duration(random.IntN(60)) * time.Millisecond) // it may be idle for too long
	case 3:
		_ = c.CloseWrite()
	}
}
