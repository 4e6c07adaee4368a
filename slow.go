//go:build unix

package hubbub

import (
	"time"
)

// looks is how often in one Patience a client that lags far is looked at, and
// farBehind the part of the backlog from which on it does: one that will hold
// the source is known by then, if the source is not faster than the rest of
// the backlog in one Patience.
const (
	looks     = 8
	farBehind = 4
)

// progress is what a client that lags far took over the last Patience: one
// sample a look, the oldest overwritten.
type progress struct {
	taken [looks + 1]int64 // bytes acknowledged in all
	count int              // samples since it began to lag far
	last  time.Time
}

// look enters a sample and returns how much was taken since the last. One that comes long after the last begins anew: the
// client did not lag far meanwhile, or there was no need to look.
func (p *progress) look(now time.Time, taken int64, every time.Duration) (more int64) {
	if now.Sub(p.last) > 3*every {
		p.count = 0
	}
	if p.count > 0 {
		more = taken - p.taken[(p.count-1)%len(p.taken)]
	}
	p.taken[p.count%len(p.taken)] = taken
	p.count++
	p.last = now
	return more
}

// still says that the samples are no old story: the last is recent, and what
// was taken by now changes nothing.
func (p *progress) still(now time.Time, taken int64, patience time.Duration, minRate int64) bool {
	oldest := p.taken[p.count%len(p.taken)]
	return now.Sub(p.last) <= 3*patience/looks && float64(taken-oldest) < float64(minRate)*patience.Seconds()
}

// atLunch says that over the last Patience fewer than MinRate bytes a second
// were taken.
func (p *progress) atLunch(patience time.Duration, minRate int64) bool {
	if p.count <= looks {
		return false
	}
	newest := p.taken[(p.count-1)%len(p.taken)]
	oldest := p.taken[p.count%len(p.taken)]
	return float64(newest-oldest) < float64(minRate)*patience.Seconds()
}
