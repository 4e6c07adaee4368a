package join

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// A link is one connection, from connected to over: rawLink (raw.go) or v1Link
// (v1link.go). It has three goroutines: receive and send move bytes, and live, which
// calls everything else, moves the connection through its phases.
type link interface {
	live(ctx context.Context, l link) // wire's

	// receive and send end with a value in received and sent.
	receive()
	send()

	// hungUp returns the event for the end of receiving.
	hungUp() event

	// act does the action of a step, which e caused.
	act(a action, e event)

	// look returns an event that is due.
	look() event

	// examine checks whether the connection lives, every rhythm.
	examine()
	rhythm() time.Duration

	// end stops what still runs, and returns how the link ended and what follows.
	end() (ending, verdict)

	// drop closes a link that did not live.
	drop()
}

// wire is what all links have. Only live uses its fields, except for the atomics.
type wire struct {
	*client
	conn  duplex
	began time.Time
	phase phase
	timer *time.Timer // of the phase

	received, sent      chan error // how receiving and sending ended
	receiving, sending  bool
	receiveErr, sendErr error

	heard atomic.Int64  // bytes received
	gave  atomic.Int64  // bytes sent
	left  atomic.Uint32 // a departure: why we end it, if we do
	over  atomic.Bool

	broken   error // an error of the system or of STDOUT
	silences int   // consecutive times that the system reported the peer silent
}

func newWire(c *client, conn duplex) wire {
	return wire{
		client: c, conn: conn, began: time.Now(), timer: time.NewTimer(math.MaxInt64),
		received: make(chan error, 1), sent: make(chan error, 1), receiving: true, sending: true,
	}
}

const (
	// grace is how long an ending connection may make no progress, and how long
	// the server may continue after it has everything, or a close frame.
	grace = time.Second

	// shutdownBudget is how long it may take after a signal to send what is left.
	shutdownBudget = 5 * time.Second

	// tick is how often the system is asked what it has yet to deliver.
	tick = 50 * time.Millisecond
)

// departure is why the client ends a connection.
type departure uint32

const (
	stays     departure = iota
	signalled           // ctx is done
	exits               // STDIN has ended, with --eof=exit
)

func (w *wire) departure() departure { return departure(w.left.Load()) }
func (w *wire) leaves() bool         { return w.departure() != stays }

// departs records that the client ends the connection because of e.
func (w *wire) departs(e event) {
	why := signalled
	if e == finished {
		why = exits
	}
	w.left.Store(uint32(why))
	w.in.end(nil)
}

func (w *wire) drop() { _ = w.conn.Close() }

// live moves the connection through its phases until it is over.
func (w *wire) live(ctx context.Context, l link) {
	go l.receive()
	go l.send()
	defer w.timer.Stop()
	stop := ctx.Done()
	rhythm := l.rhythm()
	pulse := time.NewTimer(rhythm)
	defer pulse.Stop()
	for w.phase != over {
		e, beat := nothing, false
		select {
		case err := <-w.received:
			w.receiving, w.receiveErr = false, err
			e = l.hungUp()
		case err := <-w.sent:
			w.sending, w.sendErr = false, err
			if e = allSent; err != nil {
				e = sendFailed
			}
		case <-w.idle:
		case <-stop:
			stop = nil
			if e = stopped; isStdout(context.Cause(ctx)) {
				w.broken, e = context.Cause(ctx), lost
			}
		case <-w.timer.C:
			e = timeUp
		case <-pulse.C:
			beat = true
			l.examine()
		}
		w.advance(l, e)
		if r := l.rhythm(); beat || r != rhythm {
			rhythm = r
			pulse.Reset(rhythm)
		}
	}
}

// advance takes the step for e, and those that follow from it.
func (w *wire) advance(l link, e event) {
	for w.phase != over {
		var a action
		if w.phase, a = next(w.phase, e); a != none {
			l.act(a, e)
		}
		if e = l.look(); e == nothing {
			return
		}
	}
}

// endsHere reports whether to send the end of STDIN: not with Stay, nor for a watcher.
func (w *wire) endsHere() bool {
	exit := w.EOF == Exit || w.leaves()
	return !w.over.Load() && (exit || w.EOF != Stay && w.in.stdin().bytes > 0)
}

// isWatcher reports whether STDIN has been empty so far.
func (w *wire) isWatcher() bool { return w.in.stdin().bytes == 0 }

// askSystem asks the system whether the connection lives. The peer counts as silent
// the second time in a row: the first may fall between a probe and its answer.
func (w *wire) askSystem() Health {
	h := w.Health(w.conn)
	if !h.Silent {
		w.silences = 0
	} else if w.silences++; w.silences == 2 {
		w.breakOff(errSilent)
	}
	return h
}

// breakOff ends both directions. What has been received is still read.
func (w *wire) breakOff(err error) {
	if w.broken != nil {
		return
	}
	w.broken = err
	_ = w.conn.CloseRead()
	_ = w.conn.SetWriteDeadline(past)
}

var (
	past      = time.Unix(1, 0)
	errSilent = errors.New("the server does not answer any more")
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
