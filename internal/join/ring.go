package join

// A ring keeps the bytes between two positions, which only grow: position p is
// at data[p % size].
type ring struct {
	data       []byte
	tail, head int64
}

func (r *ring) size() int64  { return int64(len(r.data)) }
func (r *ring) isFull() bool { return r.head-r.tail == r.size() }

// free returns the room behind head, as far as it is in one piece.
func (r *ring) free() []byte {
	p, _ := r.pieces(r.head, r.tail+r.size())
	return p
}

// pieces returns what lies between two positions.
func (r *ring) pieces(from, to int64) (first, second []byte) {
	at := from % r.size()
	n := min(to-from, r.size()-at)
	return r.data[at : at+n], r.data[:to-from-n]
}

// resize gives the ring more room. What it keeps moves.
func (r *ring) resize(size int64) {
	first, second := r.pieces(r.tail, r.head)
	larger := ring{make([]byte, size), r.tail, r.tail}
	for _, p := range [][]byte{first, second} {
		for len(p) > 0 {
			n := copy(larger.free(), p)
			larger.head += int64(n)
			p = p[n:]
		}
	}
	*r = larger
}
