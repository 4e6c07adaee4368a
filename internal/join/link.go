package join

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A link is one connection, from connected to ended: rawLink (raw.go) or
// v1Link (v1link.go).
type link interface {
	// run is the link's life. It says how it ended and what is to follow.
	run(ctx context.Context) (ending, verdict)

	// drop closes a link that was never run.
	drop()
}

// wire is what all links have. Its fields are run's, but for the atomics.
type wire struct {
	*client
	conn  duplex
	began time.Time

	heard atomic.Int64  // bytes received
	gave  atomic.Int64  // bytes sent
	left  atomic.Uint32 // why we end it, if we do: a departure
	over  atomic.Bool

	broken   error     // what the system, or STDOUT, told beside receiving and sending
	silences int       // how often in a row the system called the peer silent
	deadline time.Time // after a signal
}

const (
	// patience is how long an ending connection may show no motion, and how
	// long the server may go on once it has all that we sent, or a goodbye.
	patience = time.Second

	// haste is how long it may take after a signal to send what is left.
	haste = 5 * time.Second

	tick = 50 * time.Millisecond
)

// departure is why we end a connection.
type departure uint32

const (
	stays     departure = iota
	signalled           // ctx is done
	exits               // STDIN has ended, with --eof=exit
)

func (w *wire) departure() departure { return departure(w.left.Load()) }
func (w *wire) leaving() bool        { return w.departure() != stays }

func (w *wire) drop() { _ = w.conn.Close() }

// endsHere reports whether STDIN's end is to be told to the server: not if
// more may come, nor if nothing ever came.
func (w *wire) endsHere() bool {
	exit := w.EOF == Exit || w.leaving()
	return !w.over.Load() && (exit || w.EOF != Stay && w.in.stdin().bytes > 0)
}

func (w *wire) late() bool {
	return w.departure() == signalled && time.Now().After(w.deadline)
}

// askSystem asks the system whether the connection lives. One look may fall
// between a question to the peer and its answer; two so far apart cannot.
func (w *wire) askSystem() Health {
	h := w.health()
	if !h.Silent {
		w.silences = 0
	} else if w.silences++; w.silences == 2 {
		w.breakOff(errSilent)
	}
	return h
}

func (w *wire) health() Health {
	if w.Health == nil {
		return Health{}
	}
	return w.Health(w.conn)
}

// breakOff ends both directions; what has been received is still read.
func (w *wire) breakOff(err error) {
	if w.broken != nil {
		return
	}
	w.broken = err
	_ = w.conn.CloseRead()
	_ = w.conn.SetWriteDeadline(past)
}

// firstOf is the first error there is.
func firstOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

var (
	past      = time.Unix(1, 0)
	errSilent = errors.New("the server answers no more")
	errGone   = errors.New("the server is gone")
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
