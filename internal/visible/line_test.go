package visible

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var lines = []struct{ name, in, want string }{
	{"nothing", "", ""},
	{"text", "naïve ① 漢字 🎺 é", "naïve ① 漢字 🎺 é"},
	{"a newline", "a\nb", `a\x0ab`},
	{"a carriage return", "a\rb", `a\x0db`},
	{"clear the screen", "\x1b[2J", `\x1b[2J`},
	{"C1, both ways", "\u009b2J\x9b", `\u009b2J\x9b`},
	{"a tab", "a\tb", "a       b"},
	{"a tab at a stop", "12345678\tb", "12345678        b"},
	{"a tab behind wide characters", "漢字\tb", "漢字    b"},
	{"an override of direction", "a\u202eb", `a\u202eb`},
	{"separators of lines", "a\u2028b\u2029", `a\u2028b\u2029`},
	{"what one cannot see", "a\u200bb\u00ad\ufeff\u3164", `a\u200bb\u00ad\ufeff\u3164`},
	{"tags", "\U0001f3f4\U000e0067", `🏴\U000e0067`},
	{"a family", "👨‍👩‍👧", "👨‍👩‍👧"},
	{"Persian", "می\u200cخواهم", "می\u200cخواهم"},
	{"a joiner between letters of ASCII", "ad\u200dmin", `ad\u200dmin`},
	{"a joiner at the end", "é\u200d", `é\u200d`},
	{"joiners in a row", "é\u200d\u200dé", `é\u200d\u200dé`},
	{"an Arabic sign that is no control", "\u0600", "\u0600"},
	{"as many marks as may be", "e" + strings.Repeat("\u0301", maxMarks), "e" + strings.Repeat("\u0301", maxMarks)},
	{"one too many", "e" + strings.Repeat("\u0301", maxMarks+1) + "e", "e" + strings.Repeat("\u0301", maxMarks) + `\u0301e`},
	{"no UTF-8", "\xff\xe2\x82", `\xff\xe2\x82`},
}

func TestALineStaysOneLine(t *testing.T) {
	for _, tt := range lines {
		if got := string(AppendLine([]byte("> "), []byte(tt.in))); got != "> "+tt.want {
			t.Errorf("%s: AppendLine(%q) is %q, want %q", tt.name, tt.in, got, "> "+tt.want)
		}
	}
}

func TestNextIsACharacterAndItsCells(t *testing.T) {
	for text, want := range map[string][2]int{
		"":         {0, 0},
		"ab":       {1, 1},
		"漢字":       {3, 2},
		"e\u0301x": {3, 1},
		"👨‍👩‍👧 ":   {len("👨‍👩‍👧"), 2},
	} {
		if size, cells := Next(text); size != want[0] || cells != want[1] {
			t.Errorf("Next(%q) is %d, %d, want %d, %d", text, size, cells, want[0], want[1])
		}
	}
}

// Whatever comes in, what comes out moves nothing on the screen, hides
// nothing and covers no other line; what anybody can type comes out as it is.
func FuzzLine(f *testing.F) {
	for _, tt := range append(lines, shown...) {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out := AppendLine(nil, in)
		if r, bad := commands(out); bad || bytes.ContainsAny(out, "\t\n") {
			t.Fatalf("AppendLine(%q) is %q, which holds %q", in, out, r)
		}
		marks := 0
		for i, r := range string(out) {
			switch {
			case unicode.In(r, unicode.Mn, unicode.Me):
				marks++
			case r == 0x200c || r == 0x200d:
				before, _ := utf8.DecodeLastRune(out[:i])
				after, _ := utf8.DecodeRune(out[i+3:])
				if before < 0x80 || after < 0x80 {
					t.Fatalf("AppendLine(%q) is %q, with a joiner between %q and %q", in, out, before, after)
				}
				continue
			case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r):
				t.Fatalf("AppendLine(%q) is %q, with %U to be seen by nobody", in, out, r)
			default:
				marks = 0
			}
			if marks > maxMarks {
				t.Fatalf("AppendLine(%q) is %q, with %d marks on a character", in, out, marks)
			}
		}
		if printable(in) && !bytes.Equal(in, out) {
			t.Fatalf("printable %q became %q", in, out)
		}
	})
}

func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// Tabs cost by their number, not by its square: a stranger sends as many as
// he likes.
func BenchmarkTabs(b *testing.B) {
	for name, n := range map[string]int{"1": 1 << 10, "16": 16 << 10} {
		b.Run(name+"Ki", func(b *testing.B) {
			text, out := bytes.Repeat([]byte("é\t"), n), []byte(nil)
			for b.Loop() {
				out = AppendLine(out[:0], text)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/tab")
		})
	}
}
