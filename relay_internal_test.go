//go:build unix

package hubbub

import (
	"testing"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/feed"
)

// A client that takes little at a time has a long run of messages that others
// said looked at once, and not again at each send.
func TestAMessageIsLookedAtOnce(t *testing.T) {
	const n = 3 * lookAhead
	h, err := New(Options{Inbox: InboxNone})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	c := &client{}
	c.Joins(3, 0)
	var runs []feed.Run
	var ends []int
	for i := range n {
		id := uint64(1 + i%2)
		if i == n-2 {
			id = c.ID()
		}
		runs = append(runs, feed.Run{Messages: 1, Of: &feed.Origin{ID: id, Not: []uint64{id}}})
		ends = append(ends, i+1)
	}
	if room, err := h.backlog.Publish(backlog.Messages{Bytes: make([]byte, n), Ends: ends, Runs: runs}, backlog.Paced); room != nil || err != nil {
		t.Fatal(room, err)
	}
	c.not.Store(n - 1)
	l, looks := h.loops[0], 0
	for c.cursor < n-2 {
		end := l.passBy(c, h.backlog.Feed(backlog.Canonical), n)
		if looks++; end <= c.cursor || end > n-2 {
			t.Fatalf("at %d it may be sent all up to %d", c.cursor, end)
		}
		for ; c.cursor < end; c.cursor++ {
			if again := l.passBy(c, nil, n); again != end { // there is nothing to look at
				t.Fatalf("at %d it may be sent all up to %d, and before it was %d", c.cursor, again, end)
			}
		}
	}
	if looks > n/lookAhead+1 {
		t.Errorf("%d messages took %d looks", n, looks)
	}
	if end := l.passBy(c, h.backlog.Feed(backlog.Canonical), n); end != n || c.cursor != n-1 {
		t.Errorf("behind what it said itself it stands at %d and may be sent all up to %d", c.cursor, end)
	}
}
