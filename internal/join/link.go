package join

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// A link is one connection. Three goroutines: receive and send move the
// bytes, run decides when it is over. Its fields are run's, but for the
// channels and the atomics.
type link struct {
	*client
	conn   duplex
	before <-chan struct{} // closed when what came earlier is printed
	began  time.Time

	received chan error    // what receiving ended with; nil: the server's end of file
	printed  chan struct{} // closed then
	sent     chan error    // what sending ended with; nil: all is sent
	heard    atomic.Int64  // bytes received
	gave     atomic.Int64  // bytes sent
	left     atomic.Uint32 // why we end it, if we do: a departure
	over     atomic.Bool

	receiving, sending  bool
	receiveErr, sendErr error
	onward              bool      // send on after the server's end of file
	broken              error     // what the system, or STDOUT, told beside these
	silences            int       // how often in a row the system called the peer silent
	deadline            time.Time // after a signal
	sentAll             time.Time // when the server was last seen not to have all
	lastMotion          time.Time
	motion              [3]int64
}

const (
	blockSize = 64 << 10

	// patience is how long an ending connection may show no motion, and how
	// long the server may go on once it has all that we sent.
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

func (l *link) leaving() bool { return departure(l.left.Load()) != stays }

func newLink(c *client, conn duplex, before <-chan struct{}) *link {
	now := time.Now()
	return &link{
		client: c, conn: conn, before: before, began: now, lastMotion: now,
		received:  make(chan error, 1),
		printed:   make(chan struct{}),
		sent:      make(chan error, 1),
		receiving: true, sending: true,
	}
}

// receive prints what comes until the connection's end. The one before this
// may still have something to print, if STDOUT is blocked.
func (l *link) receive() {
	defer close(l.printed)
	if l.before != nil {
		<-l.before
		if l.out.broke() {
			l.log.warn("the connection broke inside a message, which ends early on STDOUT")
		}
	}
	l.received <- l.print()
}

func (l *link) print() error {
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
func (l *link) send() {
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

// endSending tells the server that nothing more comes, unless more may come,
// or nothing ever came.
func (l *link) endSending() error {
	exit := l.EOF == Exit || l.leaving()
	if l.over.Load() || l.EOF == Stay && !exit || l.in.stdin().bytes == 0 && !exit {
		return nil
	}
	return l.conn.CloseWrite()
}

// run is the link's life.
func (l *link) run(ctx context.Context) ending {
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
	return l.end()
}

// finished reports whether the link is over.
func (l *link) finished() bool {
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
func (l *link) settled() bool {
	h := l.health()
	if h.Closed && h.Unacked > 0 {
		l.breakOff(errGone)
	}
	return h.Unacked == 0 || l.broken != nil || l.still() || l.late()
}

// parted reports whether we have waited long enough for the server to take
// what is left and to end the connection.
func (l *link) parted() bool {
	if l.sending || l.health().Unacked > 0 {
		l.sentAll = time.Now()
	}
	return time.Since(l.sentAll) >= patience || l.still() || l.late()
}

func (l *link) late() bool {
	return departure(l.left.Load()) == signalled && time.Now().After(l.deadline)
}

// stuck: the connection is broken, but a blocked STDOUT keeps us from reading
// to its end. The next need not wait for that; more than one would add up.
func (l *link) stuck() bool {
	return l.out.blocked() > patience && (l.before == nil || isClosed(l.before))
}

// still reports whether nothing has moved for a while.
func (l *link) still() bool {
	motion := [3]int64{l.heard.Load(), l.gave.Load(), int64(l.health().Unacked)}
	if motion != l.motion {
		l.motion, l.lastMotion = motion, time.Now()
	}
	return time.Since(l.lastMotion) >= patience
}

// rhythm is how often to look.
func (l *link) rhythm() time.Duration {
	switch {
	case l.leaving() || !l.sending && (!l.receiving || l.sendErr != nil):
		return tick
	case l.Health != nil && l.HealthEvery > 0:
		return l.HealthEvery
	}
	return time.Hour
}

// examine asks the system whether the connection lives. One look may fall
// between a question to the peer and its answer; two so far apart cannot.
func (l *link) examine() {
	if l.rhythm() == tick {
		return // it is ending anyway
	}
	h := l.health()
	if !h.Silent {
		l.silences = 0
	} else if l.silences++; l.silences == 2 {
		l.breakOff(errSilent)
	}
	if h.Closed && l.sending { // it cannot have ended well before we end it
		l.breakOff(errGone)
	}
}

func (l *link) health() Health {
	if l.Health == nil {
		return Health{}
	}
	return l.Health(l.conn)
}

// breakOff ends both directions; what has been received is still read.
func (l *link) breakOff(err error) {
	if l.broken != nil {
		return
	}
	l.broken = err
	_ = l.conn.CloseRead()
	_ = l.conn.SetWriteDeadline(past)
}

// stop ends the link for why ctx is done: the loss of STDOUT, or a signal.
func (l *link) stop(why error) {
	if isStdout(why) {
		l.broken = why
		return
	}
	l.leave(signalled)
}

// leave sends what there is, tells the server that nothing more comes, and
// lets it end the connection: if we closed it with something unread, that
// would be a reset, and the server might lose what it has yet to read.
func (l *link) leave(why departure) {
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
func (l *link) end() ending {
	l.over.Store(true)
	l.in.wake()
	_ = l.conn.SetWriteDeadline(past)
	if l.sending {
		<-l.sent //nolint:errcheck // nothing new: it was stopped
	}
	e := ending{err: l.why(), left: departure(l.left.Load()), lasted: time.Since(l.began)}
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

func (l *link) why() error {
	for _, err := range []error{l.broken, l.receiveErr, l.sendErr} {
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
