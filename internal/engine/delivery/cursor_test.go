//go:build unix

package delivery

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/feed"
)

// stage is a cursor whose output is looked at. Its feed has the messages aa, b, c
// and d, and its client is sent <aa> <b> <c> <d> of them.
type stage struct {
	t    testing.TB
	log  *backlog.Log
	view backlog.View
	p    Policy
	c    Cursor
	out  bytes.Buffer
}

const stageID = 7

func newLog(t testing.TB) *backlog.Log {
	t.Helper()
	frame := func(dst []byte, m feed.Kept) []byte { return append(append(append(dst, '<'), m.Bytes...), '>') }
	log, err := backlog.New(backlog.Config{
		Limit: 1 << 20, Separator: 1,
		Encode: func(string) [backlog.Encodings]backlog.Encode {
			return [backlog.Encodings]backlog.Encode{backlog.Frames: frame, backlog.V1: frame, backlog.SSE: frame}
		},
		Wake:     func() {},
		Excluded: func(uint64, uint64) {},
		Unacked:  func(int) (int, error) { return 0, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// newStage has the client begin before aa, or inside it. Kinds are what it is
// about to be sent besides the feed.
func newStage(t testing.TB, e backlog.Encoding, inside bool, kinds ...string) *stage {
	t.Helper()
	has := func(kind string) bool { return strings.Contains(strings.Join(kinds, " "), kind) }
	s := &stage{t: t, log: newLog(t), p: Policy{Slow: Skip, Patience: time.Second, MinRate: 1, Private: quota.New(1 << 20), Kept: quota.New(1 << 20)}}
	s.publish("aa", nil)
	s.publish("b", nil)
	after := uint64(0)
	if has("backfill") {
		after = 2
	}
	p, err := s.log.Join(e, after)
	if err != nil {
		t.Fatal(err)
	}
	if has("backfill") {
		p = backlog.Position{At: 0, Backfill: true}
	}
	s.c.Start(e, p)
	var of *feed.Origin
	if has("excluded") {
		of = &feed.Origin{Not: []uint64{stageID}}
	}
	s.publish("c", of)
	s.publish("d", nil)
	s.log.View(&s.view)
	s.c.Enter(&s.view, p.At)
	switch {
	case inside && has("backfill"): // as if aa alone had been encoded for it
		m := s.c.need()
		m.tail, s.c.pos = []byte("a>"), 3
		m.kept.Grow(s.p.Kept, len(m.tail))
	case inside:
		s.send(2)
	}
	s.out.Reset()
	return s
}

func (s *stage) publish(message string, of *feed.Origin) {
	s.t.Helper()
	m := backlog.Messages{Bytes: []byte(message + "\n"), Ends: []int{len(message) + 1}}
	if of != nil {
		m.Runs = []feed.Run{{Messages: 1, Of: of}}
	}
	if _, err := s.log.Publish(m, backlog.Paced); err != nil {
		s.t.Fatal(err)
	}
}

// send has the next piece be sent, at most most bytes of it.
func (s *stage) send(most int) Facts {
	s.t.Helper()
	p := s.c.Next(&s.view, &s.p)
	n := min(most, p.Len())
	if p.Bytes != nil {
		s.out.Write(p.Bytes[:n])
	} else {
		s.out.Write(s.view.Feed(s.c.Encoding()).Read(p.At, p.At+int64(n)))
	}
	return s.c.Sent(&p, n)
}

// add has the client be sent something more.
func (s *stage) add(kind string) {
	s.t.Helper()
	f := s.view.Feed(s.c.Encoding())
	switch kind {
	case "tail": // aa and b are about to go
		var tails Tails
		if _, _, e := s.p.skip(&s.c, f, f.Begin(3), &tails); e.Kind != 0 {
			s.t.Fatal(e)
		}
	case "control":
		x := s.c.Control()
		x.Notices = append(x.Notices, "[control]"...)
	case "private": // after b
		if k := s.c.Private(Private{After: 2, Data: []byte("(private)")}, &s.p); k != (Kept{}) {
			s.t.Fatal(k)
		}
	case "excluded": // c
		s.c.Exclude(stageID, 3)
	case "backfill": // from aa on: its own feed begins with c
	case "until": // after c
		s.c.FinishAfter(&s.view, 3)
	}
}

// all returns what the client is sent, when each call takes at most this many bytes.
func (s *stage) all(most int) string {
	s.t.Helper()
	end := ""
	for range 100 {
		if s.send(most).Finished {
			end = " end"
			break
		}
	}
	skipped := codec.AppendSkippedEvent(nil, 1)
	return strings.ReplaceAll(s.out.String(), string(skipped), "[skipped]") + end
}

// orders is what a client is sent that is about to be sent two kinds of output
// besides its feed, when it stands before <aa>, and when it has been sent <a of
// that. A tail is what it must get of a message that is gone, so it always
// stands inside one.
var orders = []struct{ one, other, between, inside string }{
	{"tail", "tail", "", "a>[skipped]<c><d>"},
	{"tail", "control", "", "a>[control][skipped]<c><d>"},
	{"tail", "private", "", "a>[skipped](private)<c><d>"},
	{"tail", "excluded", "", "a>[skipped]<d>"},
	{"tail", "backfill", "", "a>[skipped]<c><d>"},
	{"tail", "until", "", "a>[skipped]<c> end"},
	{"control", "control", "[control]<aa><b><c><d>", "a>[control]<b><c><d>"},
	{"control", "private", "[control]<aa><b>(private)<c><d>", "a>[control]<b>(private)<c><d>"},
	{"control", "excluded", "[control]<aa><b><d>", "a>[control]<b><d>"},
	{"control", "backfill", "[control]<aa><b><c><d>", "a>[control]<b><c><d>"},
	{"control", "until", "[control]<aa><b><c> end", "a>[control]<b><c> end"},
	{"private", "private", "<aa><b>(private)<c><d>", "a><b>(private)<c><d>"},
	{"private", "excluded", "<aa><b>(private)<d>", "a><b>(private)<d>"},
	{"private", "backfill", "<aa><b>(private)<c><d>", "a><b>(private)<c><d>"},
	{"private", "until", "<aa><b>(private)<c> end", "a><b>(private)<c> end"},
	{"excluded", "excluded", "<aa><b><d>", "a><b><d>"},
	{"excluded", "backfill", "<aa><b><d>", "a><b><d>"},
	{"excluded", "until", "<aa><b> end", "a><b> end"},
	{"backfill", "backfill", "<aa><b><c><d>", "a><b><c><d>"},
	{"backfill", "until", "<aa><b><c> end", "a><b><c> end"},
	{"until", "until", "<aa><b><c> end", "a><b><c> end"},
}

// What a client is sent comes in this order, whichever of the two was there first,
// however little it takes at a time; and then nothing of any quota is held.
func TestOrderOfOutput(t *testing.T) {
	for _, o := range orders {
		for _, kinds := range [][2]string{{o.one, o.other}, {o.other, o.one}} {
			for _, inside := range []bool{false, true} {
				want := o.between
				if inside {
					want = o.inside
				}
				if want == "" {
					continue
				}
				for _, most := range []int{1, 2, 3, 1000} {
					s := newStage(t, backlog.SSE, inside, kinds[0], kinds[1])
					s.add(kinds[0])
					if kinds[0] != kinds[1] {
						s.add(kinds[1])
					}
					if got := s.all(most); got != want {
						t.Errorf("%s, then %s, inside a message: %v, %d bytes at a time: it is sent %q, want %q", kinds[0], kinds[1], inside, most, got, want)
					}
					if n := s.p.Private.Used() + s.p.Kept.Used(); n != 0 {
						t.Errorf("%s, then %s: %d bytes are held for nothing", kinds[0], kinds[1], n)
					}
				}
			}
		}
	}
}
