//go:build unix && !linux

package stdio

// Reopen fails: except on Linux, /dev/fd duplicates the same description.
func Reopen(_, _ int) (own int, ok bool) { return -1, false }
