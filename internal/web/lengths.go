//go:build unix

package web

// This file detects a request with two lengths, Content-Length and chunks. A proxy
// before us may have used the other one, so the connection must end after the
// answer (RFC 9112, section 6.3). net/http uses the chunks and drops the
// Content-Length, so this file counts these header lines as they are read. It may
// also count lines in bodies or in the next request; at worst that closes a
// connection early.

import (
	"bytes"
	"net/http"
)

// lengths counts lines that begin with Content-Length. It belongs to the reader of
// the connection.
type lengths struct {
	found int
	told  int // net/http reported
	at    int // how much of lengthName the line begins with; -1: another line
}

const lengthName = "content-length:"

// read scans the next bytes.
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
		case b|' ' == lengthName[n.at]: // in any case
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

// ambiguous reports whether a proxy may see another length of r's body than
// net/http. HTTP/1.0 has no chunks, and net/http ignores them there.
func (n *lengths) ambiguous(r *http.Request) bool {
	n.told += len(r.Header["Content-Length"])
	return !r.ProtoAtLeast(1, 1) || len(r.TransferEncoding) > 0 && n.found > n.told
}
