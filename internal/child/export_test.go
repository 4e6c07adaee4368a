//go:build unix

package child

import "time"

// Hurried returns o with short waits between starts, and with bounds that a busy
// machine does not exceed either.
func (o Options) Hurried() Options {
	o.timing = timing{
		firstWait:  10 * time.Millisecond,
		maxWait:    50 * time.Millisecond,
		stdinGrace: time.Minute,
		killed:     time.Minute,
	}
	return o
}

// Strict is Hurried for processes that exceed the bounds.
func (o Options) Strict() Options {
	o = o.Hurried()
	o.timing.stdinGrace, o.timing.killed = time.Second, time.Second
	return o
}

// Lasting returns o with a wait before the second start that no test outlasts.
func (o Options) Lasting() Options {
	o.timing.firstWait, o.timing.maxWait = time.Hour, time.Hour
	return o
}
