package join

import (
	"context"
	"errors"
	"io"
	"time"
)

// A rawLink is a connection on which messages go with their separator, both
// ways, and nothing is acknowledged. Three goroutines: receive and send move
// the bytes, run decides when it is over.
type rawLink struct {
	wire
	before <-chan struct{} // closed when what came earlier is printed

	received chan error    // what receiving ended with; nil: the server's end of file
	printed  chan struct{} // closed then
	sent     chan error    // what sending ended with; nil: all is sent

	receiving, sending  bool
	receiveErr, sendErr error
	onward              bool      // send on after the server's end of file
	sentAll             time.Time // when the server was last seen not to have all
	lastMotion          time.Time
	motion              [3]int64
}

const blockSize = 64 << 10

func newRawLink(c *client, conn duplex) *rawLink {
	now := time.Now()
	return &rawLink{
		wire:      wire{client: c, conn: conn, began: now},
		before:    c.printed,
		received:  make(chan error, 1),
		printed:   make(chan struct{}),
		sent:      make(chan error, 1),
		receiving: true, sending: true,
		lastMotion: now,
	}
}

// receive prints what comes until the connection's end. The one before this
// may still have something to print, if STDOUT is blocked.
func (l *rawLink) receive() {
	defer close(l.printed)
	if l.before != nil {
		<-l.before
		if l.out.broke() {
			l.log.Warnf("the connection broke inside a message, which ends early on STDOUT")
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

// send sends what STDIN gives until STDIN's end, which it passes on.
func (l *rawLink) send() {
	for {
		p := l.in.take(l.over.Load)
		if len(p) == 0 {
			break
		}
		n, err := l.conn.Write(p)
		l.in.took(n)
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

func (l *rawLink) run(ctx context.Context) (ending, verdict) {
	l.client.printed = l.printed
	go l.receive()
	go l.send()
	stop := ctx.Done()
	pulse := time.NewTimer(l.rhythm())
	defer pulse.Stop()
	for !l.finished() {
		select {
		case err := <-l.received:
			l.receiving, l.receiveErr = false, err
			l.onward = err == nil && l.broken == nil && goesOn(l.heard.Load(), time.Since(l.began), l.Once, l.Input)
		case err := <-l.sent:
			l.sending, l.sendErr = false, err
			if err == nil && l.EOF == Exit {
				l.leave(exits)
			}
		case <-stop:
			stop = nil
			l.stop(context.Cause(ctx))
		case <-pulse.C:
			l.examine()
		}
		pulse.Reset(l.rhythm())
	}
	e := l.end()
	return e, e.verdict(l.Once, l.EOF, l.Input)
}

// finished reports whether the link is over.
func (l *rawLink) finished() bool {
	switch {
	case l.receiveErr != nil, isStdout(l.broken):
		return true
	case !l.receiving && !l.sending:
		return l.sendErr != nil || l.settled()
	case !l.receiving && !l.onward:
		return true
	case l.leaving():
		return l.parted()
	case l.sendErr != nil:
		return l.stuck()
	}
	return false
}

// settled reports whether the server has taken all that was sent, or does not
// care to.
func (l *rawLink) settled() bool {
	h := l.health()
	if h.Closed && h.Unacked > 0 {
		l.breakOff(errGone)
	}
	return h.Unacked == 0 || l.broken != nil || l.still() || l.late()
}

// parted reports whether we have waited long enough for the server to take
// what is left and to end the connection.
func (l *rawLink) parted() bool {
	if l.sending || l.health().Unacked > 0 {
		l.sentAll = time.Now()
	}
	return time.Since(l.sentAll) >= patience || l.still() || l.late()
}

// stuck: the connection is broken, but a blocked STDOUT keeps us from reading
// to its end. The next need not wait for that; more than one would add up.
func (l *rawLink) stuck() bool {
	return l.out.blocked() > patience && (l.before == nil || isClosed(l.before))
}

// still reports whether nothing has moved for a while.
func (l *rawLink) still() bool {
	motion := [3]int64{l.heard.Load(), l.gave.Load(), int64(l.health().Unacked)}
	if motion != l.motion {
		l.motion, l.lastMotion = motion, time.Now()
	}
	return time.Since(l.lastMotion) >= patience
}

// rhythm is how often to look.
func (l *rawLink) rhythm() time.Duration {
	switch {
	case l.leaving() || !l.sending && (!l.receiving || l.sendErr != nil):
		return tick
	case l.Health != nil && l.HealthEvery > 0:
		return l.HealthEvery
	}
	return time.Hour
}

// examine asks the system whether the connection lives.
func (l *rawLink) examine() {
	if l.rhythm() == tick {
		return // it is ending anyway
	}
	h := l.askSystem()
	if h.Closed && l.sending { // it cannot have ended well before we end it
		l.breakOff(errGone)
	}
}

// stop ends the link for why ctx is done: the loss of STDOUT, or a signal.
func (l *rawLink) stop(why error) {
	if isStdout(why) {
		l.broken = why
		return
	}
	l.leave(signalled)
}

// leave sends what there is, tells the server that nothing more comes, and
// lets it end the connection: if we closed it with something unread, that
// would be a reset, and the server might lose what it has yet to read.
func (l *rawLink) leave(why departure) {
	now := time.Now()
	l.deadline, l.sentAll, l.lastMotion = now.Add(haste), now, now
	if l.in.stdin().bytes == 0 { // a watcher: there is nothing to lose
		l.deadline, l.sentAll = now, time.Time{}
	}
	l.left.Store(uint32(why))
	l.in.end(nil)
	if !l.sending && l.sendErr == nil {
		_ = l.conn.CloseWrite() // --eof=stay has not
	}
}

// end stops what still runs and says how it ended.
func (l *rawLink) end() ending {
	l.over.Store(true)
	l.in.wake()
	_ = l.conn.SetWriteDeadline(past)
	if l.sending {
		<-l.sent //nolint:errcheck // nothing new: it was stopped
	}
	e := ending{err: firstOf(l.broken, l.receiveErr, l.sendErr), left: l.departure(), lasted: time.Since(l.began), useful: l.heard.Load() > 0}
	e.unacked = min(int64(l.health().Unacked), l.gave.Load())
	if l.receiving && e.left == stays && !isStdout(l.broken) { // stuck
		go func() {
			<-l.printed
			_ = l.conn.Close()
		}()
	} else {
		_ = l.conn.Close()
	}
	e.stdin = l.in.stdin()
	return e
}
