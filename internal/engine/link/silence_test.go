//go:build unix

package link

import (
	"math"
	"testing"
	"time"

	"hubbub.example/internal/sock"
)

// Only a peer that leaves questions unanswered is silent, since the first one; an answer ends it, though a new question may already be out.
func TestOnlyUnansweredQuestionsAreSilence(t *testing.T) {
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

// A dead peer is found within twice the keepalive, whenever in a check it
// died, and never before it left a question unanswered for one.
func TestDeadPeerIsFoundWithinTwiceTheKeepAlive(t *testing.T) {
	const keep = 30 * time.Second
	const every = keep / 4
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
	const every = keep / 4
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

// The clock of milliseconds wraps around after 49 days, and nobody is idle the
// longer for it.
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
		k := Link{sentAt: c.active, recvAt: c.active - 1000}
		if got := k.Idle(c.now); got != c.want {
			t.Errorf("at %d, active at %d: idle for %v, want %v", c.now, c.active, got, c.want)
		}
	}
}
