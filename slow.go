//go:build unix

package hubbub

import (
	"fmt"
	"time"
)

// Slow says what happens with a client that takes less than is broadcast.
//
// As long as it is less than the backlog behind, nothing: it costs one
// number. When the feed wants to forget what the client has not had:
//
//   - Wait holds the source, until the client has taken it. But a client that
//     would hold the source and took fewer than MinRate bytes a second over the
//     last Patience is at lunch, and is cut. So whatever clients do, the
//     source is never held below that rate for longer than one Patience; and
//     not at all by a client that was watched for so long on its way there,
//     nor by one that comes meanwhile: that begins behind what is to go.
//   - Cut closes the client. Nobody is ever waited for.
//   - Skip moves the client on to the oldest message that is kept whole, and
//     logs how many it missed. It sees whole messages only: when it stands
//     inside one, it gets the rest of it first.
//
// Taken is what the client acknowledged, never what was sent: a healthy
// reader of 1 MB a second leaves gaps of almost two seconds between sends,
// for the socket buffer is large, but hardly any between acknowledgements.
//
// With nobody connected nobody is waited for: the oldest messages go, and are
// counted and logged if nobody has heard them.
type Slow uint8

const (
	Wait Slow = iota // pace the source to the slowest client, but not below MinRate
	Cut              // close a client that is lapped
	Skip             // let a client that is lapped miss what is gone
)

// ParseSlow reads what the flag --slow takes: wait, cut or skip.
func ParseSlow(s string) (Slow, error) {
	for _, p := range []Slow{Wait, Cut, Skip} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("slow %q: must be wait, cut or skip", s)
}

func (s Slow) String() string {
	switch s {
	case Wait:
		return "wait"
	case Cut:
		return "cut"
	case Skip:
		return "skip"
	}
	return fmt.Sprintf("Slow(%d)", uint8(s))
}

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
