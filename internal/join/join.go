// Package join is the client: it connects, sends STDIN to the server, prints
// what the server sends on STDOUT, and comes back when the connection breaks.
//
//	address.go   what ADDRESS may be
//	dial.go      to every address of a name, side by side (RFC 8305)
//	connect.go   from an address to a link: what does the server speak?
//	phase.go     the phases of a connection, and what leads from one to another
//	link.go      one connection, from connected to over: raw.go, v1link.go
//	v1.go        hubbub.v1, bytes and values
//	outbox.go    STDIN's way: a bounded ring (ring.go), of which each connection
//	             takes bytes (rawqueue.go) or messages (ackqueue.go)
//	printer.go   STDOUT's way
//	inbox.go     where whole messages wait for STDOUT
//	out.go       what STDOUT says of a message
//	again.go     what follows a connection's end: again, done or failed
//
// Two goroutines move the bytes of a connection, one each way, and share
// nothing: a STDOUT that nobody reads stops no sending, a server that does not
// read stops no printing. In memory are one buffer for printing and the ring;
// past these the kernel pushes back, on the server and on whoever writes STDIN.
//
// With a server that speaks hubbub.v1 what we send arrives once: it has a
// number and is kept until the server acknowledges it, and a connection that
// breaks is gone on with on the next. What we print has numbers too, so that
// nothing comes twice, and what is missing is said.
//
// Over a raw connection a message arrives at most once. One that was only
// partly handed to the system when the connection broke cannot have arrived
// whole, so the next connection gets it from its beginning; one that was
// handed over whole is not sent again, though the break may have swallowed it.
package join

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"hubbub.example/internal/backoff"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

// Options says whom to join, and how.
type Options struct {
	Dialer

	// Stdin is read from the first connection on. nil is one at its end.
	Stdin io.Reader
	Input Input

	// Stdout is written by one goroutine, which may block. If it has a method
	// Flush, that is called at the end.
	Stdout io.Writer

	// Lost tells that Stdout is lost before a write would.
	Lost <-chan error

	Frame framing.Framing
	EOF   EOF
	Out   Out // "" means Plain

	// WebSocket opens one on a connection, for a Host, a path with its query,
	// and a proto.Subprotocol. An error with a method Status is an answer of HTTP,
	// whatever that returns: 0 for one that cannot be understood.
	// nil means that only raw is spoken.
	WebSocket func(conn net.Conn, host, target, protocol string) (WebSocket, error)

	// AnswerIn is how long a server of which nobody knows what it speaks has
	// to answer as hubbub.v1 does. 0 means 2 s.
	AnswerIn time.Duration

	// Since and Last say where the first connection begins: behind a message,
	// or so many messages back. Neither: where the server has newcomers begin.
	Since proto.Point
	Last  *int

	// Name is what the client wants to be called; "" for nothing.
	Name string

	// Once: a connection that breaks is not made again.
	Once bool

	// Health asks the system about a connection, every HealthEvery. nil where
	// it does not tell, 0 for never.
	Health      func(net.Conn) Health
	HealthEvery time.Duration

	// FirstWait and LongestWait bound the waits between attempts to come
	// back. 0 means 250 ms and 30 s.
	FirstWait, LongestWait time.Duration

	// Log gets a warning when the connection is lost and when it is back, a
	// debug record for the rest. nil means no log.
	Log *slog.Logger
}

// Input is what STDIN is.
type Input uint8

const (
	Stream   Input = iota // a pipe, a socket: who knows when it ends
	File                  // it ends
	Terminal              // a person
)

// EOF is what follows the end of STDIN. One that ends before its first byte
// is no end but a watcher's, who has nothing to say and stays, except with
// Exit.
type EOF string

const (
	HalfClose EOF = "half-close" // tell the server, print what still comes
	Stay      EOF = "stay"       // tell nobody, print what still comes
	Exit      EOF = "exit"       // leave once all is sent
)

// Health is how a connection is.
type Health struct {
	Unacked int  // bytes the peer has not acknowledged
	Silent  bool // it has not answered what it should have answered
	Closed  bool // there is no connection any more
}

func (o Options) withDefaults() Options {
	if o.EOF == "" {
		o.EOF = HalfClose
	}
	if o.Out == "" {
		o.Out = Plain
	}
	if o.AnswerIn == 0 {
		o.AnswerIn = 2 * time.Second
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	if o.FirstWait == 0 {
		o.FirstWait = 250 * time.Millisecond
	}
	if o.LongestWait == 0 {
		o.LongestWait = 30 * time.Second
	}
	if o.Lookup == nil {
		o.Lookup = lookup
	}
	return o
}

// client is what outlives a connection.
type client struct {
	Options
	protocol Protocol // as far as known
	in       *outbox  // from which one of the queues takes, as protocol says
	out      *printer
	log      *logger.Queue
	waits    backoff.Waits

	// Of rawLinks.
	raw     rawQueue
	printed <-chan struct{} // closed when all that the last one gave is on STDOUT

	// Of v1Links.
	acks    ackQueue
	session string
	place   proto.Point // up to where all has been received; the receiver's
	own     own         // likewise
	inbox   *inbox
	idle    chan struct{} // the link shall look again
	refused string        // with what words, the last time
}

// Run joins, and returns when there is nothing more to do (nil), when the
// connection could not be made or is lost for good, when STDOUT is lost, or
// when ctx is done; that is nil too if the server has taken all there was.
//
// It may leave a goroutine behind that reads Stdin, or one that writes Stdout:
// neither can be called off.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	c := &client{
		Options:  o,
		protocol: o.protocol(),
		out:      &printer{w: o.Stdout, frame: o.Frame, out: o.Out},
		log:      logger.New(o.Log),
		waits:    backoff.New(o.FirstWait, o.LongestWait, minUptime),
		session:  rand.Text(),
		place:    o.Since,
		idle:     make(chan struct{}, 1),
	}
	defer c.log.Close()
	c.in = newOutbox(o.Frame, func() {
		c.log.Warnf("disconnected: %d bytes of STDIN buffered; reading pauses until the server is back", c.in.size())
	})
	defer c.in.end(nil)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.inbox = newInbox(c.out, c.poke, func(err error) { cancel(err) })
	c.raw.outbox = c.in
	c.acks.outbox, c.acks.hungry = c.in, c.poke
	c.acks.tooLong = func(longest int64) {
		c.log.Warnf("a message of STDIN is longer than the server takes (%d bytes); dropping messages of this length", longest)
	}
	go c.inbox.run()
	defer c.inbox.close()
	go func() {
		select {
		case err := <-o.Lost:
			cancel(&stdoutError{err})
		case <-ctx.Done():
		}
	}()
	return c.finish(ctx, c.run(ctx))
}

// run goes from connection to connection.
func (c *client) run(ctx context.Context) error {
	l, err := c.find(ctx)
	if ctx.Err() != nil {
		return c.neverThere(ctx, l)
	}
	if err != nil {
		return err
	}
	room := c.raw.room
	if c.protocol == HubbubV1 {
		room = c.acks.room
	}
	go c.in.fill(c.Stdin, room, c.EOF == Stay)
	for {
		end, next := l.run(ctx)
		switch next {
		case done:
			return nil
		case failed:
			return end.failure(c.Address)
		}
		if l, err = c.again(ctx, end); l == nil {
			return err
		}
	}
}

// neverThere returns what ctx being done before the first connection means.
func (c *client) neverThere(ctx context.Context, l link) error {
	if l != nil {
		l.drop()
	}
	if why := context.Cause(ctx); isStdout(why) {
		return why
	}
	return fmt.Errorf("stopped before %s answered", c.Address)
}

// again makes a connection after one has ended. None and no error: nothing is
// left to send, and STDIN has ended, or ctx is done.
func (c *client) again(ctx context.Context, end ending) (link, error) {
	if c.protocol == HubbubV1 {
		c.in.disconnected()
	} else if c.raw.rewind() {
		c.log.Warnf("lost a message of more than %d bytes: its beginning went to the connection that broke", c.in.size())
	}
	if end.useful || end.behind { // which is not the server's fault
		c.waits.Reset()
	}
	wait := c.waits.Next(end.lasted)
	why := append([]string{end.why()}, end.doubtful()...)
	c.log.Warnf("lost %s: %s; trying again in %v", c.Address, strings.Join(why, "; "), wait.Round(time.Millisecond))
	for began := time.Now(); ; {
		if !c.rest(ctx, wait) {
			return nil, c.calledOff(ctx)
		}
		if c.saidAll() {
			return nil, c.saidAllMeanwhile(end)
		}
		l, err := c.connect(ctx)
		if err == nil {
			c.log.Warnf("back at %s after %v", c.Address, time.Since(began).Round(time.Millisecond))
			c.in.connected()
			return l, nil
		}
		if isBreach(err) {
			return nil, err
		}
		wait = c.waits.Next(0)
		c.retrying(err, wait)
	}
}

// rest waits before another attempt, unless STDIN ends and leaves nothing to
// come back for. It reports whether ctx allows to go on.
func (c *client) rest(ctx context.Context, wait time.Duration) bool {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	for over := c.in.over; ; {
		select {
		case <-enough.C:
			return true
		case <-ctx.Done():
			return false
		case <-over:
			if c.saidAll() {
				return true
			}
			over = nil
		}
	}
}

// retrying says what went wrong; aloud, if the server has something new to say.
func (c *client) retrying(err error, wait time.Duration) {
	tell := c.log.Debugf
	if isHTTP(err) && err.Error() != c.refused {
		c.refused = err.Error()
		tell = c.log.Warnf
	}
	tell("%v; trying again in %v", err, wait.Round(time.Millisecond))
}

// saidAll reports whether there is nothing to come back for.
func (c *client) saidAll() bool {
	if c.protocol == HubbubV1 {
		return c.in.stdin().saidAllV1(c.EOF, c.Input)
	}
	return c.in.stdin().saidAll(c.EOF, c.Input)
}

// saidAllMeanwhile: STDIN has ended since, with nothing more to say. Then that
// end is as if it had come the other way round.
func (c *client) saidAllMeanwhile(end ending) error {
	end.stdin = c.in.stdin()
	if end.receipts {
		if c.EOF == Exit || end.bidden() {
			return nil
		}
	} else if end.verdict(c.Once, c.EOF, c.Input) == done {
		return nil
	}
	return end.failure(c.Address)
}

// calledOff returns what ctx being done means without a connection.
func (c *client) calledOff(ctx context.Context) error {
	if why := context.Cause(ctx); isStdout(why) {
		return why
	}
	if n := c.in.stdin().kept; n > 0 && c.protocol == HubbubV1 {
		return fmt.Errorf("stopped while disconnected from %s: %s of STDIN not acknowledged", c.Address, quantity.Count(n, "byte"))
	}
	if n := c.in.stdin().unsent; n > 0 {
		return fmt.Errorf("stopped while disconnected from %s: %s of STDIN not sent", c.Address, quantity.Count(n, "byte"))
	}
	return nil
}

// finish adds to how it ended what STDIN and STDOUT have to say.
func (c *client) finish(ctx context.Context, err error) error {
	if err == nil {
		err = c.in.stdin().err
	}
	if err == nil {
		err = c.acks.complaint()
	}
	if !c.allPrinted(ctx) {
		return err // STDOUT is blocked
	}
	if lost := c.out.end(); err == nil {
		err = lost
	}
	return err
}

// allPrinted waits until what was received is on STDOUT; not for long if we
// are to leave.
func (c *client) allPrinted(ctx context.Context) bool {
	if c.protocol != HubbubV1 {
		return c.printed != nil && closedSoon(c.printed)
	}
	c.inbox.close()
	defer func() {
		if at := c.inbox.at(); at != (proto.Point{}) {
			c.log.Debugf("at %s", at)
		}
	}()
	if c.EOF != Exit {
		select {
		case <-c.inbox.done:
			return true
		case <-ctx.Done():
		}
	}
	return closedSoon(c.inbox.done)
}

// closedSoon waits a moment for c to be closed.
func closedSoon(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

func remote(conn net.Conn) string {
	if a := conn.RemoteAddr(); a.Network() == "tcp" {
		return a.String()
	}
	return "unix:" + conn.RemoteAddr().String()
}
