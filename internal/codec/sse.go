// This file writes server-sent events (WHATWG HTML, section 9.2):
//
//	AppendEvent     a message; its id is its resume point
//	Append…Event    notices, without an id: a browser keeps the last one

package codec

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"hubbub.example/internal/proto"
)

// AppendEvent appends a message as an event.
func AppendEvent(dst []byte, epoch string, seq uint64, message []byte) []byte {
	dst = append(dst, "id: "...)
	dst = proto.Point{Epoch: epoch, Seq: seq}.Append(dst)
	dst = append(dst, '\n')
	return append(appendData(dst, message), '\n')
}

// AppendPrivateEvent appends a message to one client alone, which has no id.
func AppendPrivateEvent(dst, message []byte) []byte { return append(appendData(dst, message), '\n') }

// AppendSkippedEvent appends the notice that count messages were skipped.
func AppendSkippedEvent(dst []byte, count int64) []byte {
	n := strconv.FormatInt(count, 10)
	dst = append(dst, ": skipped "+n+" message"...)
	if count != 1 {
		dst = append(dst, 's')
	}
	return append(dst, "\nevent: skipped\ndata: "+n+"\n\n"...)
}

// AppendUnknownEvent appends the notice that the resume point asked for is
// not known; its data is that resume point.
func AppendUnknownEvent(dst []byte, asked string) []byte {
	dst = append(dst, ": unknown resume point\nevent: unknown\n"...)
	return append(appendData(dst, []byte(asked)), '\n')
}

// AppendHeartbeatComment appends what shows only that the connection lives.
func AppendHeartbeatComment(dst []byte) []byte { return append(dst, ":\n\n"...) }

// appendData appends a data field for each line of p. LF, CR and CRLF each
// end a line, as they do for the reader; what is not UTF-8 the reader would
// replace itself, but not every reader does.
func appendData(dst, p []byte) []byte {
	for lf := true; lf; {
		var line []byte
		line, p, lf = bytes.Cut(p, []byte("\n"))
		if lf {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		for cr := true; cr; {
			var data []byte
			data, line, cr = bytes.Cut(line, []byte("\r"))
			dst = appendUTF8(append(dst, "data: "...), data)
			dst = append(dst, '\n')
		}
	}
	return dst
}

// appendUTF8 appends p with U+FFFD for each byte that is not UTF-8.
func appendUTF8(dst, p []byte) []byte {
	if utf8.Valid(p) {
		return append(dst, p...)
	}
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		dst = utf8.AppendRune(dst, r)
		p = p[n:]
	}
	return dst
}
