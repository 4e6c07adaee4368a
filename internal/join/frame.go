package join

import (
	"bytes"
	"fmt"
	"strconv"
)

// Frame says where a message ends: Lines, NUL, Raw, or, for a number N above
// 0, after every N bytes.
type Frame int

const (
	Lines Frame = 0  // "\n"
	NUL   Frame = -1 // a zero byte
	Raw   Frame = -2 // nowhere: bytes as they come
)

const maxRecord = 1 << 24

// ParseFrame reads what the flag --frame takes.
func ParseFrame(s string) (Frame, error) {
	switch s {
	case "line":
		return Lines, nil
	case "nul":
		return NUL, nil
	case "raw":
		return Raw, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxRecord {
		return 0, fmt.Errorf("framing %q: must be line, nul, raw or a record's size in bytes, 1 to %d", s, maxRecord)
	}
	return Frame(n), nil
}

// separator is the byte that ends a message, where a byte does.
func (f Frame) separator() (sep byte, is bool) {
	switch f {
	case Lines:
		return '\n', true
	case NUL:
		return 0, true
	}
	return 0, false
}

// firstEnd is where the first message to end in p does so, just past its last
// byte; p stands at this offset of its stream. -1: none ends.
func (f Frame) firstEnd(p []byte, offset int64) int {
	if sep, is := f.separator(); is {
		if i := bytes.IndexByte(p, sep); i >= 0 {
			return i + 1
		}
		return -1
	}
	if len(p) == 0 {
		return -1
	}
	if f == Raw {
		return 1
	}
	if end := int64(f) - offset%int64(f); end <= int64(len(p)) {
		return int(end)
	}
	return -1
}

// lastEnd is firstEnd of the last message to end in p.
func (f Frame) lastEnd(p []byte, offset int64) int {
	if sep, is := f.separator(); is {
		if i := bytes.LastIndexByte(p, sep); i >= 0 {
			return i + 1
		}
		return -1
	}
	if len(p) == 0 {
		return -1
	}
	if f == Raw {
		return len(p)
	}
	if end := int64(len(p)) - (offset+int64(len(p)))%int64(f); end > 0 {
		return int(end)
	}
	return -1
}
