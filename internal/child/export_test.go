//go:build unix

package child

import "time"

// Hurried is o with shorter waits.
func (o Options) Hurried() Options {
	o.timing = timing{
		firstWait:  10 * time.Millisecond,
		maxWait:    50 * time.Millisecond,
		stdinGrace: time.Second,
	}
	return o
}
