//go:build unix

package child

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"
)

// Restart says when a command that has ended is started again.
type Restart int

const (
	OnFailure Restart = iota // it exited with another code than 0, or was killed
	Always
	Never
)

// ParseRestart reads what the flag --restart takes.
func ParseRestart(s string) (Restart, error) {
	for _, r := range []Restart{Always, OnFailure, Never} {
		if s == r.String() {
			return r, nil
		}
	}
	return 0, fmt.Errorf("restart %q: must be always, on-failure or never", s)
}

func (r Restart) String() string {
	switch r {
	case Always:
		return "always"
	case Never:
		return "never"
	}
	return "on-failure"
}

// after says whether a command that ended with this code is started again.
func (r Restart) after(code int) bool {
	return r == Always || r == OnFailure && code != 0
}

// pace is what only tests change.
type pace struct {
	first   time.Duration // the longest that the first wait may be
	longest time.Duration // that any may be
	calm    time.Duration // who has lived so long starts from the first again
	deaf    time.Duration // how long a process may take to die after it closed its STDIN
}

func (p pace) withDefaults() pace {
	return pace{
		first:   cmp.Or(p.first, 500*time.Millisecond),
		longest: cmp.Or(p.longest, 30*time.Second),
		calm:    cmp.Or(p.calm, 10*time.Second),
		deaf:    cmp.Or(p.deaf, 3*time.Second),
	}
}

// waits are the times between a death and the next start: growing, and never
// quite the same, so that hubs that fail for one reason do not come back in step.
type waits struct {
	pace
	last time.Duration // before it was made random
}

// next is how long to wait after a process that lived so long; 0: it was not
// started at all.
func (w *waits) next(lived time.Duration) time.Duration {
	if w.last == 0 || lived >= w.calm {
		w.last = w.first
	} else {
		w.last = min(2*w.last, w.longest)
	}
	half := w.last / 2
	return half + rand.N(half) + 1
}
