//go:build unix

package hubbub

// This file is one client and its receiving side:
//
//	read        by what it speaks: raw ones here, WebSockets in websocket.go
//	readRaw     what it sent goes straight into the batch that the inbox gets
//	split       whole messages stay there; the rest waits with the client
//	endOfInput  its end of file, once all input before it is read

import (
	"errors"
	"io"
	"math"
	"slices"
	"sync/atomic"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/web"
)

// client is one connection. Only its loop touches it. There is one for each
// connection, so what is only sometimes needed stands in extra.
type client struct {
	id       uint64
	cursor   int64 // the next byte of the feed it gets
	extra    *extra
	link     link.Link
	place    int32         // in loop.clients
	seat     backlog.Seat  // does what it was sent count as heard?
	since    uint32        // seconds since the hub began
	messages uint32        // received
	first    uint64        // the message behind which it began
	not      atomic.Uint64 // the last message that it is not to get, if one is still to come: relay.go
	theirs   int64         // the feed is for it, all of it, up to there: relay.go
	addr     sock.Addr
	state    state
	protocol codec.Protocol
	port     sock.Protocol // what the address it came to is for

	unchecked bool // raw: its first line may be a web page's request
	refused   bool // it was never let in
	past      bool // it stands before what its form's feed has: past.go
	spoke     bool // it sent something
	left      bool // its leave was told
	muted     bool // what it says is not heard
	kicked    bool // and it is not waited for
}

// reads says that what the client sends is still taken.
func (c *client) reads() bool { return c.state <= broken }

// form is how c's messages look where it stands.
func (c *client) form() backlog.Encoding {
	if c.past {
		return backlog.Canonical
	}
	return backlog.EncodingOf(c.protocol)
}

// extra is what few clients need, and those not for long.
type extra struct {
	partial  []byte      // the beginning of a message
	begun    quota.Share // of that
	rest     []byte      // the end of a message that the feed no longer keeps
	kept     quota.Share // of that and of words
	missed   int64       // messages it skipped, and was not seen to go on since
	goal     int64       // finishing: where its feed ends
	unread   int         // finishing: bytes of its input that are read before the end
	broke    error       // broken: why it takes no more
	progress *progress   // it lags far
	linger   linger      // it is lingering
	skipped  int64       // messages it has missed, ever
	letters  *letters    // wait to be sent to it alone

	// WebSockets and other HTTP streams.
	name    string
	arrival *arrival      // what it asked for, until it is taken in
	frames  *codec.Frames // it has sent a part of a frame or message
	aside   *aside        // to be sent to it alone
	words   []byte        // lingering: its last ones
	session *session      // hubbub.v1: what it sends has numbers

	// Posts.
	kick func(why web.Refused) // ends it
}

// state is how far a client is on its way out.
type state uint8

const (
	live      state = iota
	finishing       // gets what lies before its goal, then the end of file
	broken          // takes no more; what it sent before is still read
	lingering       // got the end of file; its input is read and discarded
	strange         // no client yet: stranger.go
	dead            // closed at the end of this turn
	away            // its connection is net/http's
)

// streams says that the client takes its part of the feed.
func (c *client) streams() bool { return c.state <= finishing }

// more is c's extra part, made on demand.
func (c *client) more() *extra {
	if c.extra == nil {
		c.extra = &extra{}
	}
	return c.extra
}

// hasNoPart says that nothing of a message has been read.
func (x *extra) hasNoPart() bool { return x == nil || len(x.partial) == 0 }

// tidy lets go of the extra part when nothing in it is needed.
func (c *client) tidy() {
	if x := c.extra; x != nil && c.state == live && x.partial == nil && x.rest == nil && x.missed == 0 && x.progress == nil && x.skipped == 0 && x.letters == nil && !x.speaks() {
		c.extra = nil
	}
}

// speaks says that something of what only HTTP's clients have is there.
func (x *extra) speaks() bool {
	return x.name != "" || x.frames != nil || x.aside != nil || x.session != nil || x.arrival != nil || x.kick != nil
}

// read takes what c sent, at most its budget of one turn. An edge is told
// only once, so c is read again until its link says that there is no more.
func (l *loop) read(c *client) {
	switch {
	case c.state == lingering:
		l.discard(c)
	case c.state == strange:
		l.sniff(c)
	case l.overfull(l.hub.partial):
		l.readSoon(c)
	case c.unchecked && !l.checkFirstLine(c):
	case c.protocol.Framed():
		l.readFrames(c)
	case c.protocol != codec.ProtocolRaw, !l.hub.inbox.want.messages():
		l.ignore(c)
	default:
		l.readRaw(c)
	}
}

// batchFor is the batch that what c sent is to go to; nil while the caller is
// behind.
func (l *loop) batchFor(c *client) *Batch {
	l.enterLate()
	b := l.open()
	if b == nil || len(l.late) > 0 {
		l.readSoon(c)
		return nil
	}
	return b
}

func (l *loop) readRaw(c *client) {
	b := l.batchFor(c)
	if b == nil {
		return
	}
	begin := len(b.data)
	held := 0 // what c has of a message goes before what comes
	if x := c.extra; x != nil && len(x.partial) < readSize {
		held = len(x.partial)
	}
	space := b.data[begin+held : begin+held+readSize]
	n, err := c.link.Recv(space, l.Millis())
	if n > 0 {
		l.heardFrom(c, n)
		l.split(c, b, begin, held, n)
	}
	l.afterRead(c, n, err)
}

// heardFrom counts n bytes from c.
func (l *loop) heardFrom(c *client, n int) {
	c.spoke = true
	l.stats.bytesIn += int64(n)
	if c.state == finishing || c.state == broken {
		l.heardOut(c, n)
	}
}

// afterRead decides whether there may be more.
func (l *loop) afterRead(c *client, n int, err error) {
	switch {
	case err == nil && (c.link.Readable() || c.state == broken && n > 0):
		l.readSoon(c)
	case c.state == broken:
		l.lost(c, ending.Lost(c.extra.broke))
	case err == nil:
		if c.state == finishing {
			l.heardOut(c, math.MaxInt)
		}
	case errors.Is(err, io.EOF):
		l.endOfInput(c)
	default:
		l.lost(c, ending.Lost(err))
	}
}

// readSoon has c be read in the next turn.
func (l *loop) readSoon(c *client) {
	c.link.MayRead()
	l.reading.add(c)
}

// split enters the whole messages among the n bytes that were read to
// b.data[begin+held:], together with what c had of the first, and keeps the
// beginning of the next one with the client.
func (l *loop) split(c *client, b *Batch, begin, held, n int) {
	fresh := b.data[begin+held : begin+held+n]
	if c.extra == nil || c.extra.partial == nil {
		l.enter(c, b, begin, fresh)
		return
	}
	x := c.extra
	if !l.hub.framing.Completes(len(x.partial), fresh) {
		x.partial = append(x.partial, fresh...)
		x.begun.Grow(l.hub.partial, n)
		l.checkPartial(c)
		return
	}
	if held > 0 {
		copy(b.data[begin:begin+held], x.partial)
		b.data = b.data[:begin+held+n]
	} else {
		x.partial = append(x.partial, fresh...)
		b.data = append(b.data[:begin], x.partial...)
	}
	l.forget(c)
	l.enter(c, b, begin, b.data[begin:])
}

// enter makes the whole messages of p, which stands in b.data from begin on,
// a record, and keeps the rest with the client.
func (l *loop) enter(c *client, b *Batch, begin int, p []byte) {
	whole := l.hub.framing.Whole(p)
	messages, rest := l.hub.framing.Clean(p[:whole]), p[whole:]
	good := l.hub.fitting(messages)
	l.record(c, b, begin, messages[:good])
	// Not before its messages are in the batch: who is cut leaves after them.
	if good < len(messages) {
		l.cut(c, ending.TooLong(l.hub.longest))
		return
	}
	l.keep(c, rest)
}

// record enters p, which is whole messages and stands in b.data from begin on.
func (l *loop) record(c *client, b *Batch, begin int, p []byte) {
	if c.muted {
		p = p[:0]
	}
	b.data = b.data[:begin+len(p)]
	if len(p) == 0 {
		return
	}
	b.records = append(b.records, l.said(c, begin, begin+len(p)))
	l.count(c, l.hub.framing.Count(p))
}

// said is what stands in the batch between these as messages of c.
func (l *loop) said(c *client, from, to int) record {
	return record{
		kind: Message, from: from, to: to,
		client: c.id, name: c.name(), protocol: c.protocol, addr: c.addr, time: l.Now().UnixNano(),
	}
}

// name is what c wants to be called; "": it did not say.
func (c *client) name() string {
	if c.extra == nil {
		return ""
	}
	return c.extra.name
}

// count counts messages that c sent.
func (l *loop) count(c *client, n int) {
	c.messages += uint32(n)
	l.stats.messagesIn += int64(n)
}

// keep holds the beginning of a message until the rest comes.
func (l *loop) keep(c *client, p []byte) {
	if len(p) == 0 {
		return
	}
	x := c.more()
	x.partial = slices.Clone(p)
	x.begun.Grow(l.hub.partial, len(p))
	l.checkPartial(c)
}

// checkPartial ends c when what it has of one message is too long, or when
// all clients' beginnings together are.
func (l *loop) checkPartial(c *client) {
	if n := len(c.extra.partial); n > l.hub.longest+1 {
		l.cut(c, ending.TooLong(l.hub.longest))
	} else {
		l.overfull(l.hub.partial)
	}
}

// fitting is how much of p, which is whole messages, comes before one that is
// too long. Only where a message can be shorter than one read and still too
// long does it need a look at each. Raw bytes are no message.
func (h *Hub) fitting(p []byte) int {
	if h.o.Framing == FramingRaw {
		return len(p)
	}
	separator := len(h.framing.Separator())
	for rest := p; len(rest) > h.longest; {
		n := h.framing.First(rest)
		if n-separator > h.longest {
			return len(p) - len(rest)
		}
		rest = rest[n:]
	}
	return len(p)
}

// endedInside are clients whose last bytes are no whole record.
var endedInside = logger.Kind{Of: "ended inside a record, which is dropped"}

// ignore reads and discards what c sends.
func (l *loop) ignore(c *client) {
	n, err := c.link.Recv(l.scratch(), l.Millis())
	if n > 0 {
		l.heardFrom(c, n)
	}
	l.afterRead(c, n, err)
}

// scratch is a place for bytes that nobody wants.
func (l *loop) scratch() []byte {
	if l.waste == nil {
		l.waste = make([]byte, readSize)
	}
	return l.waste
}

// endOfInput is the end of what c sends. A beginning without its end counts
// as a message, except where every message has the same size. A client that
// had something to say is served to the end and closed; one that never spoke
// is a watcher, and stays. (Over TCP it cannot be told from one that is gone,
// until it is sent something, or the keepalive asks; a Unix socket tells.)
func (l *loop) endOfInput(c *client) {
	if c.state == lingering {
		l.drop(c) // all is said
		return
	}
	if c.link.Sent() > 0 {
		l.credit(c)
	}
	if c.protocol.Framed() {
		l.lost(c, ending.Lost(ending.ErrAbrupt))
		return
	}
	l.lastMessage(c)
	if c.spoke && c.state == live {
		l.finish(c, l.feed(c).Head(), ending.Done())
	}
}

// lastMessage enters what c had of a message when its input ended.
func (l *loop) lastMessage(c *client) {
	if c.protocol != codec.ProtocolRaw || c.extra == nil || c.extra.partial == nil {
		return
	}
	separator := l.hub.framing.Separator()
	if separator == nil {
		l.hub.log.Group(endedInside, 0, "client %d: its last %d bytes are no whole record and are dropped", c.id, len(c.extra.partial))
		l.forget(c)
		return
	}
	// There is a batch: read had one before it came to the end of file.
	b := l.open()
	begin := len(b.data)
	b.data = append(append(b.data, c.extra.partial...), separator...)
	l.forget(c)
	l.enter(c, b, begin, b.data[begin:])
}
