package join

import (
	"bytes"
	"testing"
)

// Whatever is added, dropped and resized, a ring keeps the bytes between its
// positions, in at most two pieces, and has room for as many as it says.
func FuzzRing(f *testing.F) {
	f.Add([]byte("\x03\x11\x02\x25\x13\x32\x08\x01"))
	f.Add([]byte("\x3c\x2d\x3c\x1d\x3c\x2e\x3c"))
	f.Fuzz(func(t *testing.T, moves []byte) {
		if len(moves) > 1000 {
			return
		}
		r := ring{data: make([]byte, 4)}
		var kept []byte // what it should have
		var last byte
		for _, m := range moves {
			n := int64(m >> 2)
			switch m & 3 {
			case 0: // add
				p := r.free()
				p = p[:min(n, int64(len(p)))]
				for i := range p {
					last++
					p[i] = last
				}
				kept = append(kept, p...)
				r.head += int64(len(p))
			case 1: // drop
				n = min(n, r.head-r.tail)
				kept = kept[n:]
				r.tail += n
			case 2:
				r.resize(r.size() + n%8)
			}
			first, second := r.pieces(r.tail, r.head)
			if got := bytes.Join([][]byte{first, second}, nil); !bytes.Equal(got, kept) {
				t.Fatalf("it keeps %q, want %q", got, kept)
			}
			if r.isFull() != (int64(len(kept)) == r.size()) || r.isFull() != (len(r.free()) == 0) {
				t.Fatalf("of %d bytes %d are kept: full %t, %d free", r.size(), len(kept), r.isFull(), len(r.free()))
			}
		}
	})
}
