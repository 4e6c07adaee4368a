//go:build unix

// Package link is the descriptor of one connection. It reads and sends, counts
// bytes, and knows whether the descriptor is ready and which side has ended. It
// decides nothing; the engine does.
//
//	Ready  flags: readable, blocked, how far the peer has ended (this file)
//	Link   a descriptor with its flags and counters             (this file)
//	       the peer's side: acknowledged, idle, silent        (silence.go)
//	       written to bytes and read back                       (state.go)
//
// A link is a value and belongs to one loop. Only FD, which never changes, may
// be called by any goroutine.
package link

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/feed"
	"hubbub.example/internal/poll"
	"hubbub.example/internal/sock"
)

const (
	// Unsent is how much unsent data the kernel holds for a connection
	// (TCP_NOTSENT_LOWAT): without it a stalled client would pin megabytes.
	// Connections inherit it from their listener.
	Unsent = 128 << 10

	// wideUnsent is the same for a connection that catches up in bulk.
	wideUnsent = 1 << 20
)

// Ready has the flags of a descriptor.
type Ready uint16

const (
	readable  Ready = 1 << iota // input may wait: its event came and is not used up
	reading                     // in the queue for reading
	writing                     // in the queue for sending
	blocked                     // the socket is full: an event will come
	peerShut                    // the peer has sent its end of file
	hungUp                      // both directions have ended
	eof                         // the peer's end of file has been read
	shut                        // our end of file is sent
	unsettled                   // something was sent that the peer may not have
	wide                        // the kernel may take wideUnsent
	local                       // a Unix socket
)

// Readable reports whether input may wait.
func (r Ready) Readable() bool { return r&readable != 0 }

// Blocked reports whether the socket takes nothing now, and will tell when it does.
func (r Ready) Blocked() bool { return r&blocked != 0 }

// PeerShut reports whether the peer's end of file is on its way, or has been read.
func (r Ready) PeerShut() bool { return r&peerShut != 0 }

// HungUp reports whether both directions have ended.
func (r Ready) HungUp() bool { return r&hungUp != 0 }

// EOF reports whether the peer's end of file has been read.
func (r Ready) EOF() bool { return r&eof != 0 }

// Unsettled reports whether the peer may not have all it was sent.
func (r Ready) Unsettled() bool { return r&unsettled != 0 }

func (r *Ready) set(f Ready, on bool) {
	if on {
		*r |= f
	} else {
		*r &^= f
	}
}

// Event records an event and reports what to do: read, send, or both.
func (r *Ready) Event(e *poll.Event) (read, send bool) {
	if e.HungUp() {
		*r |= peerShut
	}
	if e.Gone() {
		*r |= hungUp
	}
	if read = e.Readable() || e.Failed(); read {
		*r |= readable
	}
	if send = e.Writable() && r.Blocked(); send {
		*r &^= blocked
	}
	return read, send
}

// MayRead notes that input may wait although no event will report it.
func (r *Ready) MayRead() { *r |= readable }

// UsedUp notes that the next input will come with an event.
func (r *Ready) UsedUp() { *r &^= readable }

// Ended notes that the peer's end of file has been seen.
func (r *Ready) Ended() { *r |= eof }

// Queue is one of a shard's two queues. The link knows whether it is in the queue,
// so that it enters only once.
type Queue Ready

const (
	Reading = Queue(reading)
	Writing = Queue(writing)
)

// Enter notes that the link is in q, and reports whether that is new.
func (r *Ready) Enter(q Queue) bool {
	if *r&Ready(q) != 0 {
		return false
	}
	*r |= Ready(q)
	return true
}

// Leave notes that the link is not in q any more.
func (r *Ready) Leave(q Queue) { *r &^= Ready(q) }

// Link is one connection's descriptor.
type Link struct {
	sent, recv     int64
	extra          *extra
	sentAt, recvAt uint32 // the loop's milliseconds, which wrap around
	fd             int32
	Ready
}

// extra is what few links need, and only for a while.
type extra struct {
	input   []byte // to be read before what the socket has
	silence silence
	taken   int64 // what the peer had acknowledged when it was last asked
}

// New returns the link of fd, of which r is known already.
func New(fd int, isUnix bool, r Ready) Link {
	k := Link{fd: int32(fd), Ready: r}
	k.set(local, isUnix)
	return k
}

// Touch resets the idle time.
func (k *Link) Touch(now uint32) { k.sentAt, k.recvAt = now, now }

// FD returns the descriptor.
func (k *Link) FD() int { return int(k.fd) }

// Sent and Received are how many bytes went each way.
func (k *Link) Sent() int64     { return k.sent }
func (k *Link) Received() int64 { return k.recv }

// Restock puts input back: Recv returns it before what the socket has.
func (k *Link) Restock(input []byte) {
	if len(input) > 0 {
		k.more().input = input
		k.MayRead()
	}
}

func (k *Link) more() *extra {
	if k.extra == nil {
		k.extra = &extra{}
	}
	return k.extra
}

func (k *Link) tidy() {
	if x := k.extra; x != nil && x.input == nil && x.taken == 0 && x.silence == (silence{}) {
		k.extra = nil
	}
}

// Recv reads, and notes whether there may be more: the poller reports an edge only
// once, so the link stays readable until a read is short and no end of file is on
// its way. Nothing to read is no error. The end of file is io.EOF, once.
func (k *Link) Recv(p []byte, now uint32) (int, error) {
	n := k.restocked(p)
	if n == 0 {
		var err error
		n, err = sock.Recv(int(k.fd), p)
		k.set(readable, err == nil && (n == len(p) || k.PeerShut()))
		switch {
		case errors.Is(err, sock.Again), errors.Is(err, io.EOF) && k.EOF():
			return 0, nil
		case errors.Is(err, io.EOF):
			k.Ended()
			return 0, io.EOF
		case err != nil:
			return 0, err
		}
	}
	k.recv += int64(n)
	k.recvAt = now
	return n, nil
}

// restocked reads what Restock put back.
func (k *Link) restocked(p []byte) int {
	if k.extra == nil || k.extra.input == nil {
		return 0
	}
	x := k.extra
	n := copy(p, x.input)
	if x.input = x.input[n:]; len(x.input) == 0 {
		x.input = nil
		k.tidy()
	}
	return n
}

// Peek returns what waits to be read, at most p. It stays there. The error is
// sock.Again or io.EOF where it is one of these.
func (k *Link) Peek(p []byte) (int, error) {
	if k.extra != nil && k.extra.input != nil {
		return copy(p, k.extra.input), nil
	}
	return sock.Peek(int(k.fd), p)
}

// Unread returns how many bytes wait to be read.
func (k *Link) Unread() (int, error) {
	n, err := sock.Unread(int(k.fd))
	if k.extra != nil {
		n += len(k.extra.input)
	}
	return n, err
}

// Send sends as much of p as the socket takes. If that is not all, the link is
// blocked now. A full socket is no error.
func (k *Link) Send(p *feed.Piece, now uint32) (n int, err error) {
	if p.Bytes != nil {
		n, err = sock.Send(int(k.fd), p.Bytes)
	} else {
		n, err = sock.SendFile(int(k.fd), p.File, p.At, p.N)
	}
	if err != nil && !errors.Is(err, sock.Again) {
		return 0, err
	}
	k.set(blocked, n < p.Len())
	if n > 0 {
		k.sent += int64(n)
		k.sentAt = now
	}
	return n, nil
}

// WidenUnsent lets the kernel take more at a time: with the tight bound a client
// that catches up would cost a system call for every 64 KiB.
func (k *Link) WidenUnsent() {
	if k.Ready&(wide|local) == 0 {
		k.Ready |= wide
		_ = sock.BoundUnsent(int(k.fd), wideUnsent)
	}
}

// NarrowUnsent undoes WidenUnsent.
func (k *Link) NarrowUnsent() {
	if k.Ready&wide != 0 {
		k.Ready &^= wide
		_ = sock.BoundUnsent(int(k.fd), Unsent)
	}
}

// CloseWrite sends the end of file after what was sent.
func (k *Link) CloseWrite() error {
	k.Ready |= shut
	return sock.EndSending(int(k.fd))
}

// PendingError takes the socket's pending error, nil for none.
func (k *Link) PendingError() error { return sock.PendingError(int(k.fd)) }

// Close closes the descriptor; what was sent still reaches the peer.
func (k *Link) Close() { _ = sock.Close(int(k.fd)) }

// CloseApart closes the descriptor in a goroutine: with SO_LINGER close(2)
// waits for the peer.
func (k *Link) CloseApart() {
	fd := int(k.fd)
	go func() { _ = unix.Close(fd) }()
}

// Abort closes the descriptor with a reset, which discards what the kernel still
// holds for the peer.
func (k *Link) Abort() { _ = sock.Reset(int(k.fd)) }
