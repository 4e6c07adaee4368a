package join

import (
	"fmt"
	"strconv"
	"strings"
)

// Point is a resume point: everything up to this message of this start of a
// server. The zero Point is none.
type Point struct {
	Epoch string
	Seq   uint64
}

func (p Point) String() string { return p.Epoch + "-" + strconv.FormatUint(p.Seq, 10) }

// ParsePoint reads EPOCH-SEQ.
func ParsePoint(s string) (Point, error) {
	epoch, number, _ := strings.Cut(s, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || !isEpoch(epoch) {
		return Point{}, fmt.Errorf("resume point %q: must be EPOCH-SEQ, such as h5x2q9tk-4711", s)
	}
	return Point{epoch, seq}, nil
}

const longestEpoch = 64

// isEpoch reports whether s is letters and digits.
func isEpoch(s string) bool {
	other := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	return s != "" && len(s) <= longestEpoch && strings.IndexFunc(s, other) < 0
}
