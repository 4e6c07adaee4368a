//go:build unix

package delivery

import (
	"testing"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/feed"
)

// A client that takes little at a time has a long run of messages that others
// said looked at once, and not again at each send.
func TestAMessageIsLookedAtOnce(t *testing.T) {
	const n = 3 * lookAhead
	log := newLog(t)
	c := &Cursor{}
	x := &exclusion{id: 3}
	var runs []feed.Run
	var ends []int
	for i := range n {
		id := uint64(1 + i%2)
		if i == n-2 {
			id = x.id
		}
		runs = append(runs, feed.Run{Messages: 1, Of: &feed.Origin{ID: id, Not: []uint64{id}}})
		ends = append(ends, i+1)
	}
	if _, err := log.Publish(backlog.Messages{Bytes: make([]byte, n), Ends: ends, Runs: runs}, backlog.Unbounded); err != nil {
		t.Fatal(err)
	}
	x.last.Store(n - 1)
	looks, canonical := 0, log.Feed(backlog.Canonical)
	for c.pos < n-2 {
		end := x.pass(c, canonical, n)
		if looks++; end <= c.pos || end > n-2 {
			t.Fatalf("at %d it may be sent all up to %d", c.pos, end)
		}
		for ; c.pos < end; c.pos++ {
			if again := x.pass(c, nil, n); again != end { // there is nothing to look at
				t.Fatalf("at %d it may be sent all up to %d, and before it was %d", c.pos, again, end)
			}
		}
	}
	if looks > n/lookAhead+1 {
		t.Errorf("%d messages took %d looks", n, looks)
	}
	if end := x.pass(c, canonical, n); end != n || c.pos != n-1 {
		t.Errorf("behind what it said itself it stands at %d and may be sent all up to %d", c.pos, end)
	}
}
