package pump

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"hubbub.example/internal/framing"
)

// reading is a chunker, what came out of it, and what it reported.
type reading struct {
	*Chunker
	t        testing.TB
	messages []string // with their separators
	long     int      // messages that were too long
	dropped  int      // bytes at the end
}

func newReading(t testing.TB, framing framing.Framing, longest int) *reading {
	return &reading{t: t, Chunker: &Chunker{framing: framing, longest: framing.Bound(longest), chunk: ChunkSize, most: 3 * overhead}}
}

// reads gives the chunker a chunk, as a source does, and takes what is whole.
func (r *reading) reads(p string) {
	r.t.Helper()
	r.long += r.Took(copy(r.Space(), p))
	r.take()
}

func (r *reading) endsInput() {
	r.t.Helper()
	r.dropped += r.Finish()
	r.take()
	if len(r.buf) > 0 {
		r.t.Errorf("at the end %q is left", r.buf)
	}
}

func (r *reading) take() {
	r.t.Helper()
	for r.Pending() {
		p, ends := r.Part()
		at := 0
		for _, end := range ends {
			r.messages = append(r.messages, string(p[at:end]))
			at = end
		}
		if at != len(p) {
			r.t.Errorf("the messages end at %d, their bytes at %d", at, len(p))
		}
		if Weight(len(p), len(ends)) > r.most && len(ends) > 1 {
			r.t.Errorf("%d messages of %d bytes come at a time", len(ends), len(p))
		}
		r.Done()
	}
	if len(r.buf) > r.longest {
		r.t.Errorf("%d bytes are left behind the messages, the longest is %d", len(r.buf), r.longest)
	}
}

func (r *reading) gave(want ...string) {
	r.t.Helper()
	if !slices.Equal(r.messages, want) {
		r.t.Errorf("it gave %q, want %q", r.messages, want)
	}
}

// A message of the longest length is one, a byte more makes it two.
func TestLongLineGoesOnInPieces(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		long int
	}{
		{"12345678\n", []string{"12345678\n"}, 0},
		{"123456789\n", []string{"12345678\n", "9\n"}, 1},
		{"1234567812345678\n", []string{"12345678\n", "12345678\n"}, 1},
		{"12345678123456781\n", []string{"12345678\n", "12345678\n", "1\n"}, 1},
		{"ab\n123456789\nc\n", []string{"ab\n", "12345678\n", "9\n", "c\n"}, 1},
		{"123456789\n\n123456789\n", []string{"12345678\n", "9\n", "\n", "12345678\n", "9\n"}, 2},
	} {
		r := newReading(t, framing.Lines, 8)
		r.reads(c.in)
		r.gave(c.want...)
		if r.long != c.long {
			t.Errorf("%q: %d messages were too long, want %d", c.in, r.long, c.long)
		}
		r.endsInput()
	}
}

// However many chunks a long message comes in, it counts once, and the next
// long one, though it begins where the first ends, counts again.
func TestLongLineCountsOnce(t *testing.T) {
	r := newReading(t, framing.Lines, 100)
	for range 10 {
		r.reads(strings.Repeat("x", 150))
	}
	if r.long != 1 {
		t.Errorf("%d messages were too long", r.long)
	}
	r.reads("x\n" + strings.Repeat("y", 150))
	if r.long != 2 {
		t.Errorf("with the next one, %d messages were too long", r.long)
	}
	r.reads("\nshort\n" + strings.Repeat("z", 101))
	r.endsInput()
	if r.long != 3 {
		t.Errorf("with the last one, %d messages were too long", r.long)
	}
}

// A long message goes on as it comes, and is never kept whole.
func TestLongLineIsNotKept(t *testing.T) {
	r := newReading(t, framing.Lines, 1000)
	for range 1000 {
		r.reads(strings.Repeat("x", 999))
		if cap(r.buf) > 8*(ChunkSize+1000) {
			t.Fatalf("the chunker holds %d bytes", cap(r.buf))
		}
	}
}

// A last line without its newline counts.
func TestLastLineCountsWithoutItsNewline(t *testing.T) {
	for _, c := range []struct {
		framing framing.Framing
		in      string
		want    []string
	}{
		{framing.Lines, "", nil},
		{framing.Lines, "one\n", []string{"one\n"}},
		{framing.Lines, "one\ntwo", []string{"one\n", "two\n"}},
		{framing.Lines, "one\n\n", []string{"one\n", "\n"}},
		{framing.Lines, "one\r\ntwo\r", []string{"one\r\n", "two\r\n"}},
		{framing.NUL, "one\x00two", []string{"one\x00", "two\x00"}},
		{framing.Raw, "one\ntwo", []string{"one\ntwo"}},
	} {
		r := newReading(t, c.framing, 100)
		r.reads(c.in)
		r.endsInput()
		r.gave(c.want...)
		if r.long != 0 || r.dropped != 0 {
			t.Errorf("%q: %d messages were too long, %d bytes dropped", c.in, r.long, r.dropped)
		}
	}
}

// Records come out whole, whatever the chunks are; a piece of one at the end
// is dropped, and reported.
func TestRecordsAreNeverTorn(t *testing.T) {
	r := newReading(t, framing.Framing(4), 1000)
	for _, part := range []string{"123", "4", "abcdABC", "D", "12"} {
		r.reads(part)
	}
	r.gave("1234", "abcd", "ABCD")
	r.endsInput()
	r.gave("1234", "abcd", "ABCD")
	if r.dropped != 2 {
		t.Errorf("%d bytes were dropped", r.dropped)
	}
}

// Bytes as they come have no length to exceed: what is read at once and is
// too much is several messages, none of them too long.
func TestRawBytesAreNeverTooLong(t *testing.T) {
	r := newReading(t, framing.Raw, 4)
	r.reads("12345678ab")
	r.gave("1234", "5678", "ab")
	r.endsInput()
	if r.long != 0 {
		t.Errorf("%d messages were too long", r.long)
	}
}

// A chunk is no larger than the backlog's segment, however small that is.
func TestChunkIsNoLargerThanASegment(t *testing.T) {
	for _, segment := range []int{1 << 10, ChunkSize, 4 << 20} {
		if got := len(NewChunker(framing.Lines, 1000, segment).Space()); got > segment || got > ChunkSize {
			t.Errorf("with segments of %d a chunk is %d", segment, got)
		}
	}
}

// Whatever is read, in whatever chunks, the same comes out: every message, in
// pieces of the longest length where it is longer, each long one counted once.
func FuzzChunker(f *testing.F) {
	f.Add(uint8(0), uint8(8), []byte("one\ntwo two two two\n\nthree"), []byte{3, 1, 9})
	f.Add(uint8(0), uint8(1), []byte("abc\n\nd\r\ne"), []byte{2})
	f.Add(uint8(1), uint8(3), []byte("one\x00\x00four\x00f"), []byte{1, 1, 1})
	f.Add(uint8(2), uint8(3), []byte("anything"), []byte{5})
	f.Add(uint8(3), uint8(5), []byte("123451234512"), []byte{7})
	f.Fuzz(func(t *testing.T, kind, number uint8, data, cuts []byte) {
		longest := 1 + int(number%32)
		f := []framing.Framing{framing.Lines, framing.NUL, framing.Raw, framing.Framing(longest)}[kind%4]
		r := newReading(t, f, longest)
		for rest := string(data); len(rest) > 0; {
			n := min(len(rest), ChunkSize)
			if len(cuts) > 0 {
				n, cuts = min(n, 1+int(cuts[0])), cuts[1:]
			}
			r.reads(rest[:n])
			rest = rest[n:]
		}
		r.endsInput()
		r.checkLengths()
		switch f {
		case framing.Raw:
			r.checkBytes(string(data))
		case framing.Framing(longest):
			r.checkBytes(string(data[:len(data)-len(data)%longest]))
		default:
			want, long := inPieces(data, f.Separator(), longest)
			r.gave(want...)
			if r.long != long {
				t.Errorf("%d messages are too long, it counted %d", long, r.long)
			}
		}
	})
}

func (r *reading) checkLengths() {
	r.t.Helper()
	for _, m := range r.messages {
		if n := len(m) - len(r.framing.Separator()); n > r.longest {
			r.t.Errorf("%q is %d bytes long, the longest is %d", m, n, r.longest)
		}
	}
}

func (r *reading) checkBytes(want string) {
	r.t.Helper()
	if got := strings.Join(r.messages, ""); got != want {
		r.t.Errorf("it gave %q, want %q", got, want)
	}
}

// inPieces returns what becomes of data, and how many of its messages are too long.
func inPieces(data, separator []byte, longest int) (want []string, long int) {
	messages := bytes.Split(data, separator)
	if last := len(messages) - 1; len(messages[last]) == 0 {
		messages = messages[:last]
	}
	for _, m := range messages {
		if len(m) > longest {
			long++
		}
		for ; len(m) > longest; m = m[longest:] {
			want = append(want, string(m[:longest])+string(separator))
		}
		want = append(want, string(m)+string(separator))
	}
	return want, long
}
