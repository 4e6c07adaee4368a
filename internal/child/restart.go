//go:build unix

package child

import (
	"cmp"
	"time"
)

// Restart says when a command that has exited is restarted. "" means OnFailure.
type Restart string

const (
	OnFailure Restart = "on-failure" // after an exit code other than 0, or a signal
	Always    Restart = "always"
	Never     Restart = "never"
)

// after reports whether a command that exited with code is restarted.
func (r Restart) after(code int) bool {
	return r == Always || r != Never && code != 0
}

// timing is what only tests change.
type timing struct {
	firstWait  time.Duration // the longest that the first wait can be
	maxWait    time.Duration // the longest that any can be
	minUptime  time.Duration // after which the waits start from the first again
	stdinGrace time.Duration // how long a process may take to exit after it closed its STDIN
	killed     time.Duration // enough for killed processes to exit, and for Output to read on
}

func (t timing) withDefaults() timing {
	return timing{
		firstWait:  cmp.Or(t.firstWait, 500*time.Millisecond),
		maxWait:    cmp.Or(t.maxWait, 30*time.Second),
		minUptime:  cmp.Or(t.minUptime, 10*time.Second),
		stdinGrace: cmp.Or(t.stdinGrace, 3*time.Second),
		killed:     cmp.Or(t.killed, time.Second),
	}
}
