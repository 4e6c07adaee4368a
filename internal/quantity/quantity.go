// Package quantity parses and formats sizes and counts for people.
package quantity

import (
	"fmt"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// ParseBytes parses a number of bytes: 512, 64KiB, 1MB, 1.5 MiB.
func ParseBytes(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("size %q: must be a number of bytes, such as 512, 64KiB or 1MB", s)
	}
	return int64(n), nil
}

// Bytes formats a number of bytes: "512 B", "64 MiB".
func Bytes[N int | int64](n N) string { return humanize.IBytes(uint64(max(n, 0))) }

// Count formats a number of things: "1 client", "1200 clients".
func Count[N int | int64 | uint64](n N, what string) string {
	return fmt.Sprintf("%d %s", n, Plural(n, what))
}

// Plural returns what in the singular or the plural.
func Plural[N int | int64 | uint64](n N, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// Grouped formats a number with thousands separators: "1,200".
func Grouped[N int | int64 | uint64](n N) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
