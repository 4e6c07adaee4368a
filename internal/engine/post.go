//go:build unix

package engine

// This file has posts: clients that join and leave with one HTTP request. The body
// holds their messages, and nothing is sent to them.
//
//	post      a goroutine of net/http reads the body, a piece at a time, once no
//	          join or leave waits for the inbox
//	enter     waits until a piece has entered the inbox
//	kickPost  ends a post whose body may be endless
//
// A post belongs to one shard, which enters its messages (package intake).

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/web"
)

// smallestRead is the size of the first read of a body. Larger bodies are read in
// larger pieces.
const smallestRead = 4 << 10

// post is a client that comes and goes with one request.
type post struct {
	intake.Post
	stop  func(why web.Refused) // ends its body
	index int                   // in loop.posts
	slot  accept.Slot
}

// post takes the messages of a body.
func (g *gateway) post(ctx context.Context, peer web.Peer, name string, body io.ReadCloser) error {
	slot, ok := g.engine.gate.Guest()
	if !ok {
		return g.full()
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	p := &post{slot: slot, stop: func(why web.Refused) {
		end(why)
		_ = body.Close()
	}}
	p.Sender = intake.NewSender(peer.Tag.(accept.Conn).Addr, codec.ProtocolPost)
	p.Joins(g.engine.ids.Add(1), uint32(time.Since(g.engine.began)/time.Second))
	p.Rename(name)
	l := g.engine.loops[g.engine.gate.Fewest()]
	if g.engine.inbox.Deferred() { // one connection may have any number of posts
		if _, err := g.enter(ctx, l, intake.NewPiece(&p.Post, nil, false)); err != nil {
			g.engine.release(&p.slot)
			return err
		}
	}
	l.Do(func() { l.postJoins(p) })
	reason, err := g.readBody(ctx, l, p, body)
	if why, kicked := errors.AsType[web.Refused](context.Cause(ctx)); kicked {
		reason, err = ending.Because(proto.ReasonKicked, "%s", why), why
	}
	l.Do(func() { l.postLeaves(p, reason) })
	return err
}

// readBody reads the body to its end and returns how it ended.
func (g *gateway) readBody(ctx context.Context, l *shard, p *post, from io.Reader) (reason ending.Reason, err error) {
	buf := make([]byte, smallestRead)
	for begun := false; ; {
		n, err := from.Read(buf)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return g.brokeOff(err), err
		}
		if g.engine.inbox.Messages && (n > 0 || last && begun) {
			piece := intake.NewPiece(&p.Post, buf[:n], last)
			if reason, err := g.enter(ctx, l, piece); err != nil {
				return reason, err
			}
			switch out := piece.Out; {
			case out.End.Kind == proto.ReasonTooLong:
				return out.End, web.ErrTooLong
			case out.End != ending.Reason{}:
				return out.End, errors.New("too many messages are begun and not ended; try again later")
			case out.Dropped > 0:
				l.Do(func() { l.warnOfRecord(p.ID(), out.Dropped) })
				return ending.Done(), fmt.Errorf("%w: its last %d bytes are no record of %d; the records before them are taken", web.ErrIncomplete, out.Dropped, g.engine.longest)
			}
			begun = piece.Begun
		}
		if last {
			return ending.Done(), nil
		}
		if n == len(buf) && n < intake.ReadSize {
			buf = make([]byte, 2*n)
		}
	}
}

// brokeOff returns why reading a body failed.
func (g *gateway) brokeOff(err error) ending.Reason {
	select {
	case <-g.engine.backlog.Stopped():
		return ending.Shutdown()
	default:
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ending.Idle(g.engine.o.IdleTimeout)
	}
	return ending.Lost(syscall.ECONNRESET)
}

// enter waits until piece has entered the inbox.
func (g *gateway) enter(ctx context.Context, l *shard, piece *intake.Piece) (reason ending.Reason, err error) {
	l.Do(func() { l.in.Post(piece) })
	select {
	case <-piece.Entered:
		return ending.Reason{}, nil
	case <-g.engine.closed:
		return ending.Shutdown(), web.ErrEnding
	case <-ctx.Done():
		// The shard may be reading its data: the buffer must not be reused yet.
		l.Do(func() { l.in.Withdraw(piece) })
		select {
		case <-piece.Entered:
		case <-g.engine.closed:
		}
		return ending.Shutdown(), ctx.Err()
	}
}

func (m *members) postJoins(p *post) {
	p.index = len(m.posts)
	m.posts = append(m.posts, p)
	m.joined(member{loop: m.shard, post: p})
}

// kickPost ends p: its messages are ignored from now on, and nothing waits any
// more for its body or the inbox.
func (m *members) kickPost(p *post, why ending.Reason) {
	if !p.Left() {
		m.shard.leave(&p.Sender, why)
		p.stop(web.Refused(why.Text))
	}
}

func (m *members) postLeaves(p *post, reason ending.Reason) {
	m.shard.leave(&p.Sender, reason)
	p.Forget()
	last := len(m.posts) - 1
	moved := m.posts[last]
	m.posts[p.index], moved.index = moved, p.index
	m.posts[last] = nil
	m.posts = m.posts[:last]
	m.engine.release(&p.slot)
}
