package join

import (
	"strings"
	"testing"
)

func TestParseFrame(t *testing.T) {
	for in, want := range map[string]Frame{"line": Lines, "nul": NUL, "raw": Raw, "1": 1, "16777216": 1 << 24} {
		if got, err := ParseFrame(in); err != nil || got != want {
			t.Errorf("ParseFrame(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "lines", "0", "-1", "16777217", "1.5", "99999999999999999999"} {
		if got, err := ParseFrame(in); err == nil || !strings.Contains(err.Error(), "line, nul, raw or") {
			t.Errorf("ParseFrame(%q) = %v, %v, want what would be right", in, got, err)
		}
	}
}

func TestWhereMessagesEnd(t *testing.T) {
	for _, c := range []struct {
		frame       Frame
		in          string
		offset      int64
		first, last int
	}{
		{Lines, "", 0, -1, -1},
		{Lines, "ab", 0, -1, -1},
		{Lines, "ab\ncd\ne", 0, 3, 6},
		{Lines, "\n", 0, 1, 1},
		{NUL, "a\x00b\x00", 7, 2, 4},
		{NUL, "a\n", 0, -1, -1},
		{Raw, "", 0, -1, -1},
		{Raw, "abc", 5, 1, 3},
		{4, "", 0, -1, -1},
		{4, "abc", 0, -1, -1},
		{4, "abcd", 0, 4, 4},
		{4, "abcde", 0, 4, 4},
		{4, "abcde", 3, 1, 5},
		{4, "ab", 1, -1, -1},
		{4, "abc", 1, 3, 3},
		{4, "abcdefgh", 2, 2, 6},
		{1, "abc", 2, 1, 3},
	} {
		if first, last := c.frame.firstEnd([]byte(c.in), c.offset), c.frame.lastEnd([]byte(c.in), c.offset); first != c.first || last != c.last {
			t.Errorf("frame %d, %q at %d: messages end first at %d, last at %d, want %d, %d", c.frame, c.in, c.offset, first, last, c.first, c.last)
		}
	}
}
