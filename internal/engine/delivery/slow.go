//go:build unix

package delivery

// This file judges clients that lag:
//
//	Far     a client lags so far that it must be watched
//	Sample  what a watched client has taken by now
//	Judge   what to do with a client that is in what is to be trimmed
//
// A client has taken what it has acknowledged, not what was sent: because socket
// buffers are large, a healthy reader of 1 MB a second leaves gaps of almost two
// seconds between sends, but hardly any between acknowledgements. A stalled socket
// never becomes writable, so this cannot be judged where bytes are sent.

import (
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
)

// Slow is what to do with a client that is a whole backlog behind.
type Slow uint8

// What may be done with a slow client.
const (
	Wait Slow = iota // the publisher waits, unless the client takes less than MinRate
	Cut              // close the client
	Skip             // the client misses what is trimmed
)

const (
	// samplesAPatience is how often per Patience a client that lags far is sampled.
	// It lags far from 1/farPart of its feed's share on: so there are enough samples
	// before a publisher must wait, unless it fills the rest in less than a Patience.
	samplesAPatience = 8
	farPart          = 4
)

// Policy is what holds for all clients of a hub.
type Policy struct {
	Slow     Slow
	Patience time.Duration
	MinRate  int64        // bytes a second, over one Patience
	Private  *quota.Quota // for private messages that wait
	Kept     *quota.Quota // for copies made for single clients
}

// Verdict is what to do with a client.
type Verdict uint8

// The verdicts.
const (
	Stay    Verdict = iota // nothing
	Hold                   // the publisher waits for it
	End                    // close it
	Advance                // move it: Policy.Skip
)

// Every returns the time between two samples.
func (p *Policy) Every() time.Duration { return p.Patience / samplesAPatience }

// Far returns how many bytes a client must lag to lag far.
func (p *Policy) Far(v *backlog.View) int64 { return v.Share() / farPart }

// Watched reports whether a client must be sampled: it lags far, or is in what is to
// be trimmed, which may be less where the index of short messages fills the backlog.
func (p *Policy) Watched(c *Cursor, v *backlog.View) bool {
	return c.Lag(v) > p.Far(v) || c.Below(v)
}

// Sample records how many bytes a client has acknowledged, and returns how many more
// these are than at the last sample.
func (p *Policy) Sample(c *Cursor, now time.Time, acked int64) (more int64) {
	m := c.need()
	if m.samples == nil {
		m.samples = &samples{}
	}
	return m.samples.add(now, acked, p.Every())
}

// Unwatch forgets the samples of a client that keeps up.
func (p *Policy) Unwatch(c *Cursor) {
	if c.more != nil && c.more.samples != nil {
		c.more.samples = nil
		c.tidy()
	}
}

// Doubts reports whether a client takes too little by its samples. Only then does Judge
// need to know what it has acknowledged.
func (p *Policy) Doubts(c *Cursor) bool {
	return p.Slow == Wait && c.more != nil && c.more.samples != nil && c.more.samples.tooFew(p.Patience, p.MinRate)
}

// Judge returns what to do with a client, and why. blocked reports whether a publisher
// waits, and acked is what the client has acknowledged. It changes nothing.
func (p *Policy) Judge(c *Cursor, v *backlog.View, blocked bool, now time.Time, acked int64) (Verdict, ending.Reason) {
	switch {
	case !c.Below(v):
		return Stay, ending.Reason{}
	case p.Slow == Skip:
		return Advance, ending.Reason{}
	case p.Slow == Cut:
		return End, ending.Lapped(c.Lag(v))
	case blocked && p.Doubts(c) && c.more.samples.still(now, acked, p.Patience, p.MinRate):
		return End, ending.TooSlow(c.Lag(v), p.MinRate, p.Patience)
	}
	return Hold, ending.Reason{}
}

// samples is a ring of what a client that lags far had acknowledged, over the last
// Patience.
type samples struct {
	taken [samplesAPatience + 1]int64 // bytes acknowledged in all
	count int                         // since it began to lag far
	last  time.Time
}

// add adds a sample and returns how much was taken since the last. A sample long after
// the last starts anew: the client did not lag far meanwhile.
func (s *samples) add(now time.Time, taken int64, every time.Duration) (more int64) {
	if now.Sub(s.last) > 3*every {
		s.count = 0
	}
	if s.count > 0 {
		more = taken - s.taken[(s.count-1)%len(s.taken)]
	}
	s.taken[s.count%len(s.taken)] = taken
	s.count++
	s.last = now
	return more
}

// still reports whether the samples are up to date: the last is recent, and what was
// taken since does not change the result.
func (s *samples) still(now time.Time, taken int64, patience time.Duration, minRate int64) bool {
	oldest := s.taken[s.count%len(s.taken)]
	return now.Sub(s.last) <= 3*patience/samplesAPatience && float64(taken-oldest) < float64(minRate)*patience.Seconds()
}

// tooFew reports whether over the last Patience fewer than MinRate bytes a second were
// taken.
func (s *samples) tooFew(patience time.Duration, minRate int64) bool {
	if s.count <= samplesAPatience {
		return false
	}
	newest := s.taken[(s.count-1)%len(s.taken)]
	oldest := s.taken[s.count%len(s.taken)]
	return float64(newest-oldest) < float64(minRate)*patience.Seconds()
}
