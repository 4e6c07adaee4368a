// Package join is the client: it connects, sends STDIN to the server, prints what the
// server sends on STDOUT, and connects again when the connection breaks.
//
//	address.go   addresses
//	dial.go      connects to the addresses of a name (RFC 8305)
//	connect.go   makes a link, and detects the server's protocol
//	phase.go     the phases of a connection: a table of events
//	link.go      one connection, from connected to over: raw.go, v1link.go
//	v1.go        encodes and decodes hubbub.v1
//	outbox.go    STDIN, in a bounded ring (ring.go); each connection takes bytes
//	             (rawqueue.go) or messages (ackqueue.go)
//	printer.go   STDOUT
//	inbox.go     messages that wait for STDOUT
//	out.go       renders a message
//	again.go     what follows the end of a connection: again, done or failed
//
// Two goroutines move the bytes of a connection, one each way, and share nothing: a
// blocked STDOUT does not stop sending, and a server that does not read does not stop
// printing. One print buffer and the ring are in memory; beyond them the kernel pushes
// back, on the server and on whoever writes STDIN.
//
// With hubbub.v1 a message arrives once: it has a number and is kept until the server
// acknowledges it, over connections. Messages to print have numbers too, so that none
// is printed twice, and missing ones are reported.
//
// Over a raw connection a message arrives at most once. One that was only partly
// handed to the system when the connection broke cannot have arrived whole, so the
// next connection gets it from its beginning. One that was handed over whole is not
// sent again, although it may be lost.
package join

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"strings"
	"time"

	"hubbub.example/internal/backoff"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
)

// Options configure a client.
type Options struct {
	Dialer

	// Stdin is read from the first connection on. nil means an empty one.
	Stdin io.Reader
	Input Input

	// Stdout is written by one goroutine, which may block. If it has a method
	// Flush, that is called at the end.
	Stdout io.Writer

	// Lost reports that Stdout is lost before a write fails.
	Lost <-chan error

	Frame framing.Framing
	EOF   EOF
	Out   Out // "" means Plain

	// WebSocket opens a WebSocket on a connection, for a Host, a path with its
	// query, and a proto.Subprotocol. An error with a method Status is an HTTP
	// answer with that status; 0 if it is invalid. nil means raw only.
	WebSocket func(conn net.Conn, host, target, protocol string) (WebSocket, error)

	// AnswerIn is how long a server may take to answer a handshake, before it
	// counts as raw. 0 means 2 s.
	AnswerIn time.Duration

	// Since and Last say where the stream begins: after a message, or Last messages
	// back. Without them the server decides.
	Since proto.Point
	Last  *int

	// Name is the client's name; "" for none.
	Name string

	// Once means not to connect again after the connection ends.
	Once bool

	// Health asks the system about a connection, every HealthEvery; 0 for never.
	// nil where the system cannot tell.
	Health      func(net.Conn) Health
	HealthEvery time.Duration

	// FirstWait and LongestWait bound the waits between attempts to connect again.
	// 0 means 250 ms and 30 s.
	FirstWait, LongestWait time.Duration

	// Log gets a warning when the connection is lost and when it is back, and debug
	// records for the rest. nil means no log.
	Log *slog.Logger
}

// Input is the kind of STDIN.
type Input uint8

const (
	Stream   Input = iota // a pipe or a socket, which may end or not
	File                  // a file, which ends
	Terminal              // a terminal
)

// EOF is what to do at the end of STDIN. A client whose STDIN is empty is a watcher
// and stays, except with Exit.
type EOF string

const (
	HalfClose EOF = "half-close" // tell the server, and print what still comes
	Stay      EOF = "stay"       // only print what still comes
	Exit      EOF = "exit"       // leave once everything is sent
)

// Health is the system's view of a connection.
type Health struct {
	Unacked int  // bytes the peer has not acknowledged
	Silent  bool // the peer does not answer probes
	Closed  bool // the connection is closed
}

func (o Options) withDefaults() Options {
	o.EOF = cmp.Or(o.EOF, HalfClose)
	o.Out = cmp.Or(o.Out, Plain)
	o.AnswerIn = cmp.Or(o.AnswerIn, 2*time.Second)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 10*time.Second)
	o.HealthEvery = cmp.Or(o.HealthEvery, math.MaxInt64)
	o.FirstWait = cmp.Or(o.FirstWait, 250*time.Millisecond)
	o.LongestWait = cmp.Or(o.LongestWait, 30*time.Second)
	if o.Health == nil {
		o.Health = func(net.Conn) Health { return Health{} }
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
	in       *outbox  // the queue for protocol takes from it
	out      *printer
	log      *logger.Queue
	waits    backoff.Waits

	// Of rawLinks.
	raw     rawQueue
	printed <-chan struct{} // closed when everything of the last link is on STDOUT

	// Of v1Links.
	acks    ackQueue
	session string
	place   proto.Point // the last message received; the receiver's
	own     own         // the receiver's
	inbox   *inbox
	idle    chan struct{} // wakes the link
	refused string        // the last error of an attempt
}

// Run joins. It returns nil when there is nothing more to do, or ctx is done and the
// server has taken everything; otherwise why there is no connection, STDOUT is lost,
// or what was not sent when ctx was done.
//
// It may leave goroutines behind that read Stdin or write Stdout, which cannot be
// interrupted.
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
		l.live(ctx, l)
		end, next := l.end()
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

// neverThere returns the error if ctx is done before the first connection.
func (c *client) neverThere(ctx context.Context, l link) error {
	if l != nil {
		l.drop()
	}
	if why := context.Cause(ctx); isStdout(why) {
		return why
	}
	return fmt.Errorf("stopped before %s answered", c.Address)
}

// again connects again after a connection has ended. Without a link and an error,
// nothing is left to send and STDIN has ended, or ctx is done.
func (c *client) again(ctx context.Context, end ending) (link, error) {
	if c.protocol == HubbubV1 {
		c.in.disconnected()
	} else if c.raw.rewind() {
		c.log.Warnf("lost a message of more than %d bytes: its beginning went to the connection that broke", c.in.size())
	}
	if end.useful || end.behind { // behind is not the server's fault
		c.waits.Reset()
	}
	wait := c.waits.Next(end.lasted)
	why := append([]string{end.why()}, end.doubtful()...)
	c.log.Warnf("lost %s: %s; trying again in %v", c.Address, strings.Join(why, "; "), wait.Round(time.Millisecond))
	for began := time.Now(); ; {
		if !c.rest(ctx, wait) {
			return nil, c.calledOff(ctx)
		}
		if c.complete() {
			return nil, c.completeMeanwhile(end)
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

// rest waits before the next attempt, or until STDIN ends and there is no reason for
// one. It reports whether ctx is not done.
func (c *client) rest(ctx context.Context, wait time.Duration) bool {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	for over := c.in.over; ; over = nil {
		select {
		case <-enough.C:
			return true
		case <-ctx.Done():
			return false
		case <-over:
			if c.complete() {
				return true
			}
		}
	}
}

// retrying logs why an attempt failed; as a warning, if the error is new.
func (c *client) retrying(err error, wait time.Duration) {
	tell := c.log.Debugf
	if isHTTP(err) && err.Error() != c.refused {
		c.refused = err.Error()
		tell = c.log.Warnf
	}
	tell("%v; trying again in %v", err, wait.Round(time.Millisecond))
}

// complete reports whether there is no reason to connect again.
func (c *client) complete() bool {
	if c.protocol == HubbubV1 {
		return c.in.stdin().completeV1(c.EOF, c.Input)
	}
	return c.in.stdin().complete(c.EOF, c.Input)
}

// completeMeanwhile returns how Run ends if STDIN has ended since the connection did,
// with nothing left to send: as if STDIN had ended first.
func (c *client) completeMeanwhile(end ending) error {
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

// calledOff returns the error if ctx is done while there is no connection.
func (c *client) calledOff(ctx context.Context) error {
	if why := context.Cause(ctx); isStdout(why) {
		return why
	}
	rest := ending{stdin: c.in.stdin(), receipts: c.protocol == HubbubV1}
	if losses := rest.losses(); losses != nil {
		return fmt.Errorf("stopped while disconnected from %s: %s", c.Address, losses[0])
	}
	return nil
}

// finish adds errors of STDIN and STDOUT to err.
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

// allPrinted waits until everything is on STDOUT; not for long if ctx is done.
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
