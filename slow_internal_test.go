//go:build unix

package hubbub

import (
	"slices"
	"testing"
	"time"
)

// A client of 1,000 bytes a second at least, looked at every 100 ms.
const (
	lunchPatience = looks * 100 * time.Millisecond
	lunchRate     = 1000
	lunchShare    = 100 // what it must take from look to look, on average
)

// Who holds the source and takes less than MinRate over a Patience is at
// lunch, after one Patience, and nobody else is, ever.
func TestWhoIsAtLunch(t *testing.T) {
	const never = 0
	steady := func(n int, bytes int64) []int64 { return slices.Repeat([]int64{bytes}, n) }
	burst := append([]int64{looks * lunchShare}, steady(looks-1, 0)...)
	for _, c := range []struct {
		who    string
		takes  []int64 // from look to look
		atLook int     // the first one at which it is at lunch; the 0th is where it begins to hold
	}{
		{"takes nothing", steady(20, 0), looks},
		{"takes just enough", steady(1000, lunchShare), never},
		{"takes a byte a look less", steady(20, lunchShare-1), looks},
		{"takes a byte less in all", append(steady(looks-1, lunchShare), lunchShare-1), looks},
		{"takes more", steady(1000, 1<<40), never},
		{"takes it all at once, again and again", slices.Repeat(burst, 100), never},
		{"took it all at once, and no more", append(burst, 0), looks + 1},
		{"comes late, but comes", append(steady(looks-1, 0), looks*lunchShare), never},
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
	var p progress
	now, taken := time.Unix(1000, 0), int64(5)
	every := lunchPatience / looks
	p.look(now, taken, every)
	for i, bytes := range takes {
		now, taken = now.Add(every), taken+bytes
		p.look(now, taken, every)
		if p.atLunch(lunchPatience, lunchRate) {
			return i + 1
		}
	}
	return 0
}

// A client that was not looked at for a while did not hold the source: what
// it took before does not count. A look that is merely late does.
func TestHoldingBeginsAnewAfterAPause(t *testing.T) {
	const every = lunchPatience / looks
	for _, c := range []struct {
		pause time.Duration
		want  bool
	}{{every, true}, {3 * every, true}, {3*every + 1, false}, {time.Hour, false}} {
		var p progress
		now := time.Unix(1000, 0)
		for range looks {
			p.look(now, 0, every)
			now = now.Add(every)
		}
		p.look(now.Add(c.pause-every), 0, every)
		if got := p.atLunch(lunchPatience, lunchRate); got != c.want {
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
				p := progress{count: looks + 1}
				p.taken[looks] = taken
				if got, want := p.atLunch(patience, rate), taken < enough; got != want {
					t.Errorf("%d bytes in %v at %d a second: at lunch is %v, want %v", taken, patience, rate, got, want)
				}
			}
		}
	}
}
