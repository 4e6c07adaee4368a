//go:build unix

package delivery

// This file judges clients that lag:
//
//	Far     a client lags so far that it must be watched
//	Sample  what a watched client has taken by now
//	Judge   what is done with a client that stands in what is about to be trimmed
//
// What a client takes is what it acknowledges, never what was sent: a healthy
// reader of 1 MB a second leaves gaps of almost two seconds between sends, for
// the socket buffer is large, but hardly any between acknowledgements. Nor can
// this be judged where bytes are sent: a stalled socket never becomes writable.

import (
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
)

// Slow says what is done with a client that is a whole backlog behind.
type Slow uint8

// What may be done with a slow client.
const (
	Wait Slow = iota // hold the publisher, unless the client takes less than MinRate
	Cut              // close it
	Skip             // let it miss what is gone
)

const (
	// samplesAPatience is how often in one Patience a client is sampled that lags
	// far, and farPart the part of its feed's share from which on it does: one
	// that will hold a publisher is known by then, if that is not faster than the
	// rest of the share in one Patience.
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

// Verdict is what is done with a client.
type Verdict uint8

// What may be done with a client.
const (
	Stay    Verdict = iota // nothing: it stands where it may
	Hold                   // it holds the publisher
	End                    // it ends
	Advance                // it is moved on: Cursor.Skip
)

// Every returns the time between two samples.
func (p *Policy) Every() time.Duration { return p.Patience / samplesAPatience }

// Far is from how many bytes on a client lags far.
func (p *Policy) Far(v *backlog.View) int64 { return v.Share() / farPart }

// Watched reports whether a client must be sampled: it lags far, or stands in what is
// about to be trimmed. Short messages fill the backlog with their index: then
// less is far.
func (p *Policy) Watched(c *Cursor, v *backlog.View) bool {
	return c.Lag(v) > p.Far(v) || c.Below(v)
}

// Sample enters how many bytes a client has acknowledged in all, and returns how
// many more that are than at the last sample.
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

// Doubts reports whether by its samples a client takes too little. Only then does Judge
// need to know what it has acknowledged by now.
func (p *Policy) Doubts(c *Cursor) bool {
	return p.Slow == Wait && c.more != nil && c.more.samples != nil && c.more.samples.tooFew(p.Patience, p.MinRate)
}

// Judge returns what is done with a client, where blocked says that a publisher
// waits, and acked is how many bytes the client has acknowledged by now. It
// changes nothing.
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

// samples are what a client that lags far had taken, over the last Patience: one
// at a time, the oldest overwritten.
type samples struct {
	taken [samplesAPatience + 1]int64 // bytes acknowledged in all
	count int                         // since it began to lag far
	last  time.Time
}

// add enters a sample and returns how much was taken since the last. One that
// comes long after the last begins anew: the client did not lag far meanwhile, or
// there was no need to look.
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

// still reports whether the samples are not out of date: the last is recent, and what
// was taken by now changes nothing.
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
