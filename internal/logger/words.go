package logger

import (
	"fmt"

	"hubbub.example/internal/quantity"
)

// Unread says what is lost of what somebody ("it", "they") had sent.
func Unread(n int64, who string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s that %s had sent are not read", quantity.Bytes(n), who)
}
