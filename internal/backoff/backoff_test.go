package backoff

import (
	"testing"
	"time"
)

// Waits grow up to the longest and no more, are never twice the same, and
// begin anew after an attempt that lasted: who accepts and closes is not
// hammered.
func TestWaitsGrow(t *testing.T) {
	w := New(500*time.Millisecond, 30*time.Second, 10*time.Second)
	seen := map[time.Duration]bool{}
	for _, step := range []struct{ lasted, longest time.Duration }{
		{0, 500 * time.Millisecond},
		{time.Second, time.Second},
		{9999 * time.Millisecond, 2 * time.Second},
		{0, 4 * time.Second},
		{0, 8 * time.Second},
		{0, 16 * time.Second},
		{0, 30 * time.Second},
		{0, 30 * time.Second},
		{10 * time.Second, 500 * time.Millisecond},
		{0, time.Second},
	} {
		wait := w.Next(step.lasted)
		if wait < step.longest/2-1 || wait > step.longest || seen[wait] {
			t.Errorf("after %s: %s, at most %s", step.lasted, wait, step.longest)
		}
		seen[wait] = true
	}
	w.Reset()
	if wait := w.Next(0); wait > 500*time.Millisecond {
		t.Errorf("anew: %s", wait)
	}
}
