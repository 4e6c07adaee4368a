//go:build unix

package delivery

// This file has private messages. Each is sent when the cursor reaches its place
// among the broadcasts. There is a limit for what waits for each client, and one for
// all clients together (Policy.Private).

import (
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/feed"
)

const (
	// mostPrivate is how many bytes may wait for one client.
	mostPrivate = 1 << 20

	// privatePiece is about how many bytes are sent at a time.
	privatePiece = 64 << 10
)

// Private is a message to one client.
type Private struct {
	After uint64 // the last broadcast before it
	Data  []byte // in the client's encoding; shared between clients
}

// private has the messages that wait for one client.
type private struct {
	queue   []Private
	share   quota.Share
	dropped int64 // messages dropped while the client takes nothing
}

func (x *private) bytes() int {
	if x == nil {
		return 0
	}
	return x.share.Held()
}

func (x *private) release() {
	if x != nil {
		x.share.Release()
	}
}

// drop drops the first message.
func (x *private) drop() {
	x.share.Shrink(len(x.queue[0].Data))
	x.queue[0] = Private{}
	x.queue = x.queue[1:]
}

// Kept is what the engine must do when too many private messages wait.
type Kept struct {
	End   ending.Reason // end the client for this
	Lossy string        // warn: why it begins to lose the oldest
}

// Private adds a message.
func (c *Cursor) Private(msg Private, p *Policy) Kept {
	m := c.need()
	if m.private == nil {
		m.private = &private{}
	}
	x := m.private
	x.queue = append(x.queue, msg)
	x.share.Grow(p.Private, len(msg.Data))
	if x.share.Held()-len(x.queue[0].Data) > mostPrivate { // the first may be of any length
		return x.shed(p, mostPrivate, 1, "for it alone")
	}
	return Kept{}
}

// ShedPrivate drops half of what waits for a client, because too much waits for all
// clients together.
func (c *Cursor) ShedPrivate(p *Policy) Kept {
	if c.more == nil || c.more.private == nil {
		return Kept{}
	}
	x := c.more.private
	return x.shed(p, x.share.Held()/2, 0, "for it, and all that does fills the backlog")
}

// PrivateHeld returns how many bytes of private messages wait.
func (c *Cursor) PrivateHeld() int {
	if c.more == nil {
		return 0
	}
	return c.more.private.bytes()
}

// ForgetPrivate drops what waits: the client takes nothing any more.
func (c *Cursor) ForgetPrivate() {
	if m := c.more; m != nil && m.private != nil {
		m.private.release()
		m.private = nil
		c.tidy()
	}
}

// shed drops the oldest messages until at most most bytes or least messages are left.
func (x *private) shed(p *Policy, most, least int, why string) (k Kept) {
	full := ending.PrivateFull(x.share.Held(), why)
	if p.Slow != Skip {
		return Kept{End: full}
	}
	if x.dropped == 0 {
		k.Lossy = full.Text
	}
	for x.share.Held() > most && len(x.queue) > least {
		x.dropped++
		x.drop()
	}
	return k
}

// takeDue moves messages whose place has come to what is sent. It returns where the
// next one's place is, end at most.
func (x *private) takeDue(c *Cursor, f *feed.Feed, end int64) int64 {
	if x == nil {
		return end
	}
	m := c.more
	for len(x.queue) > 0 {
		if at := f.Begin(x.queue[0].After + 1); at > c.pos {
			if m.ends && at > m.until { // its end comes before
				break
			}
			return min(end, at)
		}
		control := c.Control()
		if len(control.Notices) >= privatePiece {
			return c.pos // they come first
		}
		control.Notices = append(control.Notices, x.queue[0].Data...)
		x.drop()
	}
	m.facts.PrivateLost += x.dropped
	x.release()
	m.private = nil
	return end
}
