//go:build unix

package child

import (
	"testing"

	"hubbub.example/internal/framing"
)

func TestBoundary(t *testing.T) {
	for _, tt := range []struct {
		framing framing.Framing
		p       string
		next    []int // for each n
	}{
		{framing.Lines, "a\n\nbc\n", []int{0, 2, 2, 3, 6, 6, 6}},
		{framing.NUL, "a\x00\n\x00", []int{0, 2, 2, 4, 4}},
		{framing.Raw, "abc", []int{0, 1, 2, 3}},
		{3, "abcdef", []int{0, 3, 3, 3, 6, 6, 6}},
	} {
		for n, want := range tt.next {
			if got := boundary(tt.framing, []byte(tt.p), n); got != want {
				t.Errorf("%d: %q from %d: %d, not %d", tt.framing, tt.p, n, got, want)
			}
		}
	}
}

func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		framing framing.Framing
		p       string
		offset  int64
		want    int64
	}{
		{framing.Lines, "c\nabc\nab", 3, 2},
		{framing.NUL, "c\x00", 3, 1},
		{framing.Raw, "abc", 3, 0},
		{3, "cabca", 2, 2},
		{3, "cab", 3, 1},
		{3, "ab", 3, 0},
		{3, "", 3, 0},
	} {
		if got := ended(tt.framing, []byte(tt.p), tt.offset); got != tt.want {
			t.Errorf("%d: %q at %d: %d, not %d", tt.framing, tt.p, tt.offset, got, tt.want)
		}
	}
}
