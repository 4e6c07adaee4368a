//go:build unix

package intake

// This file has the input of posts: clients that join and leave with one HTTP request,
// whose body is messages. A goroutine reads the body, a piece at a time, and waits
// until the piece is entered. That needs a batch; until there is one nothing more is
// read, so that TCP pushes back:
//
//	Post        queues a piece
//	EnterPosts  enters it
//	Withdraw    the goroutine waits no longer

import (
	"slices"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/proto"
)

// Post is a client that joins and leaves with one HTTP request. The body holds its
// messages.
type Post struct {
	Sender
	received int64
	posted   quota.Share // of what posts have begun to say
}

// Received returns how many bytes of its body were entered.
func (p *Post) Received() int64 { return p.received }

// Forget drops the incomplete message of the post.
func (p *Post) Forget() {
	p.Sender.Forget()
	p.posted.Release()
}

// Piece is a piece of a post's body, at most ReadSize bytes.
type Piece struct {
	by   *Post
	data []byte
	last bool // the body ends here

	Entered chan struct{} // closed when it was entered or withdrawn; then valid:
	Out     Outcome       // of the piece
	Begun   bool          // it ends inside a message
}

// NewPiece makes a piece. Its data must not be written to until Entered is
// closed.
func NewPiece(by *Post, data []byte, last bool) *Piece {
	return &Piece{by: by, data: data, last: last, Entered: make(chan struct{})}
}

// Post queues p.
func (w *Writer) Post(p *Piece) { w.posts = append(w.posts, p) }

// Withdraw removes p from the queue.
func (w *Writer) Withdraw(p *Piece) {
	if i := slices.Index(w.posts, p); i >= 0 {
		w.posts = slices.Delete(w.posts, i, i+1)
		close(p.Entered)
	}
}

// EnterPosts enters queued pieces as long as there is a batch, and returns how many
// bytes that were.
func (w *Writer) EnterPosts() (size int64) {
	for len(w.posts) > 0 {
		if w.Batch() == nil {
			return size
		}
		p := w.posts[0]
		w.posts[0] = nil
		w.posts = w.posts[1:]
		if !p.by.Left() {
			p.enter(w)
			size += int64(len(p.data))
		}
		close(p.Entered)
	}
	w.posts = nil
	return size
}

// enter enters p. A post cannot be elected to give back what it holds, so it ends if
// that grows while posts, or all clients, hold too much.
func (p *Piece) enter(w *Writer) {
	by, in := p.by, w.inbox
	held := by.Holds()
	by.received += int64(len(p.data))
	p.Out = by.Took(w, copy(by.Space(w), p.data))
	if p.last && p.Out.End == (ending.Reason{}) {
		p.Out = by.EndOfInput(w)
	}
	holds := by.Holds()
	p.Begun = holds > 0
	if full := !by.posted.Resize(in.Posts, holds) || holds > held && in.Beginnings.Over(); full && p.Out.End == (ending.Reason{}) {
		p.Out.End = ending.Because(proto.ReasonOverQuota, "the beginnings of messages fill the backlog")
	}
}
