//go:build unix

package child

import "bytes"

// Framing says where a message ends: Lines, NUL, Raw, or, for a number N above
// 0, after every N bytes.
type Framing int

const (
	Lines Framing = 0  // "\n"
	NUL   Framing = -1 // a zero byte
	Raw   Framing = -2 // nowhere: bytes as they come
)

// separator is the byte that ends a message, where a byte does.
func (f Framing) separator() (sep byte, is bool) {
	switch f {
	case Lines:
		return '\n', true
	case NUL:
		return 0, true
	}
	return 0, false
}

// boundary is the first at or after n at which a message of p begins, or p
// ends; p is whole messages.
func (f Framing) boundary(p []byte, n int) int {
	if sep, is := f.separator(); is {
		if n == 0 {
			return 0
		}
		if i := bytes.IndexByte(p[n-1:], sep); i >= 0 {
			return n + i
		}
		return len(p)
	}
	if f == Raw {
		return n
	}
	size := int(f)
	return min((n+size-1)/size*size, len(p))
}

// ends is how many messages end in p, which stands at this offset of a stream.
func (f Framing) ends(p []byte, offset int64) int64 {
	if sep, is := f.separator(); is {
		return int64(bytes.Count(p, []byte{sep}))
	}
	if f == Raw {
		return 0
	}
	size := int64(f)
	return (offset+int64(len(p)))/size - offset/size
}
