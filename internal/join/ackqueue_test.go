package join

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"hubbub.example/internal/framing"
)

// smallAckQueue returns one that speaks with a server that takes messages so long.
func smallAckQueue(frame framing.Framing, size, longest int) *ackQueue {
	q := &ackQueue{outbox: smallOutbox(frame, size)}
	if err := q.begin(longest, 0); err != nil {
		panic(err)
	}
	return q
}

// put is STDIN giving s, for which there must be room.
func (q *ackQueue) put(t *testing.T, s string) {
	t.Helper()
	for s != "" {
		if q.isFull() {
			t.Fatalf("no room for %q", s)
		}
		n := copy(q.room(), s)
		q.filled(n)
		s = s[n:]
	}
}

// sends takes the next message, which must be there.
func (q *ackQueue) sends(t *testing.T, n int64, want string) {
	t.Helper()
	m, ok := q.message(never)
	if !ok || m.n != n || string(m.data) != want {
		t.Fatalf("sends %d %q (%t), want %d %q", m.n, m.data, ok, n, want)
	}
}

func TestReceiptsMoveTheTail(t *testing.T) {
	t.Parallel()
	q := smallAckQueue(framing.Lines, 16, 100)
	q.put(t, "one\n\ntwo\r\nth")
	q.sends(t, 1, "one")
	q.sends(t, 2, "")
	q.sends(t, 3, "two")
	if s := q.stdin(); s.kept != 12 || s.unsent != 2 {
		t.Errorf("before any receipt: %+v", s)
	}
	if _, err := q.acknowledged(2); err != nil || q.stdin().kept != 7 {
		t.Errorf("after a receipt: %+v, %v", q.stdin(), err)
	}
	q.put(t, "ree\n")
	q.sends(t, 4, "three") // across the ring's end
	q.disconnected()
	if err := q.begin(100, 3); err != nil {
		t.Fatal(err)
	}
	q.sends(t, 4, "three")
	q.end(nil)
	if all, err := q.acknowledged(4); !all || err != nil || q.stdin().kept != 0 {
		t.Errorf("at the end: %t, %v, %+v", all, err, q.stdin())
	}
	if _, ok := q.message(never); ok {
		t.Error("there is more to send")
	}
	if _, err := q.acknowledged(5); !isBreach(err) {
		t.Errorf("a receipt for what was not sent: %v", err)
	}
}

// The last message of STDIN may lack its separator; it is sent, kept and
// acknowledged like any other.
func TestLastMessageNeedsNoSeparator(t *testing.T) {
	t.Parallel()
	q := smallAckQueue(framing.NUL, 16, 100)
	q.fill(strings.NewReader("a\x00b\n"), q.room, false)
	q.sends(t, 1, "a")
	q.sends(t, 2, "b\n")
	q.disconnected()
	if err := q.begin(100, 1); err != nil {
		t.Fatal(err)
	}
	q.sends(t, 2, "b\n")
	if all, err := q.acknowledged(2); !all || err != nil {
		t.Error(all, err)
	}
}

// With a full ring whoever waits for receipts says so; the ring grows for a
// message that the server takes.
func TestFullRingAsksForReceipts(t *testing.T) {
	t.Parallel()
	q := smallAckQueue(framing.Lines, 8, 20)
	hungry := make(chan struct{}, 10)
	q.hungry = func() { hungry <- struct{}{} }
	const long = "0123456789abcdefghi"
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		q.fill(strings.NewReader("a\nb\n"+long+"\nz"), q.room, false)
	}()
	q.sends(t, 1, "a")
	q.sends(t, 2, "b")
	await(t, hungry, "the need of a receipt")
	if !q.starving.Load() {
		t.Error("it does not starve")
	}
	_, _ = q.acknowledged(2)
	q.sends(t, 3, long)
	_, _ = q.acknowledged(3)
	await(t, filled, "the end of STDIN")
	q.sends(t, 4, "z")
	if q.size() > 22 {
		t.Errorf("the ring has grown to %d", q.size())
	}
}

func TestWhatIsLeftOutIsCounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		frame framing.Framing
		in    string
		sent  []string
		says  string
	}{
		{framing.Lines, "12345\n123456\n1\n", []string{"12345", "1"}, "did not send 1 message of STDIN: the server takes 5 bytes at most"},
		{framing.Lines, "12345\r\n123456\r\n123456", []string{"12345"}, "2 messages"},
		{framing.Lines, strings.Repeat("x", 100) + "\n1\n", []string{"1"}, "1 message of STDIN"},
		{framing.NUL, "12345\r\x0012345\x00", []string{"12345"}, "1 message of STDIN"},
		{4, "abcdefgh", []string{"abcd", "efgh"}, ""},
		{4, "abcdefg", []string{"abcd"}, "shorter than a record of 4 bytes"},
		{6, "abcdefghijkl", nil, "messages of STDIN: the server takes"},
	} {
		q := smallAckQueue(c.frame, 16, 5)
		go q.fill(&oneByOne{strings.NewReader(c.in)}, q.room, false)
		n := int64(0)
		for _, want := range c.sent {
			n++
			q.sends(t, n, want)
			_, _ = q.acknowledged(n)
		}
		if m, ok := q.message(never); ok {
			t.Errorf("%q: sends %q", c.in, m.data)
		}
		if err := q.complaint(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: says %v, want %s", c.in, err, c.says)
		}
		if s := q.stdin(); s.kept != 0 {
			t.Errorf("%q: %d bytes are kept", c.in, s.kept)
		}
	}
}

// oneByOne gives a byte at a time.
type oneByOne struct{ r io.Reader }

func (o *oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// FuzzAckQueue plays STDIN, a server and breaks by turns: the server, which
// takes each number once, gets every message that is not too long, once and in
// order.
func FuzzAckQueue(f *testing.F) {
	f.Add([]byte("hello\nworld\n\nx"), []byte{3, 1, 2, 0, 0x43, 5, 1, 1}, int8(0), uint8(20))
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz\nshort\r\n"), []byte{9, 9, 1, 2, 9, 3, 9, 9, 1}, int8(0), uint8(9))
	f.Add([]byte("0123456789abcdef"), []byte{5, 1, 2, 3, 5}, int8(4), uint8(4))
	f.Fuzz(func(t *testing.T, in, moves []byte, frame int8, longest uint8) {
		if frame < int8(framing.NUL) || longest == 0 || len(in)+len(moves) > 1000 {
			return
		}
		f := framing.Framing(frame)
		q := smallAckQueue(f, max(16, int(f)), int(longest))
		var got [][]byte
		taken := int64(0) // by the server
		lost := false     // the connection: what is sent does not arrive
		rest := in
		room := func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.head-q.tail < q.size() || q.next == q.tail && q.ends <= q.tail && q.size() < q.longest+2
		}
		sends := func() bool { // message, if it would not wait
			tries := 0
			m, ok := q.message(func() bool { tries++; return tries > 1 || wouldWait(q) })
			if ok && !lost && m.n == taken+1 {
				taken++
				got = append(got, bytes.Clone(m.data))
			} else if ok && m.n > taken+1 && !lost {
				t.Fatalf("message %d comes after %d", m.n, taken)
			}
			return ok
		}
		step := func(move byte) {
			switch move & 3 {
			case 0:
				if len(rest) == 0 {
					q.end(nil)
				} else if room() {
					n := copy(q.room(), rest[:min(len(rest), int(move>>4)+1)])
					q.filled(n)
					rest = rest[n:]
				}
			case 1:
				sends()
			case 2:
				if !lost {
					if _, err := q.acknowledged(taken); err != nil {
						t.Fatal(err)
					}
				}
			case 3:
				if lost = move&4 != 0; !lost { // what follows is lost until there is another
					q.disconnected()
					if err := q.begin(int(longest), taken); err != nil {
						t.Fatal(err)
					}
					q.connected()
				}
			}
		}
		for _, m := range moves {
			step(m)
		}
		step(3)
		for range 4*len(in) + 40 {
			step(0xf0)
			step(1)
			step(2)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", sendable(f, in, int(longest))) || q.stdin().kept != 0 {
			t.Fatalf("the server got %q, want %q; %d bytes are kept", got, sendable(f, in, int(longest)), q.stdin().kept)
		}
	})
}

// wouldWait reports whether message would wait for something to happen.
func wouldWait(q *ackQueue) bool {
	end := q.nextEnd()
	switch {
	case q.next == q.head:
		return true
	case q.unsendable(end):
		return q.tail < q.next
	}
	return end < 0
}

func sendable(f framing.Framing, in []byte, longest int) (messages [][]byte) {
	for _, m := range split(f, in) {
		if f > 0 && len(m) < int(f) {
			continue
		}
		m, ended := bytes.CutSuffix(m, f.Separator())
		if ended && f == framing.Lines {
			m = bytes.TrimSuffix(m, []byte("\r"))
		}
		if len(m) <= longest {
			messages = append(messages, m)
		}
	}
	return messages
}
