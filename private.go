//go:build unix

package hubbub

// This file is what one client is sent and others are not:
//
//	Send         any goroutine  has it posted to the client's loop, behind all that
//	                            was broadcast before
//	openLetters  a loop         keeps it with the client
//	upToLetter   a loop         has it sent when the client's cursor has come to
//	                            its place: nothing overtakes it, and it overtakes
//	                            nothing
//	Kick         any goroutine  a letter that ends its client
//
// A loop looks how far the feeds go before it opens its letters, and sends no
// further in that turn. So what was broadcast after a letter is never sent
// before it.

import (
	"fmt"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/feed"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

const (
	// mostLetters bounds what waits for one client, in bytes.
	mostLetters = 1 << 20

	// spareKept is how many letters' room a loop keeps when none come.
	spareKept = 1024

	// letterPiece is about how much of that is sent at a time.
	letterPiece = 64 << 10
)

// letter is a message to one client, in its form, or the end of it.
type letter struct {
	to    *client
	after uint64 // the last broadcast before it
	data  []byte // shared with others that get the same
	kick  bool   // data is the caller's reason
}

// letters are those that wait for one client.
type letters struct {
	queue   []letter
	share   quota.Share
	dropped int64 // messages, since it was last said
}

// Send sends a message, without its separator, to some clients, each in the
// order in which it and broadcasts were given. It never waits: what a client
// does not take waits for it, up to 1 MiB, and up to Backlog for all of them.
// Beyond that the client is cut or, with Skip, its oldest are dropped. An
// *UnknownError names those that are not there; the others get it. Other errors
// say that nobody gets it, and why.
func (h *Hub) Send(message []byte, to ...uint64) error {
	if err := h.check(message); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	var unknown UnknownError
	var same [codec.Protocols][]byte
	after := h.backlog.Count()
	for _, id := range to {
		w, err := h.find(id)
		if err != nil || w.post != nil {
			unknown.IDs = append(unknown.IDs, id)
			continue
		}
		p := w.client.Protocol()
		if same[p] == nil {
			same[p] = h.private(p, message)
		}
		w.loop.postLetter(letter{to: w.client, after: after, data: same[p]})
	}
	if unknown.IDs != nil {
		return &unknown
	}
	return nil
}

// private is a message as clients of p are sent it alone.
func (h *Hub) private(p codec.Protocol, message []byte) []byte {
	switch p {
	case codec.ProtocolWebSocket:
		return codec.AppendMessage(nil, message)
	case codec.ProtocolV1:
		return codec.AppendPrivate(nil, message)
	case codec.ProtocolSSE:
		return codec.AppendPrivateEvent(nil, message)
	}
	return h.separated(message)
}

// Kick ends a client in an orderly way, when it has had what was broadcast and
// sent to it before, if it takes that at once. A WebSocket is told the reason,
// of at most 123 bytes, and who posts gets it as an answer; it is the leave
// event's too. What the client still says is not heard. The error is an
// *UnknownError.
func (h *Hub) Kick(id uint64, reason string) error {
	w, err := h.find(id)
	if err != nil {
		return err
	}
	if w.post != nil {
		w.loop.Do(func() { w.loop.kickPost(w.post, ending.Kicked(reason)) })
		return nil
	}
	w.loop.postLetter(letter{to: w.client, after: h.backlog.Count(), data: []byte(reason), kick: true})
	return nil
}

// postLetter leaves x for the loop. Any goroutine.
func (l *loop) postLetter(x letter) {
	l.mail.mu.Lock()
	l.mail.letters = append(l.mail.letters, x)
	l.mail.mu.Unlock()
	l.Wake()
}

// openLetters gives each client those that came for it.
func (l *loop) openLetters() {
	l.mail.mu.Lock()
	came := l.mail.letters
	l.mail.letters = l.spareLetters[:0]
	l.mail.mu.Unlock()
	for i, x := range came {
		came[i] = letter{}
		switch c := x.to; {
		case c.Left(): // meanwhile
		case x.kick:
			l.kick(c, x)
		case c.streams():
			l.keepLetter(c, x)
		}
	}
	if l.spareLetters = came[:0]; cap(came) > spareKept { // a burst has gone by
		l.spareLetters = nil
	}
}

// keepLetter has c keep x until its place has come.
func (l *loop) keepLetter(c *client, x letter) {
	w := c.more()
	if w.letters == nil {
		w.letters = &letters{}
		if !c.link.Blocked() {
			l.writable.add(c)
		}
	}
	w.letters.queue = append(w.letters.queue, x)
	w.letters.share.Grow(l.hub.letters, len(x.data))
	if w.letters.share.Held()-len(w.letters.queue[0].data) > mostLetters { // the first may be as long as any
		l.tooManyLetters(c, "for it alone", mostLetters, 1)
	}
	l.overfull(l.hub.letters)
}

// tooManyLetters ends c, or has it lose its oldest until there are so many bytes,
// or so few letters.
func (l *loop) tooManyLetters(c *client, why string, most, least int) {
	x := c.extra.letters
	if l.hub.o.Slow != SlowSkip {
		l.cut(c, ending.Because(proto.ReasonOverQuota, "takes no private messages (%s wait %s)", quantity.Bytes(int64(x.share.Held())), why))
		return
	}
	if x.dropped == 0 {
		l.hub.log.Warnf("client %d takes no private messages (%s wait %s): the oldest are dropped", c.ID(), quantity.Bytes(int64(x.share.Held())), why)
	}
	for x.share.Held() > most && len(x.queue) > least {
		x.dropped++
		l.dropLetter(x)
	}
}

// dropLetter forgets the first of x.
func (l *loop) dropLetter(x *letters) {
	x.share.Shrink(len(x.queue[0].data))
	x.queue[0] = letter{}
	x.queue = x.queue[1:]
}

// upToLetter has c be sent the letters whose place has come, and says where that
// of the next is, at most end.
func (l *loop) upToLetter(c *client, f *feed.Feed, end int64) int64 {
	x := c.extra.letters
	for len(x.queue) > 0 {
		if at := f.Begin(x.queue[0].after + 1); at > c.cursor {
			if c.state == finishing && at > c.extra.goal { // its end comes before
				break
			}
			return min(end, at)
		}
		a := l.asides(c)
		if len(a.notes) >= letterPiece {
			return c.cursor // these first
		}
		a.notes = append(a.notes, x.queue[0].data...)
		l.dropLetter(x)
	}
	if x.dropped > 0 {
		l.hub.log.Warnf("client %d has lost %s", c.ID(), quantity.Count(x.dropped, "message")+" that it alone was sent")
	}
	l.forgetLetters(c)
	return end
}

// forgetLetters is the end of c.
func (l *loop) forgetLetters(c *client) {
	if x := c.extra; x != nil && x.letters != nil {
		x.letters.share.Release()
		x.letters = nil
	}
}

// kick ends c: at once if it would have to be waited for.
func (l *loop) kick(c *client, x letter) {
	reason := ending.Kicked(string(x.data))
	l.hub.log.Debugf("client %d (%s) is %s", c.ID(), c.Addr(), reason.Text)
	if c.state == broken {
		l.lost(c, reason)
		return
	}
	c.Mute(true)
	c.kicked = true
	c.Forget()
	goal := l.feed(c).Begin(x.after + 1)
	waits := goal - c.cursor
	if c.hasLetters() {
		waits += int64(c.extra.letters.share.Held())
	}
	if c.link.Blocked() || waits > link.Unsent {
		l.endFor(c, reason)
		return
	}
	l.finish(c, max(goal, c.cursor), reason)
}
