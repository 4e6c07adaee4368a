package proto

import (
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestResumePoints(t *testing.T) {
	for _, c := range []struct {
		s     string
		epoch string
		seq   uint64
		ok    bool
	}{
		{"h5x2q9tk-4711", "h5x2q9tk", 4711, true},
		{"A-0", "A", 0, true},
		{"Zz09-18446744073709551615", "Zz09", math.MaxUint64, true},
		{"a-18446744073709551616", "", 0, false},
		{"", "", 0, false},
		{"-", "", 0, false},
		{"-1", "", 0, false},
		{"a", "", 0, false},
		{"a-", "", 0, false},
		{"a--1", "", 0, false},
		{"a-+1", "", 0, false},
		{"a-1-2", "", 0, false},
		{"a-1 ", "", 0, false},
		{" a-1", "", 0, false},
		{"a-1_0", "", 0, false},
		{"a-0x1", "", 0, false},
		{"a_b-1", "", 0, false},
		{"é-1", "", 0, false},
		{"[-1", "", 0, false},
		{":-1", "", 0, false},
		{"/-1", "", 0, false},
		{"`-1", "", 0, false},
		{"{-1", "", 0, false},
		{"@-1", "", 0, false},
		{"a\n-1", "", 0, false},
		{strings.Repeat("a", 64) + "-1", strings.Repeat("a", 64), 1, true},
		{strings.Repeat("a", 65) + "-1", "", 0, false},
	} {
		p, err := ParsePoint(c.s)
		if p != (Point{c.epoch, c.seq}) || (err == nil) != c.ok {
			t.Errorf("%q is %v, %v; want %q, %d, %v", c.s, p, err, c.epoch, c.seq, c.ok)
		}
		if err != nil && !strings.Contains(err.Error(), "must be EPOCH-SEQ") {
			t.Errorf("%q: %v", c.s, err)
		}
	}
}

// What is written can be read, and what can be read is a resume point.
func FuzzResumePoint(f *testing.F) {
	f.Add("h5x2q9tk", uint64(4711), "h5x2q9tk-4711")
	f.Add("", uint64(0), "a-00")
	form := regexp.MustCompile(`^[A-Za-z0-9]{1,64}-[0-9]+$`)
	f.Fuzz(func(t *testing.T, epoch string, seq uint64, other string) {
		p := Point{epoch, seq}
		s := p.String()
		if back, err := ParsePoint(s); err == nil && back != p || (err == nil) != form.MatchString(s) {
			t.Errorf("%q is read as %v, %v", s, back, err)
		}
		if p, err := ParsePoint(other); err == nil && !form.MatchString(other) || err != nil && p != (Point{}) {
			t.Errorf("%q is read as %v, %v", other, p, err)
		}
	})
}
