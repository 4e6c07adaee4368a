//go:build unix

package hubbub

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/feed"
	"hubbub.example/internal/sock"
)

// stage is a client whose output is looked at. Its feed has the messages a, b, c
// and d, and it is sent <a> <b> <c> <d> of them.
type stage struct {
	t    *testing.T
	l    *loop
	c    *client
	peer int
}

const stageID = 7

// newStage has the client begin before a, or inside it. Kinds are what it is
// about to be sent besides the feed.
func newStage(t *testing.T, inside bool, kinds ...string) *stage {
	t.Helper()
	has := func(kind string) bool { return kinds[0] == kind || kinds[1] == kind }
	l := desk(t, InboxNone)
	h := l.hub
	frame := func(dst []byte, m feed.Kept) []byte { return append(append(append(dst, '<'), m.Bytes...), '>') }
	var err error
	h.backlog, err = backlog.New(backlog.Config{
		Limit: 1 << 20, Separator: 1,
		Encode:   [backlog.Encodings]backlog.Encode{backlog.SSE: frame},
		Wake:     func() {},
		Excluded: func(uint64, uint64) {},
		Unacked:  func(int) (int, error) { return 0, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.mark = h.backlog.NewMark()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
	}
	t.Cleanup(func() { _ = h.backlog.Close() })
	s := &stage{t, l, &client{Sender: intake.NewSender(sock.Addr{}, codec.ProtocolSSE), link: link.New(fds[0], true)}, fds[1]}
	s.c.Joins(stageID, 0)
	l.clients.add(s.c)
	after := uint64(0)
	s.publish("aa", nil)
	s.publish("b", nil)
	if has("backfill") {
		after = 2
	}
	p, err := h.backlog.Join(backlog.SSE, after)
	if err != nil {
		t.Fatal(err)
	}
	s.c.cursor = p.At
	if has("backfill") {
		s.c.past, s.c.cursor = true, 0
	}
	var of *feed.Origin
	if has("excluded") {
		of = &feed.Origin{Not: []uint64{stageID}}
	}
	s.publish("c", of)
	s.publish("d", nil)
	h.backlog.View(&l.view)
	if inside {
		s.begin()
	}
	return s
}

func (s *stage) publish(message string, of *feed.Origin) {
	s.t.Helper()
	m := backlog.Messages{Bytes: []byte(message + "\n"), Ends: []int{len(message) + 1}}
	if of != nil {
		m.Runs = []feed.Run{{Messages: 1, Of: of}}
	}
	if _, err := s.l.hub.backlog.Publish(m, backlog.Paced); err != nil {
		s.t.Fatal(err)
	}
}

// begin has the client be sent the first bytes of a: "<a".
func (s *stage) begin() {
	s.t.Helper()
	if s.c.past {
		s.c.more().rest = []byte("a>")
		s.c.extra.kept.Grow(s.l.hub.rests, 2)
		s.c.cursor = 3
		return
	}
	s.c.cursor += 2
}

// add has the client be sent something more.
func (s *stage) add(kind string) {
	s.t.Helper()
	l, c := s.l, s.c
	f := l.feed(c)
	switch kind {
	case "tail": // a and b are about to go
		var tails tails
		l.skip(c, f.Begin(3), &tails)
	case "control":
		l.tell(c, []byte("[control]"))
	case "private": // after b
		l.keepLetter(c, letter{to: c, after: 2, data: []byte("(private)")})
	case "excluded": // c
		c.not.Store(3)
	case "backfill": // from a on: its own feed begins with c
	case "until": // after c
		l.finish(c, f.Begin(4), ending.Done())
	}
}

// sent is all that the client is sent.
func (s *stage) sent() string {
	s.t.Helper()
	for range 30 {
		if s.c.streams() {
			s.l.send(s.c)
		}
	}
	var p [1000]byte
	n, err := unix.Read(s.peer, p[:])
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		s.t.Fatal(err)
	}
	all := string(p[:max(n, 0)])
	if s.c.state == lingering {
		all += " end"
	}
	skipped := codec.AppendSkippedEvent(nil, 1)
	return strings.TrimSpace(strings.ReplaceAll(all, string(skipped), "[skipped]"))
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

// What a client is sent comes in this order, whichever of the two was there first.
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
				s := newStage(t, inside, kinds[0], kinds[1])
				s.add(kinds[0])
				if kinds[0] != kinds[1] {
					s.add(kinds[1])
				}
				if got := s.sent(); got != want {
					t.Errorf("%s, then %s, inside a message: %v: it is sent %q, want %q", kinds[0], kinds[1], inside, got, want)
				}
			}
		}
	}
}
