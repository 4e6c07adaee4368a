//go:build unix

package hubbub

import (
	"math"
	"testing"
	"time"

	"hubbub.example/internal/sock"
)

// Only who leaves questions unanswered is silent, since the first one that he
// leaves; an answer ends it, though a new question may already be out.
func TestWhoIsSilent(t *testing.T) {
	var s silence
	now := time.Unix(1000, 0)
	for i, c := range []struct {
		later   time.Duration
		asked   bool
		lastAck time.Duration
		want    time.Duration
	}{
		{0, false, time.Hour, 0}, // idle: nobody asked
		{5 * time.Second, true, 2 * time.Second, 0},
		{5 * time.Second, true, 7 * time.Second, 5 * time.Second},
		{5 * time.Second, true, 12 * time.Second, 10 * time.Second},
		{5 * time.Second, true, 1 * time.Second, 0}, // it answered
		{5 * time.Second, true, 6 * time.Second, 5 * time.Second},
		{5 * time.Second, false, 0, 0},
		{5 * time.Second, true, 12 * time.Second, 0}, // it had nothing to answer
		{time.Hour, true, time.Hour + 12*time.Second, time.Hour},
	} {
		now = now.Add(c.later)
		if got := s.look(now, sock.Silent{Asked: c.asked, LastAck: c.lastAck}); got != c.want {
			t.Errorf("look %d: silent for %v, want %v", i, got, c.want)
		}
	}
}

// A dead peer is found within twice the keepalive, whenever in a patrol it
// died, and never before it left a question unanswered for one.
func TestDeadPeerIsFoundWithinTwiceTheKeepAlive(t *testing.T) {
	const keep = 30 * time.Second
	every := patrolEvery(Options{KeepAlive: keep})
	const askedAfter = time.Second // the first retransmission
	for phase := time.Duration(0); phase < every; phase += 100 * time.Millisecond {
		var s silence
		died := time.Unix(1000, 0)
		at := phase
		for ; at < 3*keep; at += every {
			if s.look(died.Add(at), sock.Silent{Asked: at >= askedAfter, LastAck: at}) >= keep {
				break
			}
		}
		if at < keep || at > 2*keep {
			t.Errorf("looked at %v after it died, then every %v: dead after %v", phase, every, at)
		}
	}
}

// A peer that pauses acknowledges probes now and then; as long as it does it
// lives, though whenever somebody looks a question is out.
func TestPausingPeerLives(t *testing.T) {
	const keep = 30 * time.Second
	every := patrolEvery(Options{KeepAlive: keep})
	for _, answers := range []time.Duration{time.Second, keep / 4, keep / 2, keep} {
		var s silence
		began := time.Unix(1000, 0)
		for at := time.Duration(0); at < 100*keep; at += every {
			quiet := s.look(began.Add(at), sock.Silent{Asked: true, LastAck: at % answers})
			if quiet >= keep {
				t.Fatalf("it answers every %v, and is dead after %v", answers, at)
			}
		}
	}
}

// Patrols are a few in each of what they watch over.
func TestPatrolEvery(t *testing.T) {
	for _, c := range []struct {
		keepAlive, idle, want time.Duration
	}{
		{30 * time.Second, 0, 30 * time.Second / walksAKeepAlive},
		{30 * time.Second, 4 * time.Second, time.Second},
		{4 * time.Second, time.Hour, time.Second},
		{-1, 0, time.Hour},
		{-1, 8 * time.Second, 2 * time.Second},
		{1, 0, time.Millisecond},
		{-1, 1, time.Millisecond},
	} {
		if got := patrolEvery(Options{KeepAlive: c.keepAlive, IdleTimeout: c.idle}); got != c.want {
			t.Errorf("keepalive %v, idle %v: every %v, want %v", c.keepAlive, c.idle, got, c.want)
		}
	}
}

// The loop's clock of milliseconds wraps around after 49 days, and nobody is
// idle the longer for it.
func TestIdleAcrossTheWrap(t *testing.T) {
	for _, c := range []struct {
		now, active uint32
		want        time.Duration
	}{
		{1000, 1000, 0},
		{1000, 400, 600 * time.Millisecond},
		{0, math.MaxUint32, time.Millisecond},
		{5000, math.MaxUint32 - 4999, 10 * time.Second},
	} {
		l := &loop{millis: c.now}
		if got := l.idle(&client{sentAt: c.active, heardAt: c.active - 1000}); got != c.want {
			t.Errorf("at %d, active at %d: idle for %v, want %v", c.now, c.active, got, c.want)
		}
	}
}
