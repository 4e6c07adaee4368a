//go:build unix

package loop

import (
	"time"

	"hubbub.example/internal/poll"
)

// Timer calls a function of its loop when it is due. It belongs to the loop's
// goroutine.
type Timer struct {
	loop *Loop
	at   time.Time // zero: never
	f    func()
}

// NewTimer makes a timer that is not set. Those that are due in the same turn
// come in the order in which they were made.
func (l *Loop) NewTimer(f func()) *Timer {
	t := &Timer{loop: l, f: f}
	l.timers = append(l.timers, t)
	return t
}

// In sets t to d from the beginning of this turn, unless t is earlier.
func (t *Timer) In(d time.Duration) {
	if at := t.loop.now.Add(d); t.at.IsZero() || at.Before(t.at) {
		t.at = at
	}
}

// Stop sets t to never.
func (t *Timer) Stop() { t.at = time.Time{} }

// IsSet reports whether t is set.
func (t *Timer) IsSet() bool { return !t.at.IsZero() }

// RunTimers calls the functions of timers that are due. Each may set its timer again.
func (l *Loop) RunTimers() {
	for _, t := range l.timers {
		if t.IsSet() && !l.now.Before(t.at) {
			t.Stop()
			t.f()
		}
	}
}

// untilTimer returns how long the loop may sleep.
func (l *Loop) untilTimer() time.Duration {
	var next time.Time
	for _, t := range l.timers {
		if t.IsSet() && (next.IsZero() || t.at.Before(next)) {
			next = t.at
		}
	}
	if next.IsZero() {
		return poll.Forever
	}
	return max(0, time.Until(next)+l.away)
}
