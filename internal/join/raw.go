package join

import (
	"cmp"
	"errors"
	"io"
	"time"
)

// A rawLink is a connection that carries messages with their separator, in both
// directions. The server does not acknowledge them: only the system knows what has
// arrived.
type rawLink struct {
	wire
	before  <-chan struct{} // closed when what came earlier is printed
	printed chan struct{}   // closed when all of this is

	lastMotion time.Time
	motion     [3]int64
}

const blockSize = 64 << 10

func newRawLink(c *client, conn duplex) *rawLink {
	return &rawLink{wire: newWire(c, conn), before: c.printed, printed: make(chan struct{}), lastMotion: time.Now()}
}

// receive prints what comes until the connection ends. The link before may still have
// something to print, if STDOUT is blocked.
func (l *rawLink) receive() {
	defer close(l.printed)
	if l.before != nil {
		<-l.before
		if l.out.broke() {
			l.log.Warnf("the connection broke inside a message, which STDOUT has in part")
		}
	}
	l.received <- l.print()
}

func (l *rawLink) print() error {
	block := make([]byte, blockSize)
	for {
		n, err := l.conn.Read(block)
		l.heard.Add(int64(n))
		if _, err := l.out.Write(block[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// send sends STDIN, and then its end.
func (l *rawLink) send() {
	for {
		p := l.raw.take(l.over.Load)
		if len(p) == 0 {
			break
		}
		n, err := l.conn.Write(p)
		l.raw.took(n)
		l.gave.Add(int64(n))
		if err != nil {
			l.sent <- err
			return
		}
	}
	l.sent <- l.endSending()
}

// endSending tells the server that nothing more comes.
func (l *rawLink) endSending() error {
	if !l.endsHere() {
		return nil
	}
	return l.conn.CloseWrite()
}

func (l *rawLink) hungUp() event {
	switch {
	case l.receiveErr != nil || l.sendErr != nil:
		return ended
	case !l.sending:
		return bothEnded
	case l.broken == nil && goesOn(l.heard.Load(), time.Since(l.began), l.Once, l.Input):
		return halfClosed
	}
	return ended
}

func (l *rawLink) look() event {
	switch {
	case isStdout(l.broken):
		return lost
	case l.EOF == Exit && !l.leaves() && !l.sending && l.sendErr == nil:
		return finished
	}
	switch l.phase {
	case onward:
		return l.stalledIf(l.leaves() && l.still())
	case leaving:
		if !l.sending && l.Health(l.conn).Unacked == 0 {
			return settled
		}
		return l.stalledIf(l.still())
	case draining:
		h := l.Health(l.conn)
		if h.Closed && h.Unacked > 0 {
			l.breakOff(errGone)
		}
		if h.Unacked == 0 || l.broken != nil {
			return settled
		}
		return l.stalledIf(l.still())
	case failing:
		return l.stalledIf(l.stuck())
	}
	return nothing
}

func (l *rawLink) stalledIf(is bool) event {
	if is {
		return stalled
	}
	return nothing
}

// act leaves by letting the server close the connection: a close with unread input
// would be a reset, and the server might lose what it has not read yet.
func (l *rawLink) act(a action, e event) {
	wait := grace
	switch {
	case a == leave:
		l.lastMotion = time.Now()
		l.departs(e)
		if !l.sending && l.sendErr == nil {
			_ = l.conn.CloseWrite() // --eof=stay has not
		}
		if e == finished {
			return // it takes as long as it takes
		}
		if wait = shutdownBudget; l.phase == failing {
			wait = grace
		}
	case a == linger && !l.leaves():
		return // to the end of what comes
	}
	if l.isWatcher() {
		wait = 0
	}
	l.timer.Reset(wait)
}

// stuck reports whether a blocked STDOUT keeps us from reading a broken connection to its
// end. The next link need not wait for that, unless another one is stuck already.
func (l *rawLink) stuck() bool {
	return l.out.blocked() > grace && (l.before == nil || isClosed(l.before))
}

// still reports whether nothing has moved for a while.
func (l *rawLink) still() bool {
	motion := [3]int64{l.heard.Load(), l.gave.Load(), int64(l.Health(l.conn).Unacked)}
	if motion != l.motion {
		l.motion, l.lastMotion = motion, time.Now()
	}
	return time.Since(l.lastMotion) >= grace
}

func (l *rawLink) rhythm() time.Duration {
	if l.asksSystem() {
		return tick
	}
	return l.HealthEvery
}

// asksSystem reports whether the system decides when the phase ends.
func (l *rawLink) asksSystem() bool {
	return l.phase == leaving || l.phase == draining || l.phase == failing || l.phase == onward && l.leaves()
}

func (l *rawLink) examine() {
	if l.asksSystem() || l.phase == parting {
		return // the link is ending anyway
	}
	h := l.askSystem()
	if h.Closed && l.sending { // it cannot have ended well before we end it
		l.breakOff(errGone)
	}
}

func (l *rawLink) end() (ending, verdict) {
	l.client.printed = l.printed
	l.over.Store(true)
	l.in.wake()
	_ = l.conn.SetWriteDeadline(past)
	if l.sending {
		<-l.sent //nolint:errcheck // nothing new: it was stopped
	}
	e := ending{err: cmp.Or(l.broken, l.receiveErr, l.sendErr), left: l.departure(), lasted: time.Since(l.began), useful: l.heard.Load() > 0}
	e.unacked = min(int64(l.Health(l.conn).Unacked), l.gave.Load())
	if l.receiving && e.left == stays && !isStdout(l.broken) { // stuck
		go func() {
			<-l.printed
			_ = l.conn.Close()
		}()
	} else {
		_ = l.conn.Close()
	}
	e.stdin = l.in.stdin()
	return e, e.verdict(l.Once, l.EOF, l.Input)
}
