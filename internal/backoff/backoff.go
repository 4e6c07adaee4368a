// Package backoff computes the wait before each retry. The waits grow and are
// random, so that clients that failed together do not retry in step.
package backoff

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Waits is a series of waits.
type Waits struct {
	*backoff.ExponentialBackOff
	lasting time.Duration
}

// New returns waits of at most first, then twice that, and so on up to longest.
// An attempt that lasted for lasting counts as a success.
func New(first, longest, lasting time.Duration) Waits {
	return Waits{&backoff.ExponentialBackOff{
		InitialInterval:     first * 3 / 4, // plus or minus a third
		RandomizationFactor: 1. / 3,
		Multiplier:          2,
		MaxInterval:         longest * 3 / 4,
	}, lasting}
}

// Next returns the wait after an attempt of this duration; 0 if it failed at once.
// After a success the waits start again from the first.
func (w Waits) Next(lasted time.Duration) time.Duration {
	if lasted >= w.lasting {
		w.Reset()
	}
	return w.NextBackOff()
}
