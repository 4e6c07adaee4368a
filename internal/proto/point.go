package proto

import (
	"fmt"
	"strconv"
	"strings"
)

// Point is a resume point: everything up to message Seq of one start of a
// server. The zero Point is none.
type Point struct {
	Epoch string // ASCII letters and digits
	Seq   uint64
}

const longestEpoch = 64

// ParsePoint reads EPOCH-SEQ.
func ParsePoint(s string) (Point, error) {
	epoch, number, _ := strings.Cut(s, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || !ValidEpoch(epoch) {
		return Point{}, fmt.Errorf("resume point %q: must be EPOCH-SEQ, such as h5x2q9tk-4711", s)
	}
	return Point{epoch, seq}, nil
}

// String is EPOCH-SEQ.
func (p Point) String() string { return string(p.Append(nil)) }

// Append appends EPOCH-SEQ.
func (p Point) Append(dst []byte) []byte {
	return strconv.AppendUint(append(append(dst, p.Epoch...), '-'), p.Seq, 10)
}

// ValidEpoch reports whether s is 1 to 64 ASCII letters and digits.
func ValidEpoch(s string) bool {
	for _, b := range []byte(s) {
		if (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= longestEpoch
}
