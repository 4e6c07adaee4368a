//go:build unix

package hubbub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
)

// desk is a loop with an inbox, and nobody else.
func desk(t *testing.T, want Inbox) *loop {
	t.Helper()
	o, err := Options{Loops: 1, Inbox: want}.withDefaults(someDescriptors)
	if err != nil {
		t.Fatal(err)
	}
	h := &Hub{o: o, framing: framing.Lines, log: logger.New(o.Logger)}
	h.partial, h.letters, h.rests = quota.New(o.Backlog), quota.New(o.Backlog), quota.New(o.Backlog)
	t.Cleanup(h.log.Close)
	h.inbox = newInbox(o, h.framing, func() {})
	l, err := newLoop(h, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	h.loops = []*loop{l}
	return l
}

// takeAll leaves the inbox without a batch: the caller has them all.
func takeAll(in *inbox) (all []*Batch) {
	for b := in.take(); b != nil; b = in.take() {
		all = append(all, b)
	}
	return all
}

// A batch gives what is in it in order, and no more when the caller has enough.
func TestBatchGivesEventsInOrder(t *testing.T) {
	l := desk(t, InboxAll)
	b := l.open()
	b.data = append(b.data, "one\n\ntwo\nthree\n"...)
	b.records = []record{
		{kind: Join, client: 1},
		{kind: Message, client: 1, from: 0, to: 9},
		{kind: Join, client: 2},
		{kind: Message, client: 2, from: 9, to: 15},
		{kind: Leave, client: 1, reason: "done"},
	}
	want := []string{"1 join", "1 message one", "1 message ", "1 message two", "2 join", "2 message three", "1 leave done"}
	for n := range len(want) + 1 {
		var got []string
		for e := range b.Events() {
			if len(got) == n {
				break
			}
			got = append(got, describe(e))
		}
		if !slices.Equal(got, want[:n]) {
			t.Errorf("the first %d events are %q, want %q", n, got, want[:n])
		}
	}
	if got := string(b.Plain()); got != "one\n\ntwo\nthree\n" {
		t.Errorf("plain: %q", got)
	}
}

func describe(e Event) string {
	switch e.Kind {
	case Message:
		return fmt.Sprintf("%d %s %s", e.Client, e.Kind, e.Data)
	case Leave:
		return fmt.Sprintf("%d %s %s", e.Client, e.Kind, e.Reason)
	}
	return fmt.Sprintf("%d %s", e.Client, e.Kind)
}

// There is a fixed number of batches. Who found none is woken when one comes
// back, once.
func TestWhoFoundNoBatchIsWoken(t *testing.T) {
	l := desk(t, InboxAll)
	in := l.hub.inbox
	woken := 0
	in.wake = func() { woken++ }
	for range 3 {
		all := takeAll(in)
		if len(all) != batchesALoop {
			t.Fatalf("there are %d batches, want %d", len(all), batchesALoop)
		}
		woken = 0
		for _, b := range all {
			b.Release()
		}
		if woken != 1 {
			t.Errorf("the loops are woken %d times, want 1", woken)
		}
	}
	b := in.take()
	woken = 0
	if b.Release(); woken != 0 {
		t.Error("the loops are woken, and none had to wait")
	}
}

// What was grown for a long message is not kept.
func TestReleasedBatchHasItsOldSize(t *testing.T) {
	l := desk(t, InboxAll)
	in := l.hub.inbox
	b := in.take()
	b.data = append(b.data, make([]byte, 2*batchBytes)...)
	b.Release()
	for range batchesALoop {
		if b := in.take(); cap(b.data) != batchBytes || len(b.data) != 0 || len(b.records) != 0 {
			t.Errorf("a fresh batch has %d of %d bytes and %d records", len(b.data), cap(b.data), len(b.records))
		}
	}
}

// A batch that is not full has room for the longest beginning that is put
// before a read, and for the read.
func TestBatchHasRoomForARead(t *testing.T) {
	l := desk(t, InboxAll)
	for n := 0; n <= batchBytes; n += 1000 {
		b := &Batch{inbox: l.hub.inbox, data: make([]byte, n, batchBytes)}
		if !b.full() && n+(readSize-1)+readSize > batchBytes {
			t.Errorf("with %d bytes it is not full", n)
		}
	}
	if b := (&Batch{records: make([]record, batchEvents)}); !b.full() {
		t.Errorf("with %d events it is not full", batchEvents)
	}
}

// While the caller has every batch, joins and leaves wait their turn; then
// they come in order, and no batch has more than its share.
func TestLateEventsComeInOrder(t *testing.T) {
	const many = 2*batchEvents + 100
	l := desk(t, InboxAll)
	all := takeAll(l.hub.inbox)
	for i := range many {
		kind := Join
		if i%2 == 1 {
			kind = Leave
		}
		l.note(kind, &client{id: uint64(i)}, ending.Reason{})
	}
	if len(l.late) != many {
		t.Fatalf("%d events wait, want %d", len(l.late), many)
	}
	for _, b := range all {
		b.Release()
	}
	l.enterLate()
	l.deliver()
	next := uint64(0)
	for len(l.hub.inbox.filled) > 0 {
		b := <-l.hub.inbox.filled
		if len(b.records) > batchEvents {
			t.Errorf("a batch has %d events, want %d at most", len(b.records), batchEvents)
		}
		for e := range b.Events() {
			if e.Client != next || (e.Kind == Join) != (next%2 == 0) {
				t.Fatalf("event %d is %s", next, describe(e))
			}
			next++
		}
	}
	if next != many || len(l.late) != 0 {
		t.Errorf("%d events came, %d wait, want %d", next, len(l.late), many)
	}
}

// Who wants no joins and leaves gets none, and they take no room.
func TestUnwantedPresenceIsNotNoted(t *testing.T) {
	for _, want := range []Inbox{InboxMessages, InboxNone} {
		l := desk(t, want)
		l.note(Join, &client{id: 1}, ending.Reason{})
		if len(l.late) != 0 || l.undelivered() {
			t.Errorf("inbox %d: a join was noted", want)
		}
	}
}

// What a client said before it said too much counts, comes before its leave,
// and is all that a batch has of it, also when the leave makes the batch full.
func TestCutClientIsHeardUpToItsLongMessage(t *testing.T) {
	for _, c := range []struct {
		says, counts string
		leaves       bool
	}{
		{"12345678\n", "12345678\n", false},
		{"12345678\r\n", "12345678\n", false},
		{"one\n12345678\r", "one\n", false}, // its newline may be next
		{"one\ntwo\n123456789\nthree\n", "one\ntwo\n", true},
		{"123456789\n", "", true},
		{"one\n1234567890", "one\n", true},
		{"one\r\n123456789\r\n", "one\n", true},
	} {
		for _, before := range []int{0, batchBytes - 2*readSize} {
			l := desk(t, InboxAll)
			l.hub.longest = 8
			talker := visitor(t)
			b := l.open()
			b.data = append(b.data, make([]byte, before)...)
			b.records = append(b.records, record{kind: Join, client: 7})
			b.data = append(b.data, c.says...)
			l.enter(talker, b, before, b.data[before:])
			l.deliver()
			want := []string{"7 join"}
			for line := range strings.Lines(c.counts) {
				want = append(want, "7 message "+strings.TrimSuffix(line, "\n"))
			}
			if c.leaves {
				want = append(want, "7 leave sent a message longer than 8 B")
			}
			got, plain := collect(l.hub.inbox)
			if !slices.Equal(got, want) || plain[before:] != c.counts {
				t.Errorf("%q gives %q and, plain, %q, want %q", c.says, got, plain[before:], want)
			}
		}
	}
}

// collect is all that was delivered.
func collect(in *inbox) (events []string, plain string) {
	for len(in.filled) > 0 {
		b := <-in.filled
		for e := range b.Events() {
			events = append(events, describe(e))
		}
		plain += string(b.Plain())
		b.Release()
	}
	return events, plain
}

// visitor is a client of nobody's loop.
func visitor(t *testing.T) *client {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return &client{id: 7, link: link.New(fds[0], true)}
}

// A client of a raw hub cannot say too much: how much of it is read at once is
// no message's length.
func TestRawClientIsNeverTooLong(t *testing.T) {
	l := desk(t, InboxAll)
	l.hub.o.Framing, l.hub.framing, l.hub.longest = FramingRaw, framing.Raw, 8
	l.hub.inbox.framing = framing.Raw
	talker := visitor(t)
	b := l.open()
	b.data = append(b.data, "much more than eight"...)
	l.enter(talker, b, 0, b.data)
	l.deliver()
	if got, plain := collect(l.hub.inbox); talker.state != live || plain != "much more than eight" {
		t.Errorf("it gives %q", got)
	}
}
