package join

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/scene"
)

func never() bool { return false }

func smallOutbox(frame framing.Framing, size int) *outbox {
	b := newOutbox(frame, func() {})
	b.data = make([]byte, size)
	return b
}

func smallRawQueue(frame framing.Framing, size int) *rawQueue {
	return &rawQueue{outbox: smallOutbox(frame, size)}
}

// hasRoom reports whether room would not wait.
func (q *rawQueue) hasRoom() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.isFull() || q.giveUpLong()
}

// put is STDIN giving s, for which there must be room.
func (q *rawQueue) put(t *testing.T, s string) {
	t.Helper()
	for s != "" {
		if !q.hasRoom() {
			t.Fatalf("no room for %q", s)
		}
		n := copy(q.room(), s)
		q.filled(n)
		s = s[n:]
	}
}

// get returns the connection taking n bytes.
func (q *rawQueue) get(t *testing.T, n int) string {
	t.Helper()
	got := ""
	for len(got) < n {
		p := q.take(never)
		p = p[:min(len(p), n-len(got))]
		got += string(p)
		q.took(len(p))
	}
	return got
}

// A message of which a part was sent is sent again whole; one that was sent
// whole is not.
func TestBreakRewindsToTheMessagesBeginning(t *testing.T) {
	for _, c := range []struct {
		frame framing.Framing
		in    string
		sent  int
		want  string // what the next connection gets
	}{
		{framing.Lines, "one\ntwo\nthree\n", 0, "one\ntwo\nthree\n"},
		{framing.Lines, "one\ntwo\nthree\n", 3, "one\ntwo\nthree\n"},
		{framing.Lines, "one\ntwo\nthree\n", 4, "two\nthree\n"},
		{framing.Lines, "one\ntwo\nthree\n", 9, "three\n"},
		{framing.Lines, "one\ntwo\nthr", 9, "thr"},
		{framing.NUL, "one\x00t\nwo\x00", 6, "t\nwo\x00"},
		{framing.Raw, "abcdef", 3, "def"},
		{4, "abcdefghij", 7, "efghij"},
		{4, "abcdefghij", 8, "ij"},
	} {
		q := smallRawQueue(c.frame, 64)
		q.put(t, c.in)
		if got := q.get(t, c.sent); got != c.in[:c.sent] {
			t.Errorf("sent %q", got)
		}
		if q.rewind() {
			t.Errorf("%q, %d sent: a message is said to be lost", c.in, c.sent)
		}
		if got := q.get(t, len(c.want)); got != c.want || q.stdin().unsent != 0 {
			t.Errorf("%q, %d sent: the next connection gets %q, %d left, want %q", c.in, c.sent, got, q.stdin().unsent, c.want)
		}
	}
}

// A message longer than the ring goes through, but a break inside it loses it
// whole: the next connection begins with the next message.
func TestBreakInsideAMessageLongerThanTheRing(t *testing.T) {
	q := smallRawQueue(framing.Lines, 8)
	q.put(t, "0123")
	q.get(t, 4)
	q.put(t, "4567") // full
	q.get(t, 4)
	q.put(t, "89abcdef")
	q.get(t, 3)
	if !q.rewind() {
		t.Error("no message is said to be lost")
	}
	if q.rewind() {
		t.Error("one message is said to be lost twice")
	}
	go func() {
		for _, s := range []string{"ghijklmn", "op\nab\ncd", "\n"} {
			for s != "" {
				n := copy(q.room(), s)
				q.filled(n)
				s = s[n:]
			}
		}
	}()
	if got := q.get(t, 6); got != "ab\ncd\n" {
		t.Errorf("the next connection gets %q", got)
	}
}

// A full ring stops reading STDIN, and says so if there is no connection.
func TestFullRingStopsReadingStdin(t *testing.T) {
	full := make(chan struct{})
	q := smallRawQueue(framing.Lines, 8)
	q.full = func() { close(full) }
	q.rewind()
	read := &countingReader{r: strings.NewReader("a\nb\nc\nd\ne\nf\n")}
	filled := make(chan struct{})
	go func() { defer close(filled); q.fill(read, q.room, false) }()
	await(t, full, "being told that STDIN must wait")
	if read.n != 8 { // fill waits in room: nobody else reads
		t.Errorf("%d bytes were read into a ring of 8", read.n)
	}
	q.connected()
	if got := q.get(t, 12); got != "a\nb\nc\nd\ne\nf\n" {
		t.Errorf("sent %q", got)
	}
	await(t, filled, "the end of STDIN")
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestLastMessageIsCompletedIfItShall(t *testing.T) {
	for _, c := range []struct {
		frame    framing.Framing
		in, want string
	}{
		{framing.Lines, "a\nb", "a\nb\n"},
		{framing.Lines, "a\nb\n", "a\nb\n"},
		{framing.Lines, "", ""},
		{framing.NUL, "a", "a\x00"},
		{framing.Raw, "a", "a"},
		{4, "abcde", "abcde"},
	} {
		q := smallRawQueue(c.frame, 64)
		q.fill(strings.NewReader(c.in), q.room, true)
		if got := string(q.take(never)); got != c.want {
			t.Errorf("frame %d, %q: sent %q, want %q", c.frame, c.in, got, c.want)
		}
		q = smallRawQueue(c.frame, 64)
		q.fill(strings.NewReader(c.in), q.room, false)
		if got := string(q.take(never)); got != c.in {
			t.Errorf("frame %d, %q: sent %q, not to be completed", c.frame, c.in, got)
		}
	}
}

func TestStdinsErrorIsKept(t *testing.T) {
	q := smallRawQueue(framing.Lines, 64)
	q.fill(io.MultiReader(strings.NewReader("a\n"), failingReader{}), q.room, false)
	if s := q.stdin(); !s.ended || s.bytes != 2 || !errors.Is(s.err, io.ErrUnexpectedEOF) {
		t.Errorf("after an error STDIN is %+v", s)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(scene.LongEnough):
		t.Fatalf("waited in vain for %s", what)
	}
}

// FuzzRawQueue plays STDIN and connections that break by turns against what they
// may do: every connection gets messages in order, beginning with a whole one;
// none arrives whole twice, unless it is a last one without its separator;
// none that fits the ring is lost.
func FuzzRawQueue(f *testing.F) {
	f.Add([]byte("hello\nworld\n"), []byte{3, 5, 0, 2, 255, 7}, int8(0))
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz\nshort\n"), []byte{9, 9, 9, 255, 9, 9, 9, 9, 9}, int8(0))
	f.Add([]byte("0123456789abcdef"), []byte{5, 255, 5, 255}, int8(4))
	f.Add([]byte("raw"), []byte{1, 255, 1}, int8(-2))
	f.Fuzz(func(t *testing.T, in, moves []byte, frame int8) {
		const size = 16
		if frame < int8(framing.Raw) || frame > size || len(in)+len(moves) > 1000 {
			return
		}
		f := framing.Framing(frame)
		q := smallRawQueue(f, size)
		streams := [][]byte{nil}
		rest := in
		step := func(move byte) {
			if move == 255 {
				q.rewind()
				q.connected()
				streams = append(streams, nil)
				return
			}
			if q.hasRoom() {
				n := copy(q.room(), rest[:min(len(rest), int(move>>4)+1)])
				q.filled(n)
				rest = rest[n:]
			}
			q.mu.Lock()
			q.skipTorn()
			some := q.next < q.head
			q.mu.Unlock()
			if some {
				p := q.take(never)
				p = p[:min(len(p), int(move&15))]
				streams[len(streams)-1] = append(streams[len(streams)-1], p...)
				q.took(len(p))
			}
			if q.head-q.tail > q.size() || q.next < q.tail || q.next > q.head {
				t.Fatalf("tail %d, next %d, head %d", q.tail, q.next, q.head)
			}
		}
		for _, m := range moves {
			step(m)
		}
		for range 4 * (len(in) + size) {
			step(0xff - 0x10)
		}
		check(t, f, in, streams, size)
	})
}

// check finds what the connections got among the messages of in.
func check(t *testing.T, f framing.Framing, in []byte, streams [][]byte, size int) {
	t.Helper()
	next := 0 // the first message no connection has got whole
	messages := split(f, in)
	for i, stream := range streams {
		for _, m := range split(f, stream) {
			last := i == len(streams)-1
			for next < len(messages) && !bytes.HasPrefix(messages[next], m) {
				if len(messages[next]) < size {
					t.Fatalf("message %q of %q is lost; connections got %q", messages[next], in, streams)
				}
				next++
			}
			if next == len(messages) {
				t.Fatalf("%q is none of the messages left of %q; connections got %q", m, in, streams)
			}
			ended := next < len(messages)-1 || f.LastEnd(in, 0) == len(in)
			if len(m) == len(messages[next]) && (ended || last) {
				next++
			} else if last {
				t.Fatalf("%q is torn for good; connections got %q of %q", m, streams, in)
			}
		}
	}
	for _, m := range messages[min(next, len(messages)):] {
		if len(m) < size {
			t.Fatalf("message %q of %q never came; connections got %q", m, in, streams)
		}
	}
}

func split(f framing.Framing, in []byte) (messages [][]byte) {
	for at := 0; at < len(in); {
		n := f.FirstEnd(in[at:], int64(at))
		switch {
		case f == framing.Raw:
			n = 1 // each byte can be lost alone
		case n == 0:
			n = len(in) - at
		}
		messages = append(messages, in[at:at+n])
		at += n
	}
	return messages
}
