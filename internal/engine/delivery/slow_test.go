//go:build unix

package delivery

import (
	"slices"
	"testing"
	"time"
)

// A client of 1,000 bytes a second at least, looked at every 100 ms.
const (
	testPatience = samplesAPatience * 100 * time.Millisecond
	testRate     = 1000
	testShare    = 100 // what it must take from look to look, on average
)

// A client that holds the source and takes less than MinRate over a Patience
// is too slow after one Patience. No other client ever is.
func TestTooFew(t *testing.T) {
	const never = 0
	steady := func(n int, bytes int64) []int64 { return slices.Repeat([]int64{bytes}, n) }
	burst := append([]int64{samplesAPatience * testShare}, steady(samplesAPatience-1, 0)...)
	for _, c := range []struct {
		who    string
		takes  []int64 // from look to look
		atLook int     // the first one at which it is too slow; the 0th is where it begins to hold
	}{
		{"takes nothing", steady(20, 0), samplesAPatience},
		{"takes just enough", steady(1000, testShare), never},
		{"takes a byte a look less", steady(20, testShare-1), samplesAPatience},
		{"takes a byte less in all", append(steady(samplesAPatience-1, testShare), testShare-1), samplesAPatience},
		{"takes more", steady(1000, 1<<40), never},
		{"takes it all at once, again and again", slices.Repeat(burst, 100), never},
		{"took it all at once, and no more", append(burst, 0), samplesAPatience + 1},
		{"comes late, but comes", append(steady(samplesAPatience-1, 0), samplesAPatience*testShare), never},
		{"stops after long", append(steady(1000, testShare), 0), 1001},
	} {
		if got := slowAt(c.takes); got != c.atLook {
			t.Errorf("who %s is too slow at look %d, want %d", c.who, got, c.atLook)
		}
	}
}

// slowAt returns the first look at which a client that takes so much is too slow;
// 0 is never.
func slowAt(takes []int64) int {
	var p samples
	now, taken := time.Unix(1000, 0), int64(5)
	every := testPatience / samplesAPatience
	p.add(now, taken, every)
	for i, bytes := range takes {
		now, taken = now.Add(every), taken+bytes
		p.add(now, taken, every)
		if p.tooFew(testPatience, testRate) {
			return i + 1
		}
	}
	return 0
}

// A client that was not looked at for a while did not hold the source: what
// it took before does not count. A look that is merely late does.
func TestHoldingBeginsAnewAfterAPause(t *testing.T) {
	const every = testPatience / samplesAPatience
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
		if got := p.tooFew(testPatience, testRate); got != c.want {
			t.Errorf("after a pause of %v: too slow is %v, want %v", c.pause, got, c.want)
		}
	}
}

// The bound is MinRate times Patience, whatever these are.
func TestTooFewScales(t *testing.T) {
	for _, patience := range []time.Duration{time.Millisecond, time.Second, time.Hour} {
		for _, rate := range []int64{1, 64 << 10, 1 << 40} {
			enough := int64(patience.Seconds() * float64(rate))
			for _, taken := range []int64{enough - 2, enough + 1} {
				p := samples{count: samplesAPatience + 1}
				p.taken[samplesAPatience] = taken
				if got, want := p.tooFew(patience, rate), taken < enough; got != want {
					t.Errorf("%d bytes in %v at %d a second: too slow is %v, want %v", taken, patience, rate, got, want)
				}
			}
		}
	}
}
