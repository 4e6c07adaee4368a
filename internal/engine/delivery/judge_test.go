//go:build unix

package delivery

import (
	"bytes"
	"testing"
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/proto"
)

// Whoever stands in what is to be trimmed holds it, ends or is moved on, as the
// policy says; nobody else is judged.
func TestJudge(t *testing.T) {
	const never, takesNothing, tookJustNow = 0, 1, 2
	for _, c := range []struct {
		name     string
		slow     Slow
		below    bool
		blocked  bool
		progress int
		want     Verdict
		why      proto.Reason
	}{
		{"wait, not in the way", Wait, false, true, takesNothing, Stay, 0},
		{"wait, not sampled", Wait, true, true, never, Hold, 0},
		{"wait, takes nothing", Wait, true, true, takesNothing, End, proto.ReasonSlow},
		{"wait, nobody waits", Wait, true, false, takesNothing, Hold, 0},
		{"wait, took since the last sample", Wait, true, true, tookJustNow, Hold, 0},
		{"cut, not in the way", Cut, false, true, takesNothing, Stay, 0},
		{"cut", Cut, true, false, never, End, proto.ReasonLapped},
		{"skip, not in the way", Skip, false, true, never, Stay, 0},
		{"skip", Skip, true, false, never, Advance, 0},
	} {
		log, view := fullLog(t)
		p := Policy{Slow: c.slow, Patience: time.Second, MinRate: 1000, Private: quota.New(1), Kept: quota.New(1)}
		var cursor Cursor
		at := log.Feed(backlog.Canonical).Whole()
		if !c.below {
			at = view.Head(backlog.Canonical)
		}
		cursor.Start(backlog.Canonical, backlog.Position{At: at})
		now := time.Unix(1000, 0)
		if c.progress != never {
			for range samplesAPatience + 1 {
				p.Sample(&cursor, now, 5)
				now = now.Add(p.Every())
			}
		}
		acked := int64(5)
		if c.progress == tookJustNow {
			acked += p.MinRate
		}
		got, why := p.Judge(&cursor, &view, c.blocked, now, acked)
		if got != c.want || why.Kind != c.why {
			t.Errorf("%s: verdict %d for %v, want %d for %v", c.name, got, why, c.want, c.why)
		}
	}
}

// fullLog returns a backlog of which something is to be trimmed, and a view of it.
func fullLog(t *testing.T) (log *backlog.Log, view backlog.View) {
	t.Helper()
	log = newLog(t)
	line := append(bytes.Repeat([]byte("x"), 39_999), '\n')
	for {
		retry, err := log.Publish(backlog.Messages{Bytes: line, Ends: []int{len(line)}}, backlog.Paced)
		if err != nil {
			t.Fatal(err)
		}
		if retry != nil {
			log.View(&view)
			return log, view
		}
	}
}

// A client that is skipped on may have what it takes of the quota for its tail
// at most; else it ends.
func TestSkipNeedsRoomForTheTail(t *testing.T) {
	for _, room := range []int64{39_997, 39_996} {
		log, view := fullLog(t)
		p := Policy{Slow: Skip, Private: quota.New(1), Kept: quota.New(room)}
		var cursor Cursor
		var tails Tails
		cursor.Start(backlog.Canonical, backlog.Position{At: log.Feed(backlog.Canonical).Whole() + 3})
		f, began, why := p.Skip(&cursor, &view, &tails)
		if room == 39_997 {
			if why.Kind != 0 || !began || f.Missed == 0 || cursor.Below(&view) || p.Kept.Used() != room {
				t.Errorf("with room for its tail it ends for %v, begins to miss: %v, misses %d, and holds %d", why, began, f.Missed, p.Kept.Used())
			}
			_ = cursor.Release()
		} else if why.Kind != proto.ReasonLapped {
			t.Errorf("without room for its tail it ends for %v", why)
		}
		if n := p.Kept.Used(); n != 0 {
			t.Errorf("%d bytes are held in the end", n)
		}
	}
}

// Sending and looking whether there is something to send allocate nothing.
func TestACursorAllocatesNothing(t *testing.T) {
	log, view := fullLog(t)
	p := Policy{Private: quota.New(1), Kept: quota.New(1)}
	var cursor Cursor
	cursor.Exclude(3, 0) // it was excluded once
	from := log.Feed(backlog.Canonical).Whole()
	if n := testing.AllocsPerRun(100, func() {
		cursor.Start(backlog.Canonical, backlog.Position{At: from})
		for cursor.Behind(&view) {
			piece := cursor.Next(&view, &p)
			if f := cursor.Sent(&piece, piece.Len()); !f.Delivered {
				t.Fatal("nothing was sent")
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
