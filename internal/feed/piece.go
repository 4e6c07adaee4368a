//go:build unix

package feed

// Piece is bytes to send: Bytes, or if that is nil, N bytes of File from offset
// At on. The zero value is empty.
type Piece struct {
	Bytes []byte
	File  int
	At    int64
	N     int
}

// Len returns the number of bytes in p.
func (p *Piece) Len() int {
	if p.Bytes != nil {
		return len(p.Bytes)
	}
	return p.N
}
