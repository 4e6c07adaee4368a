package logger

import (
	"fmt"

	"hubbub.example/internal/quantity"
)

// Unread returns a phrase for the lost input of who ("it", "they").
func Unread(n int64, who string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s that %s had sent are not read", quantity.Bytes(n), who)
}
