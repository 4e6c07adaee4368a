package ending

import (
	"testing"
	"time"

	"hubbub.example/internal/proto"
)

// How long a connection without progress lasts depends on what it still has to
// take, and on whether the hub drains.
func TestLingerLimits(t *testing.T) {
	start := time.Unix(1, 0)
	for _, c := range []struct {
		name     string
		cut      bool
		unacked  int
		draining bool
		stall    time.Duration
		want     time.Duration
	}{
		{"has everything", false, 0, false, 0, lingerLimit},
		{"has yet to take something", false, 1, false, 0, pauseLimit},
		{"cut, with something on its way", true, 1, false, 0, lingerLimit},
		{"drain: has everything", false, 0, true, time.Minute, lingerLimit},
		{"drain: has yet to take something", false, 1, true, time.Minute, time.Minute},
		{"drain, with little patience", false, 1, true, time.Millisecond, lingerLimit},
		{"drain: cut", true, 1, true, time.Minute, lingerLimit},
	} {
		l := &Linger{Why: Done()}
		if c.cut {
			l.Cut(Because(proto.ReasonLapped, "lapped"))
		}
		l.Begin(start, c.unacked)
		if l.Over(start.Add(c.want-1), c.draining, c.stall) || !l.Over(start.Add(c.want), c.draining, c.stall) {
			t.Errorf("%s: it is not over after %v", c.name, c.want)
		}
	}
}

// What the peer takes is always progress; what it says is so for a while, and
// no more than so much of it is read.
func TestLingerEndsWhoNeverStopsTalking(t *testing.T) {
	start := time.Unix(1, 0)
	l := &Linger{Why: Done()}
	l.Begin(start, 1000)
	now := start
	for range 20 { // it takes a byte a second
		now = now.Add(time.Second)
		l.Acknowledged(now, l.unacked-1)
		if l.Over(now.Add(pauseLimit-1), false, 0) {
			t.Fatal("one that takes its time is over")
		}
	}
	l = &Linger{Why: Done()}
	l.Begin(start, 0)
	for now = start; !l.Over(now, false, 0); now = now.Add(lingerLimit / 2) {
		if l.Discarded(now, 1); now.Sub(start) > talkLimit+2*lingerLimit {
			t.Fatal("one that never stops talking stays")
		}
	}
	if now.Sub(start) < talkLimit {
		t.Errorf("one that talks is over after %v", now.Sub(start))
	}
	if l.Discarded(start, talkBytes-1-l.discarded); l.Deaf() {
		t.Error("it is not read any more too early")
	}
	if l.Discarded(start, 1); !l.Deaf() {
		t.Error("more of it is read than is to be")
	}
	l = &Linger{}
	l.Begin(start, 5)
	l.Acknowledged(start.Add(time.Second), 6) // the kernel may count more later
	l.Sent(start.Add(2 * time.Second))
	if l.Over(start.Add(2*time.Second+pauseLimit-1), false, 0) || !l.Over(start.Add(2*time.Second+pauseLimit), false, 0) {
		t.Error("to be sent the last is no progress, or more on the way is")
	}
}

// A client that was cut is gone in bounded time, however slowly it takes what is on
// its way to it.
func TestLingerEndsWhoWasCut(t *testing.T) {
	start := time.Unix(1, 0)
	l := &Linger{}
	l.Cut(Because(proto.ReasonSlow, "too slow"))
	l.Begin(start, 1000)
	now := start
	for ; !l.Over(now, false, 0); now = now.Add(lingerLimit / 2) {
		l.Acknowledged(now, l.unacked-1)
		if now.Sub(start) > cutLimit {
			t.Fatal("it stays for as long as it takes something")
		}
	}
	if now.Sub(start) != cutLimit {
		t.Errorf("it is over after %v, want %v", now.Sub(start), cutLimit)
	}
}
