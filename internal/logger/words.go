package logger

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Bytes is a number of bytes as people read it: "64 MiB".
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Count is a number of things: "1 message", "2 messages".
func Count(n int64, of string) string {
	return fmt.Sprintf("%d %s", n, english.PluralWord(int(n), of, ""))
}

// Unread says what is lost of what somebody ("it", "they") had sent.
func Unread(n int64, who string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s that %s had sent are not read", Bytes(n), who)
}
