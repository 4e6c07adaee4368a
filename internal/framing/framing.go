// Package framing finds where a message ends. It keeps no state: the caller keeps
// an incomplete message.
package framing

import (
	"bytes"
	"fmt"
	"strconv"
)

// Framing is Lines, NUL, Raw, or, for a number N above 0, records of N bytes.
type Framing int

// Framings other than records.
const (
	Lines Framing = 0  // "\n" ends a message
	NUL   Framing = -1 // a zero byte does
	Raw   Framing = -2 // nothing does: bytes as they come
)

// MaxRecord is the longest record, in bytes.
const MaxRecord = 1 << 24

// Parse reads what the flag --frame takes: line, nul, raw or a number of bytes.
func Parse(s string) (Framing, error) {
	switch s {
	case "line":
		return Lines, nil
	case "nul":
		return NUL, nil
	case "raw":
		return Raw, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxRecord {
		return 0, fmt.Errorf("framing %q: must be line, nul, raw or a record's size in bytes, 1 to %d", s, MaxRecord)
	}
	return Framing(n), nil
}

func (f Framing) String() string {
	switch f {
	case Lines:
		return "line"
	case NUL:
		return "nul"
	case Raw:
		return "raw"
	}
	return strconv.Itoa(int(f))
}

var (
	newline = []byte{'\n'}
	zero    = []byte{0}
)

// Separator returns what follows a message: one byte or nothing.
func (f Framing) Separator() []byte {
	switch f {
	case Lines:
		return newline
	case NUL:
		return zero
	}
	return nil
}

// Bound returns the longest message if the user allows max bytes.
func (f Framing) Bound(limit int) int {
	if f > 0 {
		return int(f)
	}
	return limit
}

// Fits reports whether p, without its separator, can be one message.
func (f Framing) Fits(p []byte) bool { return f <= 0 || len(p) == int(f) }

// Whole returns the length of the longest prefix of p that is whole messages,
// separators included.
func (f Framing) Whole(p []byte) int { return f.LastEnd(p, 0) }

// First returns the length of the first message of p with its separator; 0 if it
// is incomplete.
func (f Framing) First(p []byte) int { return f.FirstEnd(p, 0) }

// FirstEnd returns where the first message in p ends, just after its last byte; 0
// if none does. p begins at this offset of its stream.
func (f Framing) FirstEnd(p []byte, offset int64) int {
	switch {
	case f == Raw:
		return len(p)
	case f > 0:
		if end := int64(f) - offset%int64(f); end <= int64(len(p)) {
			return int(end)
		}
		return 0
	}
	return bytes.IndexByte(p, f.Separator()[0]) + 1
}

// LastEnd is FirstEnd of the last message.
func (f Framing) LastEnd(p []byte, offset int64) int {
	switch {
	case f == Raw:
		return len(p)
	case f > 0:
		return max(0, len(p)-int((offset+int64(len(p)))%int64(f)))
	}
	return bytes.LastIndexByte(p, f.Separator()[0]) + 1
}

// Completes reports whether p ends a message after its first have bytes.
func (f Framing) Completes(have int, p []byte) bool {
	if f > 0 {
		return have+len(p) >= int(f)
	}
	return f == Raw || bytes.IndexByte(p, f.Separator()[0]) >= 0
}

// Next splits off the first message of p, which must be whole.
func (f Framing) Next(p []byte) (message, rest []byte) {
	n := f.First(p)
	return p[:n-len(f.Separator())], p[n:]
}

// Count returns the number of messages in p; the last one must be whole.
func (f Framing) Count(p []byte) int {
	switch {
	case len(p) == 0:
		return 0
	case f == Raw:
		return 1
	case f > 0:
		return len(p) / int(f)
	}
	return bytes.Count(p, f.Separator())
}

// Ends appends to dst, for each message of p, the offset just past its
// separator. The last message of p is whole.
func (f Framing) Ends(dst []int, p []byte) []int {
	for at := 0; at < len(p); {
		at += f.First(p[at:])
		dst = append(dst, at)
	}
	return dst
}

// Clean removes the "\r" of every "\r\n" from p, in place: clients of a line
// protocol may send it. Other framings keep every byte.
func (f Framing) Clean(p []byte) []byte {
	if f != Lines {
		return p
	}
	first := bytes.IndexByte(p, '\r')
	if first < 0 {
		return p
	}
	to := first
	for i := first; i < len(p); i++ {
		if p[i] == '\r' && i+1 < len(p) && p[i+1] == '\n' {
			continue
		}
		p[to] = p[i]
		to++
	}
	return p[:to]
}
