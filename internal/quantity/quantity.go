// Package quantity reads and writes numbers of things as people do.
package quantity

import (
	"fmt"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// ParseBytes reads a number of bytes: 512, 64KiB, 1MB, 1.5 MiB.
func ParseBytes(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("size %q: must be a number of bytes, such as 512, 64KiB or 1MB", s)
	}
	return int64(n), nil
}

// Bytes is a number of bytes: "512 B", "64 MiB".
func Bytes[N int | int64](n N) string { return humanize.IBytes(uint64(max(n, 0))) }

// Count is a number of something: "1 client", "1200 clients".
func Count[N int | int64 | uint64](n N, what string) string {
	return fmt.Sprintf("%d %s", n, Plural(n, what))
}

// Plural is what, or more than one of it.
func Plural[N int | int64 | uint64](n N, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// Grouped is a number with its thousands set apart: "1,200".
func Grouped[N int | int64 | uint64](n N) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
