package logger

import (
	"fmt"
	"time"
)

// throttlePeriod is how often a throttled line is logged at most.
const throttlePeriod = time.Minute

// Throttle lets one line per minute through and counts the others.
type Throttle struct {
	last       time.Time
	suppressed int // since last
}

// Allow reports whether a line may be logged now.
func (t *Throttle) Allow(now time.Time) bool {
	if !t.last.IsZero() && now.Sub(t.last) < throttlePeriod {
		t.suppressed++
		return false
	}
	t.last = now
	return true
}

// Suppressed describes how many lines were suppressed since the last one logged;
// "" for none. It resets the count.
func (t *Throttle) Suppressed() string {
	n := t.suppressed
	if t.suppressed = 0; n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more since the last such line)", n)
}
