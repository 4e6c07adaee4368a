package visible

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

var shown = []struct{ name, in, want string }{
	{"nothing", "", ""},
	{"text, tab and newline", "a\tb\n", "a\tb\n"},
	{"printable beyond ASCII", "naïve ① 漢字 🎺 é\n", "naïve ① 漢字 🎺 é\n"},
	{"a backslash", `\x1b`, `\x1b`},
	{"U+FFFD itself", "\ufffd", "\ufffd"},
	{"the last code point", "\U0010ffff", "\U0010ffff"},
	{"NUL", "a\x00b", `a\x00b`},
	{"carriage return", "a\r\n", "a\\x0d\n"},
	{"bell and backspace", "\a\b", `\x07\x08`},
	{"the last of C0", "\x1f ", `\x1f `},
	{"DEL", "~\x7f", `~\x7f`},
	{"clear the screen", "\x1b[2J", `\x1b[2J`},
	{"set the title", "\x1b]0;x\a", `\x1b]0;x\x07`},
	{"write the clipboard", "\x1b]52;c;eA==\x1b\\", `\x1b]52;c;eA==\x1b\`},
	{"C1 as code points", "\u0080\u009b2J\u009f\u00a0", "\\u0080\\u009b2J\\u009f\u00a0"},
	{"C1 as raw bytes", "\x80\x9b2J\x9f", `\x80\x9b2J\x9f`},
	{"bidirectional embeddings", "\u2029\u202a\u202e\u202f", "\u2029\\u202a\\u202e\u202f"},
	{"bidirectional isolates", "\u2065\u2066\u2069\u206a", "\u2065\\u2066\\u2069\u206a"},
	{"bidirectional marks", "\u200d\u200e\u200f\u2010\u061b\u061c\u061d", "\u200d\\u200e\\u200f\u2010\u061b\\u061c\u061d"},
	{"no UTF-8", "\xff\xfe\xc0\xaf", `\xff\xfe\xc0\xaf`},
	{"an overlong escape", "\xc0\x9b", `\xc0\x9b`},
	{"a surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
	{"beyond the last code point", "\xf4\x90\x80\x80", `\xf4\x90\x80\x80`},
	{"a sequence cut short by another", "\xe2\xe2\x82\xac", `\xe2€`},
	{"a sequence cut short by the end", "x\xe2\x82", `x\xe2\x82`},
}

func TestControlBytesAreShownAndTheRestIsNot(t *testing.T) {
	for _, tt := range shown {
		if got := string(Append([]byte("> "), []byte(tt.in))); got != "> "+tt.want {
			t.Errorf("%s: Append(%q) is %q, want %q", tt.name, tt.in, got, "> "+tt.want)
		}
	}
}

func TestWritesMaySplitTextAnywhere(t *testing.T) {
	for _, tt := range shown {
		for i := range len(tt.in) + 1 {
			if got := written(t, tt.in[:i], tt.in[i:]); got != tt.want {
				t.Errorf("%s: %q and %q are written as %q, want %q", tt.name, tt.in[:i], tt.in[i:], got, tt.want)
			}
		}
		if got := written(t, strings.Split(tt.in, "")...); got != tt.want {
			t.Errorf("%s: %q rune by rune is written as %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

func TestHalfASequenceWaitsForItsEnd(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, part := range []string{"€ \xe2", "\x82"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write(%q) returned %d, %v", part, n, err)
		}
	}
	if got := out.String(); got != "€ " {
		t.Fatalf("before the end of the sequence there is %q, want %q", got, "€ ")
	}
	if _, err := w.Write([]byte("\xac")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "€ €" {
		t.Errorf("after it there is %q, want %q", got, "€ €")
	}
}

func TestAnErrorIsPassedOn(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"plain", "\x1b[2J", "\xe2"} {
		w := NewWriter(writerFunc(func([]byte) (int, error) { return 0, broken }))
		n, err := w.Write([]byte(text))
		if err == nil {
			err = w.Flush()
			n = 0
		}
		if n != 0 || !errors.Is(err, broken) {
			t.Errorf("Write(%q) and Flush returned %d, %v, want 0, %v", text, n, err, broken)
		}
	}
}

func TestShowingAllocatesNothing(t *testing.T) {
	w := NewWriter(writerFunc(func(p []byte) (int, error) { return len(p), nil }))
	for _, text := range []string{"plain text, naïve ①\n", "red \x1b[31m text\xff\n", "half \xe2"} {
		p := []byte(text)
		if n := testing.AllocsPerRun(100, func() { _, _ = w.Write(p) }); n != 0 {
			t.Errorf("Write(%q) allocates %v times", text, n)
		}
	}
}

// Whatever comes in and however it is cut, a terminal obeys nothing of what
// comes out, and printable text comes out as it went in.
func FuzzVisible(f *testing.F) {
	for i, tt := range shown {
		f.Add([]byte(tt.in), uint(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint) {
		out := Append(nil, in)
		if r, bad := commands(out); bad {
			t.Fatalf("Append(%q) is %q, which holds %q", in, out, r)
		}
		if _, bad := commands(in); !bad && !bytes.Equal(in, out) {
			t.Fatalf("printable %q became %q", in, out)
		}
		i := int(cut % uint(len(in)+1))
		if got := written(t, string(in[:i]), string(in[i:])); got != string(out) {
			t.Fatalf("%q cut at %d is written as %q, want %q", in, i, got, out)
		}
	})
}

// commands finds the first thing in text that a terminal may obey. It knows
// nothing of how the package finds it.
func commands(text []byte) (rune, bool) {
	const bidi = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
	for i, r := range string(text) {
		control := r < 0x20 && r != '\t' && r != '\n' || 0x7f <= r && r < 0xa0
		invalid := r == utf8.RuneError && !bytes.HasPrefix(text[i:], []byte("\ufffd"))
		if control || invalid || strings.ContainsRune(bidi, r) {
			return r, true
		}
	}
	return 0, false
}

// written returns what a Writer makes of parts, each written by itself.
func written(t *testing.T, parts ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, part := range parts {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write(%q) returned %d, %v", part, n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
