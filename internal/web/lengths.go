//go:build unix

package web

// This file is whether a request has two lengths, Content-Length and chunks,
// of which a proxy before us may have believed the other: after its answer the
// connection must end (RFC 9112, section 6.3). net/http takes the chunks and
// forgets the Content-Length, so those are counted as they are read: of all
// lines that begin so, some may stand in bodies, or in a request still to come,
// and the worst of that is a connection that ends early.

import (
	"bytes"
	"net/http"
)

// lengths counts lines that begin with Content-Length. Whoever reads the
// connection may use it.
type lengths struct {
	found int
	told  int // net/http told of them
	at    int // how much of lengthName the line begins with; -1: something else
}

const lengthName = "content-length:"

// read looks at what comes next.
func (n *lengths) read(p []byte) {
	for len(p) > 0 {
		if n.at < 0 {
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				return
			}
			n.at, p = 0, p[end+1:]
			continue
		}
		b := p[0]
		p = p[1:]
		switch {
		case b|' ' == lengthName[n.at]: // in capital letters or small
			if n.at++; n.at == len(lengthName) {
				n.found, n.at = n.found+1, -1
			}
		case b == '\n':
			n.at = 0
		default:
			n.at = -1
		}
	}
}

// ambiguous says whether somebody may take r's body for longer or shorter than
// net/http does. In HTTP/1.0 that has no chunks, and ignores who sends some.
func (n *lengths) ambiguous(r *http.Request) bool {
	n.told += len(r.Header["Content-Length"])
	return !r.ProtoAtLeast(1, 1) || len(r.TransferEncoding) > 0 && n.found > n.told
}
