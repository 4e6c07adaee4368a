package join

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// A link is one connection, from connected to over: rawLink (raw.go) or v1Link
// (v1link.go). Three goroutines: two move the bytes, one each way, and run
// takes the connection from phase to phase.
type link interface {
	// run is the link's life. It says how it ended and what is to follow.
	run(ctx context.Context) (ending, verdict)

	// drop closes a link that was never run.
	drop()
}

// speaker is the part of a link that depends on what is spoken.
type speaker interface {
	// hungUp is what it means that receiving has ended.
	hungUp() event

	// act does what a step says, because of e.
	act(a action, e event)

	// look finds what has become true meanwhile.
	look() event

	// examine asks whether the connection lives, every rhythm.
	examine()
	rhythm() time.Duration
}

// wire is what all links have. Its fields are run's, but for the atomics.
type wire struct {
	*client
	conn  duplex
	began time.Time
	phase phase
	timer *time.Timer // of the phase

	received, sent      chan error // what receiving and sending ended with
	receiving, sending  bool
	receiveErr, sendErr error

	heard atomic.Int64  // bytes received
	gave  atomic.Int64  // bytes sent
	left  atomic.Uint32 // why we end it, if we do: a departure
	over  atomic.Bool

	broken   error // what the system, or STDOUT, told beside receiving and sending
	silences int   // how often in a row the system called the peer silent
}

func newWire(c *client, conn duplex) wire {
	return wire{
		client: c, conn: conn, began: time.Now(), timer: time.NewTimer(math.MaxInt64),
		received: make(chan error, 1), sent: make(chan error, 1), receiving: true, sending: true,
	}
}

const (
	// grace is how long an ending connection may show no motion, and how long
	// the server may go on once it has all that we sent, or a goodbye.
	grace = time.Second

	// shutdownBudget is how long it may take after a signal to send what is left.
	shutdownBudget = 5 * time.Second

	// tick is how often the system is asked what it has yet to deliver: it
	// tells nobody unasked.
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
func (w *wire) leaves() bool         { return w.departure() != stays }

// departs notes that we end the connection, because of e.
func (w *wire) departs(e event) {
	why := signalled
	if e == finished {
		why = exits
	}
	w.left.Store(uint32(why))
	w.in.end(nil)
}

func (w *wire) drop() { _ = w.conn.Close() }

// live takes the connection from phase to phase until it is over.
func (w *wire) live(ctx context.Context, s speaker) {
	defer w.timer.Stop()
	stop := ctx.Done()
	rhythm := s.rhythm()
	pulse := time.NewTimer(rhythm)
	defer pulse.Stop()
	for w.phase != over {
		e, beat := nothing, false
		select {
		case err := <-w.received:
			w.receiving, w.receiveErr = false, err
			e = s.hungUp()
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
			s.examine()
		}
		w.advance(s, e)
		if r := s.rhythm(); beat || r != rhythm {
			rhythm = r
			pulse.Reset(rhythm)
		}
	}
}

// advance takes the steps that follow e, and what it leads to.
func (w *wire) advance(s speaker, e event) {
	for w.phase != over {
		var a action
		if w.phase, a = next(w.phase, e); a != none {
			s.act(a, e)
		}
		if e = s.look(); e == nothing {
			return
		}
	}
}

// endsHere reports whether STDIN's end is to be told to the server: not if
// more may come, nor if nothing ever came.
func (w *wire) endsHere() bool {
	exit := w.EOF == Exit || w.leaves()
	return !w.over.Load() && (exit || w.EOF != Stay && w.in.stdin().bytes > 0)
}

// isWatcher reports whether STDIN has never given anything: there is nothing
// to lose.
func (w *wire) isWatcher() bool { return w.in.stdin().bytes == 0 }

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

// firstOf returns the first error there is.
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
