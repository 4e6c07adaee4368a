//go:build unix

package delivery

import (
	"slices"
	"testing"
	"time"
)

// A client of 1,000 bytes a second at least, looked at every 100 ms.
const (
	lunchPatience = samplesAPatience * 100 * time.Millisecond
	lunchRate     = 1000
	lunchShare    = 100 // what it must take from look to look, on average
)

// Who holds the source and takes less than MinRate over a Patience is at
// lunch, after one Patience, and nobody else is, ever.
func TestWhoIsAtLunch(t *testing.T) {
	const never = 0
	steady := func(n int, bytes int64) []int64 { return slices.Repeat([]int64{bytes}, n) }
	burst := append([]int64{samplesAPatience * lunchShare}, steady(samplesAPatience-1, 0)...)
	for _, c := range []struct {
		who    string
		takes  []int64 // from look to look
		atLook int     // the first one at which it is at lunch; the 0th is where it begins to hold
	}{
		{"takes nothing", steady(20, 0), samplesAPatience},
		{"takes just enough", steady(1000, lunchShare), never},
		{"takes a byte a look less", steady(20, lunchShare-1), samplesAPatience},
		{"takes a byte less in all", append(steady(samplesAPatience-1, lunchShare), lunchShare-1), samplesAPatience},
		{"takes more", steady(1000, 1<<40), never},
		{"takes it all at once, again and again", slices.Repeat(burst, 100), never},
		{"took it all at once, and no more", append(burst, 0), samplesAPatience + 1},
		{"comes late, but comes", append(steady(samplesAPatience-1, 0), samplesAPatience*lunchShare), never},
		{"goes to lunch after long", append(steady(1000, lunchShare), 0), 1001},
	} {
		if got := lunchAt(c.takes); got != c.atLook {
			t.Errorf("who %s is at lunch at look %d, want %d", c.who, got, c.atLook)
		}
	}
}

// lunchAt is the first look at which a client that takes so much is at lunch;
// 0 is never.
func lunchAt(takes []int64) int {
	var p samples
	now, taken := time.Unix(1000, 0), int64(5)
	every := lunchPatience / samplesAPatience
	p.add(now, taken, every)
	for i, bytes := range takes {
		now, taken = now.Add(every), taken+bytes
		p.add(now, taken, every)
		if p.tooFew(lunchPatience, lunchRate) {
			return i + 1
		}
	}
	return 0
}

// A client that was not looked at for a while did not hold the source: what
// it took before does not count. A look that is merely late does.
func TestHoldingBeginsAnewAfterAPause(t *testing.T) {
	const every = lunchPatience / samplesAPatience
	for _, c := range []struct {
		pause time.Duration
		want  bool
	}{{every, true}, {3 * every, true}, {3*every + 1, false}, {time.Hour, false}} {
		var p samples
		now := time.Unix(1000, 0)
		for range samplesAPatience {
			p.add(now, 0, every)
			now = now.Add(every)
		}
		p.add(now.Add(c.pause-every), 0, every)
		if got := p.tooFew(lunchPatience, lunchRate); got != c.want {
			t.Errorf("after a pause of %v: at lunch is %v, want %v", c.pause, got, c.want)
		}
	}
}

// The bound is MinRate times Patience, whatever these are.
func TestLunchScales(t *testing.T) {
	for _, patience := range []time.Duration{time.Millisecond, time.Second, time.Hour} {
		for _, rate := range []int64{1, 64 << 10, 1 << 40} {
			enough := int64(patience.Seconds() * float64(rate))
			for _, taken := range []int64{enough - 2, enough + 1} {
				p := samples{count: samplesAPatience + 1}
				p.taken[samplesAPatience] = taken
				if got, want := p.tooFew(patience, rate), taken < enough; got != want {
					t.Errorf("%d bytes in %v at %d a second: at lunch is %v, want %v", taken, patience, rate, got, want)
				}
			}
		}
	}
}
