package join

import "testing"

// Every event in every phase: what follows, or that nothing does.
func TestPhases(t *testing.T) {
	const same = over + 1
	type row map[event]step
	for from, want := range map[phase]row{
		open: {
			ended: {over, none}, halfClosed: {onward, none}, bothEnded: {draining, none}, allSent: {same, none}, sendFailed: {failing, linger},
			finished: {leaving, leave}, stopped: {leaving, leave}, settled: {same, none}, stalled: {same, none},
		},
		onward: {
			ended: {same, none}, halfClosed: {same, none}, bothEnded: {same, none}, allSent: {draining, none}, sendFailed: {over, none},
			finished: {same, none}, stopped: {onward, leave}, settled: {same, none}, stalled: {over, none},
		},
		leaving: {
			ended: {over, none}, halfClosed: {onward, none}, bothEnded: {draining, none}, allSent: {same, none}, sendFailed: {failing, linger},
			finished: {same, none}, stopped: {leaving, leave}, settled: {parting, part}, stalled: {over, none},
		},
		parting: {
			ended: {over, none}, halfClosed: {same, none}, bothEnded: {draining, none}, allSent: {same, none}, sendFailed: {same, none},
			finished: {same, none}, stopped: {same, none}, settled: {same, none}, stalled: {same, none},
		},
		draining: {
			ended: {same, none}, halfClosed: {same, none}, bothEnded: {same, none}, allSent: {same, none}, sendFailed: {same, none},
			finished: {draining, leave}, stopped: {draining, leave}, settled: {over, none}, stalled: {over, none},
		},
		failing: {
			ended: {over, none}, halfClosed: {same, none}, bothEnded: {same, none}, allSent: {same, none}, sendFailed: {same, none},
			finished: {same, none}, stopped: {failing, leave}, settled: {same, none}, stalled: {over, none},
		},
	} {
		want[nothing], want[lost], want[timeUp] = step{same, none}, step{over, none}, step{over, none}
		for e := nothing; e <= timeUp; e++ {
			w, listed := want[e]
			if w.to == same {
				w.to = from
			}
			if to, do := next(from, e); !listed || to != w.to || do != w.do {
				t.Errorf("phase %d, event %d: phase %d, action %d; want %d, %d", from, e, to, do, w.to, w.do)
			}
		}
	}
}

// Whatever happens, a connection that is left ends: each phase has a way out by
// time alone.
func TestEveryPhaseEndsInTime(t *testing.T) {
	for p := open; p < over; p++ {
		for _, e := range []event{lost, timeUp} {
			if to, _ := next(p, e); to != over {
				t.Errorf("phase %d outlives event %d", p, e)
			}
		}
	}
}
