//go:build unix

package hubbub

// This file is a client that comes and goes with one HTTP request: what its
// body says are messages, and nothing is sent to it.
//
//	post        a goroutine  of net/http's reads the body, a piece at a time, once
//	                         no join or leave waits for the inbox
//	enterPosts  a loop       puts whole messages into the batch that the inbox
//	                         gets, when there is one; until then nothing more is
//	                         read, so that TCP pushes back
//	kickGuest   a loop       ends one whose body may go on for ever
//
// A guest is known to one loop like any client, but has no descriptor there.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/web"
)

// smallestPiece is what a body is read into first; it grows with the body's
// messages.
const smallestPiece = 4 << 10

// posted is what one guest says, on its way into the inbox.
type posted struct {
	guest   *client
	data    []byte // whole messages
	size    int    // of what they were in the body
	entered chan struct{}
}

// post takes the messages of a body.
func (h *Hub) post(ctx context.Context, peer web.Peer, name string, body io.ReadCloser) error {
	if n := h.clients.Add(1); n > int64(h.o.MaxClients) {
		h.clients.Add(-1)
		return h.full()
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c := &client{addr: peer.Tag.(origin).addr, protocol: codec.ProtocolPost, id: h.ids.Add(1)}
	c.extra = &extra{name: name, kick: func(why web.Refused) {
		end(why)
		_ = body.Close()
	}}
	l := h.fewest()
	if h.late.Load() > 0 { // one connection may have any number of guests
		if _, err := h.waitForInbox(ctx, l, &posted{guest: c}); err != nil {
			h.gone(c)
			return err
		}
	}
	l.Do(func() { l.guestJoins(c) })
	reason, err := h.readBody(ctx, l, c, body)
	if why, kicked := errors.AsType[web.Refused](context.Cause(ctx)); kicked {
		reason, err = ending.Because(proto.ReasonKicked, "%s", why), why
	}
	l.Do(func() { l.guestLeaves(c, reason) })
	return err
}

// readBody reads the body to its end, and says how it ended.
func (h *Hub) readBody(ctx context.Context, l *loop, c *client, body io.Reader) (reason ending.Reason, err error) {
	buf := make([]byte, 0, smallestPiece)
	var begun, posted quota.Share
	defer begun.Release()
	defer posted.Release()
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := body.Read(buf[len(buf):min(cap(buf), len(buf)+readSize)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return h.endOfBody(ctx, l, c, buf)
		}
		if err != nil {
			return h.brokeOff(err), err
		}
		whole := h.framing.Whole(buf)
		if reason, err := h.hearGuest(ctx, l, c, buf[:whole]); err != nil {
			return reason, err
		}
		if len(buf)-whole > h.longest+1 {
			return ending.TooLong(h.longest), web.ErrTooLong
		}
		buf = buf[:copy(buf, buf[whole:])]
		if !begun.Resize(h.partial, len(buf)) || !posted.Resize(h.posted, len(buf)) {
			return ending.Because(proto.ReasonOverQuota, "the beginnings of messages fill the backlog"), errors.New("too many messages are begun and not ended; try again later")
		}
	}
}

// brokeOff is why a body ended before its end.
func (h *Hub) brokeOff(err error) ending.Reason {
	select {
	case <-h.backlog.Stopped():
		return ending.Shutdown()
	default:
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ending.Idle(h.o.IdleTimeout)
	}
	return ending.Lost(syscall.ECONNRESET)
}

// endOfBody takes what is left. A last message needs no separator; what is no
// whole record is told to be none.
func (h *Hub) endOfBody(ctx context.Context, l *loop, c *client, rest []byte) (reason ending.Reason, err error) {
	var incomplete error
	whole, separator := h.framing.Whole(rest), h.framing.Separator()
	switch n := len(rest) - whole; {
	case n == 0:
	case separator == nil:
		l.Do(func() {
			l.hub.log.Group(endedInside, 0, "client %d: its last %d bytes are no whole record and are dropped", c.id, n)
		})
		incomplete = fmt.Errorf("%w: its last %d bytes are no record of %d; the records before them are taken", web.ErrIncomplete, n, h.longest)
		rest = rest[:whole]
	default:
		rest = append(rest, separator...)
	}
	if reason, err := h.hearGuest(ctx, l, c, rest); err != nil {
		return reason, err
	}
	return ending.Done(), incomplete
}

// hearGuest returns when p, which is whole messages as they came, is in the
// inbox, as far as none of them is too long.
func (h *Hub) hearGuest(ctx context.Context, l *loop, c *client, p []byte) (reason ending.Reason, err error) {
	size := len(p)
	p = h.framing.Clean(p)
	good := h.fitting(p)
	if reason, err := h.putInbox(ctx, l, c, p[:good], size); err != nil {
		return reason, err
	}
	if good < len(p) {
		return ending.TooLong(h.longest), web.ErrTooLong
	}
	return ending.Reason{}, nil
}

// putInbox returns when p is in the inbox. It was size bytes in the body.
func (h *Hub) putInbox(ctx context.Context, l *loop, c *client, p []byte, size int) (reason ending.Reason, err error) {
	if len(p) == 0 || !h.inbox.want.messages() {
		return ending.Reason{}, nil
	}
	return h.waitForInbox(ctx, l, &posted{guest: c, data: p, size: size})
}

// waitForInbox returns when entry is in the inbox.
func (h *Hub) waitForInbox(ctx context.Context, l *loop, entry *posted) (reason ending.Reason, err error) {
	entry.entered = make(chan struct{})
	l.Do(func() { l.posts = append(l.posts, entry) })
	select {
	case <-entry.entered:
		return ending.Reason{}, nil
	case <-h.closed:
		return ending.Shutdown(), web.ErrEnding
	case <-ctx.Done():
		// The loop may be reading its data at this moment: nobody may write to it.
		l.Do(func() { l.withdraw(entry) })
		select {
		case <-entry.entered:
		case <-h.closed:
		}
		return ending.Shutdown(), ctx.Err()
	}
}

// withdraw has entry not be waited for any more.
func (l *loop) withdraw(entry *posted) {
	if i := slices.Index(l.posts, entry); i >= 0 {
		l.posts = slices.Delete(l.posts, i, i+1)
		close(entry.entered)
	}
}

// enterPosts puts what guests say into the batch.
func (l *loop) enterPosts() {
	for len(l.posts) > 0 {
		l.enterLate()
		b := l.open()
		if b == nil || len(l.late) > 0 {
			return
		}
		p := l.posts[0]
		l.posts[0] = nil
		l.posts = l.posts[1:]
		if !p.guest.left {
			begin := len(b.data)
			b.data = append(b.data, p.data...)
			p.guest.link.CountRecv(int64(p.size))
			l.stats.bytesIn += int64(p.size)
			l.record(p.guest, b, begin, b.data[begin:])
		}
		close(p.entered)
	}
	l.posts = nil
}

func (l *loop) guestJoins(c *client) {
	c.since = uint32(l.Now().Sub(l.hub.began) / time.Second)
	l.guests.add(c)
	l.joined(c)
}

// kickGuest ends c: what it says is not heard any more, and what waits, of its
// body or for the inbox, does so no longer.
func (l *loop) kickGuest(c *client, why ending.Reason) {
	if c.left {
		return
	}
	l.tellLeave(c, why)
	c.extra.kick(web.Refused(why.Text))
}

func (l *loop) guestLeaves(c *client, reason ending.Reason) {
	l.tellLeave(c, reason)
	l.guests.remove(c)
	l.hub.gone(c)
}
