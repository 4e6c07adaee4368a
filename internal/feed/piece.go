//go:build unix

package feed

// Piece is bytes to be sent: Bytes, or, where these are nil, N bytes of File
// from offset At on. The zero value is nothing.
type Piece struct {
	Bytes []byte
	File  int
	At    int64
	N     int
}

// Len is how many bytes p is.
func (p *Piece) Len() int {
	if p.Bytes != nil {
		return len(p.Bytes)
	}
	return p.N
}
