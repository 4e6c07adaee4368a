// Package codec turns bytes into messages and back. It takes the bytes there
// are and does no I/O: what is not a whole message yet stays with the caller.
package codec

import "bytes"

// Framing says where a message ends. The zero value is Line.
type Framing struct {
	kind kind
	size int
}

type kind uint8

const (
	line kind = iota
	nul
	raw
	record
)

// Line ends a message with "\n".
func Line() Framing { return Framing{kind: line} }

// NUL ends a message with a zero byte.
func NUL() Framing { return Framing{kind: nul} }

// Raw takes bytes as they come: whatever is there is a message.
func Raw() Framing { return Framing{kind: raw} }

// Record ends a message after every n bytes.
func Record(n int) Framing { return Framing{kind: record, size: n} }

var (
	newline = []byte{'\n'}
	zero    = []byte{0}
)

// Separator is what stands after a message: one byte or nothing.
func (f Framing) Separator() []byte {
	switch f.kind {
	case line:
		return newline
	case nul:
		return zero
	}
	return nil
}

// Bound is the longest message given that the user allows max bytes.
func (f Framing) Bound(limit int) int {
	if f.kind == record {
		return f.size
	}
	return limit
}

// Fits says whether p, without its separator, can be one message.
func (f Framing) Fits(p []byte) bool {
	return f.kind != record || len(p) == f.size
}

// Whole is the length of the longest beginning of p that is whole messages,
// their separators included.
func (f Framing) Whole(p []byte) int {
	switch f.kind {
	case raw:
		return len(p)
	case record:
		return len(p) - len(p)%f.size
	}
	return bytes.LastIndexByte(p, f.Separator()[0]) + 1
}

// First is the length of the first message of p with its separator, 0 while
// it is not whole.
func (f Framing) First(p []byte) int {
	switch f.kind {
	case raw:
		return len(p)
	case record:
		if len(p) < f.size {
			return 0
		}
		return f.size
	}
	return bytes.IndexByte(p, f.Separator()[0]) + 1
}

// Completes says whether p ends a message of which have bytes came before.
func (f Framing) Completes(have int, p []byte) bool {
	switch f.kind {
	case raw:
		return true
	case record:
		return have+len(p) >= f.size
	}
	return bytes.IndexByte(p, f.Separator()[0]) >= 0
}

// Next takes the first message off p, which begins with a whole one.
func (f Framing) Next(p []byte) (message, rest []byte) {
	n := f.First(p)
	return p[:n-len(f.Separator())], p[n:]
}

// Count is how many messages p holds; the last one is whole.
func (f Framing) Count(p []byte) int {
	switch {
	case len(p) == 0:
		return 0
	case f.kind == raw:
		return 1
	case f.kind == record:
		return len(p) / f.size
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

// Clean takes the "\r" of every "\r\n" out of p, in place: what a client of
// a line protocol may send. Other framings keep every byte.
func (f Framing) Clean(p []byte) []byte {
	if f.kind != line {
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
