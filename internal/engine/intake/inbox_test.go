//go:build unix

package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/sock"
)

// desk is an inbox with one writer.
type desk struct {
	t testing.TB
	*Inbox
	*Writer
	woken  int
	closed chan struct{}
}

// newDesk makes one for a caller that wants everything; edit may change that.
func newDesk(t testing.TB, edit ...func(*Config)) *desk {
	t.Helper()
	c := Config{Framing: framing.Lines, Longest: 1 << 20, Messages: true, Presence: true, Beginnings: quota.New(1 << 30), Posts: quota.New(1 << 30)}
	for _, f := range edit {
		f(&c)
	}
	d := &desk{t: t, closed: make(chan struct{})}
	d.Inbox = NewInbox(c, 1, d.closed, func() { d.woken++ })
	d.Writer = d.Inbox.NewWriter()
	d.SetTime(time.Unix(1, 0))
	return d
}

// takeAll leaves the inbox without a batch: the caller has them all.
func (d *desk) takeAll() (all []*Batch) {
	for b := d.take(); b != nil; b = d.take() {
		all = append(all, b)
	}
	return all
}

// received returns all that was handed over, and the bytes of its messages.
func (d *desk) received() (events []string, plain string) {
	d.Deliver()
	for b := d.TryReceive(); b != nil; b = d.TryReceive() {
		events = append(events, describe(b)...)
		plain += string(b.Plain())
		b.Release()
	}
	return events, plain
}

func describe(b *Batch) (events []string) {
	for i := range b.Records() {
		switch r := &b.Records()[i]; r.Kind {
		case Message:
			for m := range b.Messages(r) {
				events = append(events, fmt.Sprintf("%d message %s", r.Client, m))
			}
		case Join:
			events = append(events, fmt.Sprintf("%d join", r.Client))
		case Leave:
			events = append(events, fmt.Sprintf("%d leave %s", r.Client, r.Why.Text))
		}
	}
	return events
}

func sender(id uint64, p codec.Protocol) *Sender {
	s := NewSender(sock.Addr{}, p)
	s.Joins(id, 0)
	return &s
}

// A batch gives what is in it in order, each message of a record by itself.
func TestBatchGivesRecordsInOrder(t *testing.T) {
	d := newDesk(t)
	b := d.Batch()
	b.data = append(b.data, "one\n\ntwo\nthree\n"...)
	b.records = []Record{
		{Kind: Join, Client: 1},
		{Kind: Message, Client: 1, from: 0, to: 9},
		{Kind: Join, Client: 2},
		{Kind: Message, Client: 2, from: 9, to: 15},
		{Kind: Leave, Client: 1, Why: ending.Done()},
	}
	want := []string{"1 join", "1 message one", "1 message ", "1 message two", "2 join", "2 message three", "1 leave done"}
	if got := describe(b); !slices.Equal(got, want) {
		t.Errorf("it gives %q, want %q", got, want)
	}
	if got := string(b.Plain()); got != "one\n\ntwo\nthree\n" {
		t.Errorf("plain: %q", got)
	}
	for m := range b.Messages(&b.records[1]) { // and no more when the caller has enough
		if string(m) != "one" {
			t.Errorf("after the end comes %q", m)
		}
		break
	}
}

// There is a fixed number of batches. Who found none is woken when one comes
// back, once.
func TestWhoFoundNoBatchIsWoken(t *testing.T) {
	d := newDesk(t)
	for range 3 {
		all := d.takeAll()
		if len(all) != batchesEach {
			t.Fatalf("there are %d batches, want %d", len(all), batchesEach)
		}
		d.woken = 0
		for _, b := range all {
			b.Release()
		}
		if d.woken != 1 {
			t.Errorf("the loops are woken %d times, want 1", d.woken)
		}
	}
	b := d.take()
	d.woken = 0
	if b.Release(); d.woken != 0 {
		t.Error("the loops are woken, and none had to wait")
	}
}

// What was grown for a long message is not kept.
func TestReleasedBatchHasItsOldSize(t *testing.T) {
	d := newDesk(t)
	b := d.take()
	b.data = append(b.data, make([]byte, 2*batchBytes)...)
	b.Release()
	for range batchesEach {
		if b := d.take(); cap(b.data) != batchBytes || len(b.data) != 0 || len(b.records) != 0 {
			t.Errorf("a fresh batch has %d of %d bytes and %d records", len(b.data), cap(b.data), len(b.records))
		}
	}
}

// A batch that is not full has room for the longest beginning that is put
// before a read, and for the read.
func TestBatchHasRoomForARead(t *testing.T) {
	for n := 0; n <= batchBytes; n += 1000 {
		b := &Batch{data: make([]byte, n, batchBytes)}
		if !b.full() && n+(ReadSize-1)+ReadSize > batchBytes {
			t.Errorf("with %d bytes it is not full", n)
		}
	}
	if b := (&Batch{records: make([]Record, batchEvents)}); !b.full() {
		t.Errorf("with %d events it is not full", batchEvents)
	}
}

// While the caller has every batch, joins and leaves wait their turn, and no
// message passes them; then they come in order, and no batch has more than its
// share.
func TestDeferredPresenceComesInOrder(t *testing.T) {
	const many = 2*batchEvents + 100
	d := newDesk(t)
	all := d.takeAll()
	for i := range many {
		d.Presence([]Kind{Join, Leave}[i%2], sender(uint64(i), 0), ending.Reason{})
	}
	if !d.Writer.Deferred() || !d.Inbox.Deferred() || d.Batch() != nil {
		t.Fatal("with every batch taken, presence is not deferred")
	}
	d.woken = 0
	for _, b := range all {
		b.Release()
	}
	if d.Batch() == nil || d.Writer.Deferred() || d.Inbox.Deferred() || d.woken != 2 {
		t.Fatalf("with batches again, presence is deferred; woken %d times, want 2", d.woken)
	}
	d.Deliver()
	next := uint64(0)
	for b := d.TryReceive(); b != nil; b = d.TryReceive() {
		if len(b.records) > batchEvents {
			t.Errorf("a batch has %d events, want %d at most", len(b.records), batchEvents)
		}
		for _, r := range b.records {
			if r.Client != next || (r.Kind == Join) != (next%2 == 0) {
				t.Fatalf("event %d is of kind %d of %d", next, r.Kind, r.Client)
			}
			next++
		}
	}
	if next != many {
		t.Errorf("%d events came, want %d", next, many)
	}
}

// Who wants no joins and leaves gets none, and they take no room. That a client
// has left is known all the same.
func TestUnwantedPresenceIsNotNoted(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Presence = false })
	s := sender(1, 0)
	d.Presence(Join, s, ending.Reason{})
	d.Presence(Leave, s, ending.Done())
	if events, _ := d.received(); len(events) > 0 || d.Writer.Deferred() || s.Present() {
		t.Errorf("it gives %q, the client is present: %t", events, s.Present())
	}
}

// A reader on another loop is woken by each batch, one on the writer's loop by
// none: it has its turn after the writer.
func TestWhoTakesBatchesIsWoken(t *testing.T) {
	d := newDesk(t)
	woken := 0
	give := func() int {
		woken = 0
		d.Presence(Join, sender(1, 0), ending.Reason{})
		d.received()
		return woken
	}
	d.SetReader(d.Inbox.NewWriter(), func() { woken++ })
	if give() != 1 {
		t.Error("the reader of another loop is not woken")
	}
	d.SetReader(d.Writer, func() { woken++ })
	if give() != 0 {
		t.Error("the reader of this loop is woken")
	}
	d.SetReader(nil, nil)
	if give() != 0 {
		t.Error("somebody is woken who is no reader any more")
	}
}

// Receive gives what was handed over before the end, then io.EOF; and it waits
// no longer than its context.
func TestReceiveEnds(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("without a batch, after its context: %v", err)
	}
	d.Presence(Join, sender(1, 0), ending.Reason{})
	d.Deliver()
	close(d.closed)
	if b, err := d.Receive(t.Context()); err != nil {
		t.Errorf("what was handed over before the end is not received: %v", err)
	} else {
		b.Release()
	}
	if _, err := d.Receive(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// To fill batches, one turn after the other, allocates nothing.
func TestInboxAllocatesNothing(t *testing.T) {
	d := newDesk(t)
	s := sender(1, codec.ProtocolRaw)
	turn := func() {
		for range 100 {
			d.Batch()
			s.Took(d.Writer, copy(s.Space(d.Writer), "one\ntwo\n"))
		}
		d.Deliver()
		d.TryReceive().Release()
	}
	for range 2 * batchesEach {
		turn()
	}
	if n := testing.AllocsPerRun(100, turn); n > 0 {
		t.Errorf("a turn allocates %.1f times", n)
	}
}
