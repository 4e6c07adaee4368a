package framing

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Where a message ends, at every place where an answer may change.
func TestFramingAtTheBoundaries(t *testing.T) {
	for _, c := range []struct {
		framing Framing
		bytes   string
		whole   int
		first   int
		ends    []int
	}{
		{Lines, "", 0, 0, nil},
		{Lines, "\n", 1, 1, []int{1}},
		{Lines, "a", 0, 0, nil},
		{Lines, "a\n", 2, 2, []int{2}},
		{Lines, "a\nb", 2, 2, []int{2}},
		{Lines, "\n\n\n", 3, 1, []int{1, 2, 3}},
		{Lines, "a\n\nb\n", 5, 2, []int{2, 3, 5}},
		{Lines, "a\x00b", 0, 0, nil},
		{Lines, "a\r\nb\r", 3, 3, []int{3}},
		{NUL, "", 0, 0, nil},
		{NUL, "\x00", 1, 1, []int{1}},
		{NUL, "a\nb", 0, 0, nil},
		{NUL, "a\n\x00b", 3, 3, []int{3}},
		{NUL, "a\x00\x00", 3, 2, []int{2, 3}},
		{Raw, "", 0, 0, nil},
		{Raw, "\n", 1, 1, []int{1}},
		{Raw, "a\nb\x00c", 5, 5, []int{5}},
		{Framing(1), "", 0, 0, nil},
		{Framing(1), "ab\n", 3, 1, []int{1, 2, 3}},
		{Framing(3), "ab", 0, 0, nil},
		{Framing(3), "a\nb", 3, 3, []int{3}},
		{Framing(3), "abcd", 3, 3, []int{3}},
		{Framing(3), "abcde\x00", 6, 3, []int{3, 6}},
	} {
		t.Run(fmt.Sprintf("%v %q", c.framing, c.bytes), func(t *testing.T) {
			p := []byte(c.bytes)
			if got := c.framing.Whole(p); got != c.whole {
				t.Errorf("Whole is %d, want %d", got, c.whole)
			}
			if got := c.framing.First(p); got != c.first {
				t.Errorf("First is %d, want %d", got, c.first)
			}
			if got := c.framing.Ends(nil, p[:c.whole]); !slices.Equal(got, c.ends) {
				t.Errorf("Ends is %v, want %v", got, c.ends)
			}
			if got := c.framing.Count(p[:c.whole]); got != len(c.ends) {
				t.Errorf("Count is %d, want %d", got, len(c.ends))
			}
		})
	}
}

// Completes says no for as long as a byte is missing, and yes with it.
func TestCompletesWithTheLastByte(t *testing.T) {
	for _, c := range []struct {
		framing Framing
		have    int
		fresh   string
		want    bool
	}{
		{Lines, 0, "", false},
		{Lines, 5, "abc", false},
		{Lines, 5, "\n", true},
		{Lines, 0, "\nabc", true},
		{Lines, 5, "abc\n", true},
		{NUL, 5, "\n", false},
		{NUL, 5, "\x00", true},
		{Raw, 0, "a", true},
		{Framing(8), 0, "1234567", false},
		{Framing(8), 0, "12345678", true},
		{Framing(8), 7, "", false},
		{Framing(8), 7, "8", true},
		{Framing(8), 7, "8123", true},
	} {
		if got := c.framing.Completes(c.have, []byte(c.fresh)); got != c.want {
			t.Errorf("%v: %q completes what has %d bytes: %v, want %v", c.framing, c.fresh, c.have, got, c.want)
		}
	}
}

// A client's "\r\n" is a newline; every other "\r" is its own.
func TestCleanTakesOnlyWhatEndsALine(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"\n", "\n"},
		{"\r\n", "\n"},
		{"\r", "\r"},
		{"a\r\nb\n", "a\nb\n"},
		{"a\rb\n", "a\rb\n"},
		{"a\r\r\n", "a\r\n"},
		{"\r\n\r\n", "\n\n"},
		{"\n\r\n\r", "\n\n\r"},
		{"a\x00\r\n", "a\x00\n"},
	} {
		if got := string(Lines.Clean([]byte(c.in))); got != c.want {
			t.Errorf("line: %q becomes %q, want %q", c.in, got, c.want)
		}
		for _, f := range []Framing{NUL, Raw, Framing(3)} {
			if got := string(f.Clean([]byte(c.in))); got != c.in {
				t.Errorf("%v: %q becomes %q, want it as it is", f, c.in, got)
			}
		}
	}
}

// What may be a message, and how long one may be.
func TestRecordsHaveOneLength(t *testing.T) {
	for _, f := range []Framing{Lines, NUL, Raw} {
		if !f.Fits(nil) || !f.Fits([]byte("abc")) || f.Bound(100) != 100 {
			t.Errorf("%v: any length up to the user's bound fits", f)
		}
	}
	f := Framing(3)
	if f.Fits(nil) || f.Fits([]byte("ab")) || !f.Fits([]byte("abc")) || f.Fits([]byte("abcd")) {
		t.Error("a record of 3 is 3 bytes long")
	}
	if got := f.Bound(100); got != 3 {
		t.Errorf("the longest record of 3 is %d", got)
	}
}

// The zero value is Lines.
func TestZeroFramingIsLines(t *testing.T) {
	if got := Framing(0).Separator(); string(got) != "\n" {
		t.Errorf("the zero framing separates with %q", got)
	}
}

// However bytes are cut on their way, the same messages come out: those of
// the whole.
func FuzzFraming(f *testing.F) {
	f.Add(uint8(0), []byte("one\ntwo\r\n\n\r\nthree"), []byte{1, 2, 3})
	f.Add(uint8(1), []byte("one\x00\x00two\nthree\x00"), []byte{4, 1})
	f.Add(uint8(2), []byte("anything"), []byte{3})
	f.Add(uint8(3), []byte("12345678"), []byte{1})
	f.Add(uint8(6), []byte(strings.Repeat("1234", 9)), []byte{3, 4, 5})
	f.Fuzz(func(t *testing.T, kind uint8, data, cuts []byte) {
		framing := framingOf(kind)
		want, tail := reference(framing, data)
		checkWhole(t, framing, data, want)
		if framing == Raw {
			return // it has no messages but what came together
		}
		r := receiver{t: t, framing: framing}
		for rest := data; len(rest) > 0; {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[0]))
				cuts = cuts[1:]
			}
			r.take(rest[:n])
			rest = rest[n:]
		}
		if !slices.EqualFunc(r.messages, want, bytes.Equal) || !bytes.Equal(r.partial, tail) {
			t.Errorf("%v: %q in pieces gives %q and %q, want %q and %q", framing, data, r.messages, r.partial, want, tail)
		}
		checkClean(t, framing, data)
	})
}

func framingOf(kind uint8) Framing {
	switch kind % 8 {
	case 0:
		return Lines
	case 1:
		return NUL
	case 2:
		return Raw
	}
	return Framing(int(kind%8) - 2)
}

// reference cuts data into messages, with their separators, the slow way.
func reference(f Framing, data []byte) (messages [][]byte, tail []byte) {
	begin := 0
	for i, b := range data {
		end := false
		switch f {
		case Lines:
			end = b == '\n'
		case NUL:
			end = b == 0
		case Raw:
			end = i == len(data)-1
		default:
			end = i+1-begin == int(f)
		}
		if end {
			messages = append(messages, data[begin:i+1])
			begin = i + 1
		}
	}
	return messages, data[begin:]
}

// checkWhole compares what is said of data as one piece.
func checkWhole(t *testing.T, f Framing, data []byte, want [][]byte) {
	t.Helper()
	whole := data[:f.Whole(data)]
	if !bytes.Equal(whole, bytes.Join(want, nil)) {
		t.Errorf("%v: of %q, %q is whole, want %q", f, data, whole, want)
	}
	if got := f.Count(whole); got != len(want) {
		t.Errorf("%v: Count(%q) is %d, want %d", f, whole, got, len(want))
	}
	if f.Completes(0, data) != (len(whole) > 0) && f != Raw {
		t.Errorf("%v: Completes(0, %q) is %v, and %q is whole", f, data, f.Completes(0, data), whole)
	}
	ends := f.Ends([]int{-1}, whole)
	if ends[0] != -1 || len(ends)-1 != len(want) {
		t.Fatalf("%v: Ends(%q) is %v, want %d more", f, whole, ends, len(want))
	}
	at := 0
	for i, message := range want {
		at += len(message)
		if ends[i+1] != at {
			t.Errorf("%v: message %d of %q ends at %d, want %d", f, i, whole, ends[i+1], at)
		}
	}
}

// receiver takes bytes as they come, as a connection does.
type receiver struct {
	t        *testing.T
	framing  Framing
	partial  []byte
	messages [][]byte // with their separators
}

func (r *receiver) take(fresh []byte) {
	completes := r.framing.Completes(len(r.partial), fresh)
	p := append(r.partial, fresh...)
	whole := r.framing.Whole(p)
	if completes != (whole > 0) {
		r.t.Errorf("%v: %q behind %q completes a message: %v; %d bytes are whole", r.framing, fresh, r.partial, completes, whole)
	}
	for rest := p[:whole]; len(rest) > 0; {
		var message []byte
		message, rest = r.framing.Next(rest)
		r.messages = append(r.messages, slices.Concat(message, r.framing.Separator()))
	}
	r.partial = slices.Clone(p[whole:])
}

// checkClean compares with the way that needs a second copy.
func checkClean(t *testing.T, f Framing, data []byte) {
	t.Helper()
	want := data
	if f == Lines {
		want = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	}
	if got := f.Clean(slices.Clone(data)); !bytes.Equal(got, want) {
		t.Errorf("%v: Clean(%q) is %q, want %q", f, data, got, want)
	}
	if whole := data[:f.Whole(data)]; f.Count(f.Clean(slices.Clone(whole))) != f.Count(whole) {
		t.Errorf("%v: Clean(%q) holds another number of messages", f, whole)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]Framing{"line": Lines, "nul": NUL, "raw": Raw, "1": 1, "16777216": 1 << 24} {
		if got, err := Parse(in); err != nil || got != want || got.String() != in {
			t.Errorf("Parse(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "lines", "0", "-1", "16777217", "1.5", "99999999999999999999"} {
		if got, err := Parse(in); err == nil || !strings.Contains(err.Error(), "line, nul, raw or") {
			t.Errorf("Parse(%q) = %v, %v, want what would be right", in, got, err)
		}
	}
}

func TestWhereMessagesEnd(t *testing.T) {
	for _, c := range []struct {
		framing     Framing
		in          string
		offset      int64
		first, last int
	}{
		{Lines, "", 0, 0, 0},
		{Lines, "ab", 0, 0, 0},
		{Lines, "ab\ncd\ne", 0, 3, 6},
		{Lines, "\n", 0, 1, 1},
		{NUL, "a\x00b\x00", 7, 2, 4},
		{NUL, "a\n", 0, 0, 0},
		{Raw, "", 0, 0, 0},
		{Raw, "abc", 5, 3, 3},
		{4, "", 0, 0, 0},
		{4, "abc", 0, 0, 0},
		{4, "abcd", 0, 4, 4},
		{4, "abcde", 0, 4, 4},
		{4, "abcde", 3, 1, 5},
		{4, "ab", 1, 0, 0},
		{4, "abc", 1, 3, 3},
		{4, "abcdefgh", 2, 2, 6},
		{1, "abc", 2, 1, 3},
	} {
		if first, last := c.framing.FirstEnd([]byte(c.in), c.offset), c.framing.LastEnd([]byte(c.in), c.offset); first != c.first || last != c.last {
			t.Errorf("%v, %q at %d: messages end first at %d, last at %d, want %d, %d", c.framing, c.in, c.offset, first, last, c.first, c.last)
		}
	}
}
