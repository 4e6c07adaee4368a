package join

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"hubbub.example/internal/framing"
)

// v1Outbox is one that speaks with a server that takes messages so long.
func v1Outbox(frame framing.Framing, size, longest int) *outbox {
	b := smallOutbox(frame, size)
	if err := b.begin(longest, 0); err != nil {
		panic(err)
	}
	return b
}

// sends takes the next message, which must be there.
func (b *outbox) sends(t *testing.T, n int64, want string) {
	t.Helper()
	m, ok := b.message(never)
	if !ok || m.n != n || string(m.data) != want {
		t.Fatalf("sends %d %q (%t), want %d %q", m.n, m.data, ok, n, want)
	}
}

func TestReceiptsMoveTheTail(t *testing.T) {
	t.Parallel()
	b := v1Outbox(framing.Lines, 16, 100)
	b.put(t, "one\n\ntwo\r\nth")
	b.sends(t, 1, "one")
	b.sends(t, 2, "")
	b.sends(t, 3, "two")
	if s := b.stdin(); s.kept != 12 || s.unsent != 2 {
		t.Errorf("before any receipt: %+v", s)
	}
	if _, err := b.acknowledged(2); err != nil || b.stdin().kept != 7 {
		t.Errorf("after a receipt: %+v, %v", b.stdin(), err)
	}
	b.put(t, "ree\n")
	b.sends(t, 4, "three") // across the ring's end
	b.rewind()
	if err := b.begin(100, 3); err != nil {
		t.Fatal(err)
	}
	b.sends(t, 4, "three")
	b.end(nil)
	if all, err := b.acknowledged(4); !all || err != nil || b.stdin().kept != 0 {
		t.Errorf("at the end: %t, %v, %+v", all, err, b.stdin())
	}
	if _, ok := b.message(never); ok {
		t.Error("there is more to send")
	}
	if _, err := b.acknowledged(5); !isBreach(err) {
		t.Errorf("a receipt for what was not sent: %v", err)
	}
}

// The last message of STDIN may lack its separator; it is sent, kept and
// acknowledged like any other.
func TestLastMessageNeedsNoSeparator(t *testing.T) {
	t.Parallel()
	b := v1Outbox(framing.NUL, 16, 100)
	b.fill(strings.NewReader("a\x00b\n"), false)
	b.sends(t, 1, "a")
	b.sends(t, 2, "b\n")
	b.rewind()
	if err := b.begin(100, 1); err != nil {
		t.Fatal(err)
	}
	b.sends(t, 2, "b\n")
	if all, err := b.acknowledged(2); !all || err != nil {
		t.Error(all, err)
	}
}

// With a full ring whoever waits for receipts says so; the ring grows for a
// message that the server takes.
func TestFullRingAsksForReceipts(t *testing.T) {
	t.Parallel()
	b := v1Outbox(framing.Lines, 8, 20)
	hungry := make(chan struct{}, 10)
	b.hungry = func() { hungry <- struct{}{} }
	const long = "0123456789abcdefghi"
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		b.fill(strings.NewReader("a\nb\n"+long+"\nz"), false)
	}()
	b.sends(t, 1, "a")
	b.sends(t, 2, "b")
	await(t, hungry, "the need of a receipt")
	if !b.starving.Load() {
		t.Error("it does not starve")
	}
	_, _ = b.acknowledged(2)
	b.sends(t, 3, long)
	_, _ = b.acknowledged(3)
	await(t, filled, "the end of STDIN")
	b.sends(t, 4, "z")
	if b.size() > 22 {
		t.Errorf("the ring has grown to %d", b.size())
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
		b := v1Outbox(c.frame, 16, 5)
		go b.fill(&oneByOne{strings.NewReader(c.in)}, false)
		n := int64(0)
		for _, want := range c.sent {
			n++
			b.sends(t, n, want)
			_, _ = b.acknowledged(n)
		}
		if m, ok := b.message(never); ok {
			t.Errorf("%q: sends %q", c.in, m.data)
		}
		if err := b.complaint(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: says %v, want %s", c.in, err, c.says)
		}
		if s := b.stdin(); s.kept != 0 {
			t.Errorf("%q: %d bytes are kept", c.in, s.kept)
		}
	}
}

// oneByOne gives a byte at a time.
type oneByOne struct{ r io.Reader }

func (o *oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// FuzzReceipts plays STDIN, a server and breaks by turns: the server, which
// takes each number once, gets every message that is not too long, once and in
// order.
func FuzzReceipts(f *testing.F) {
	f.Add([]byte("hello\nworld\n\nx"), []byte{3, 1, 2, 0, 0x43, 5, 1, 1}, int8(0), uint8(20))
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz\nshort\r\n"), []byte{9, 9, 1, 2, 9, 3, 9, 9, 1}, int8(0), uint8(9))
	f.Add([]byte("0123456789abcdef"), []byte{5, 1, 2, 3, 5}, int8(4), uint8(4))
	f.Fuzz(func(t *testing.T, in, moves []byte, frame int8, longest uint8) {
		if frame < int8(framing.NUL) || longest == 0 || len(in)+len(moves) > 1000 {
			return
		}
		f := framing.Framing(frame)
		b := v1Outbox(f, max(16, int(f)), int(longest))
		var got [][]byte
		taken := int64(0) // by the server
		lost := false     // the connection: what is sent does not arrive
		rest := in
		room := func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.head-b.tail < b.size() || b.next == b.tail && b.ends <= b.tail && b.size() < b.longest+2
		}
		sends := func() bool { // message, if it would not wait
			tries := 0
			m, ok := b.message(func() bool { tries++; return tries > 1 || wouldWait(b) })
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
					b.end(nil)
				} else if room() {
					n := copy(b.room(), rest[:min(len(rest), int(move>>4)+1)])
					b.filled(n)
					rest = rest[n:]
				}
			case 1:
				sends()
			case 2:
				if !lost {
					if _, err := b.acknowledged(taken); err != nil {
						t.Fatal(err)
					}
				}
			case 3:
				if lost = move&4 != 0; !lost { // what follows is lost until there is another
					b.rewind()
					if err := b.begin(int(longest), taken); err != nil {
						t.Fatal(err)
					}
					b.connected()
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
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", sendable(f, in, int(longest))) || b.stdin().kept != 0 {
			t.Fatalf("the server got %q, want %q; %d bytes are kept", got, sendable(f, in, int(longest)), b.stdin().kept)
		}
	})
}

// wouldWait reports whether message would wait for something to happen.
func wouldWait(b *outbox) bool {
	end := b.nextEnd()
	switch {
	case b.next == b.head:
		return true
	case b.unsendable(end):
		return b.tail < b.next
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
