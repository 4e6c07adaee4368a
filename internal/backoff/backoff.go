// Package backoff says how long to wait between attempts. The waits grow, and
// are random, so that those that failed for the same reason do not retry in
// step.
package backoff

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Waits are the waits of one that tries again.
type Waits struct {
	*backoff.ExponentialBackOff
	lasting time.Duration
}

// New makes waits of at most first, then twice that, and so on up to longest.
// An attempt that lasted for lasting counts as a success.
func New(first, longest, lasting time.Duration) Waits {
	return Waits{&backoff.ExponentialBackOff{
		InitialInterval:     first * 3 / 4, // give or take a third
		RandomizationFactor: 1. / 3,
		Multiplier:          2,
		MaxInterval:         longest * 3 / 4,
	}, lasting}
}

// Next is how long to wait after an attempt that lasted so long; 0 if it failed
// at once. After a success the waits begin anew.
func (w Waits) Next(lasted time.Duration) time.Duration {
	if lasted >= w.lasting {
		w.Reset()
	}
	return w.NextBackOff()
}
