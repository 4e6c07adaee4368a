//go:build unix

package intake

// This file is the input of a post: a client that comes and goes with one HTTP
// request, whose body is messages. A goroutine reads the body:
//
//	Space       where the next read goes; Took takes it
//	Messages    the whole messages so far, for the inbox
//	Hold        once those are there, the beginning of the next one is kept
//	End         what is left at the body's end
//
// A loop takes its messages, when there is a batch; until then nothing more is
// read, so that TCP pushes back:
//
//	Post        queues messages; the goroutine waits until they are in
//	EnterPosts  enters them
//	Withdraw    the goroutine waits no longer

import (
	"slices"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/proto"
)

// smallestBody is what a body is read into first; it grows with its messages.
const smallestBody = 4 << 10

// Body is the body of one post, as far as it has come.
type Body struct {
	config *Config
	buf    []byte
	whole  int           // of buf: Took returned it
	end    ending.Reason // why the body may not go on after that
	begun  quota.Share   // of all clients' beginnings
	posted quota.Share   // of those of posts
}

// NewBody makes the body of a post. Release must be called at its end.
func (in *Inbox) NewBody() *Body {
	return &Body{config: &in.Config, buf: make([]byte, 0, smallestBody)}
}

// Space is where the next read goes.
func (b *Body) Space() []byte {
	n := len(b.buf)
	if n == cap(b.buf) {
		b.buf = append(make([]byte, 0, 2*n), b.buf...)
	}
	return b.buf[n:min(cap(b.buf), n+ReadSize)]
}

// Took takes n bytes that were read to Space.
func (b *Body) Took(n int) { b.buf = b.buf[:len(b.buf)+n] }

// Messages returns the whole messages that came so far, and how many bytes of
// the body they were. They are good until Hold, which must follow.
func (b *Body) Messages() (messages []byte, size int) {
	return b.take(b.config.Framing.Whole(b.buf))
}

// End returns the messages that are left at the end of the body. The last one
// needs no separator. Dropped is how many bytes are no whole record.
func (b *Body) End() (messages []byte, size, dropped int) {
	if rest := len(b.buf) - b.config.Framing.Whole(b.buf); rest > 0 {
		if separator := b.config.Framing.Separator(); separator != nil {
			b.buf = append(b.buf, separator...)
		} else {
			dropped = rest
			b.buf = b.buf[:len(b.buf)-rest]
		}
	}
	messages, size = b.take(len(b.buf))
	return messages, size, dropped
}

// take returns the messages of the first n bytes, up to one that is too long.
func (b *Body) take(n int) (messages []byte, size int) {
	messages = b.config.Framing.Clean(b.buf[:n])
	good := b.config.fitting(messages)
	if b.whole = n; good < len(messages) {
		b.end = ending.TooLong(b.config.Longest)
	}
	return messages[:good], n
}

// Hold keeps the beginning of the next message. If the body may not go on, it
// says why: a message is too long, or the beginnings of all together are too
// much.
func (b *Body) Hold() ending.Reason {
	if b.end != (ending.Reason{}) {
		return b.end
	}
	if len(b.buf)-b.whole > b.config.Longest+1 {
		return ending.TooLong(b.config.Longest)
	}
	b.buf = b.buf[:copy(b.buf, b.buf[b.whole:])]
	b.whole = 0
	if !b.begun.Resize(b.config.Beginnings, len(b.buf)) || !b.posted.Resize(b.config.Posts, len(b.buf)) {
		return ending.Because(proto.ReasonOverQuota, "the beginnings of messages fill the backlog")
	}
	return ending.Reason{}
}

// Release gives back what the body holds.
func (b *Body) Release() {
	b.begun.Release()
	b.posted.Release()
}

// Post is a client that comes and goes with one HTTP request, whose body is
// what it says.
type Post struct {
	Sender
	received int64
}

// Received is how many bytes of its body are in the inbox.
func (p *Post) Received() int64 { return p.received }

// Posted is messages of a post, on their way into the inbox.
type Posted struct {
	by      *Post
	data    []byte        // whole messages
	size    int           // of what they were in the body
	Entered chan struct{} // closed when they are in the inbox, or withdrawn
}

// NewPosted makes an entry of messages that were size bytes in the body. They
// must not be written to until Entered is closed.
func NewPosted(by *Post, messages []byte, size int) *Posted {
	return &Posted{by, messages, size, make(chan struct{})}
}

// Post queues p for the inbox.
func (w *Writer) Post(p *Posted) { w.posts = append(w.posts, p) }

// Withdraw has p not be waited for any more.
func (w *Writer) Withdraw(p *Posted) {
	if i := slices.Index(w.posts, p); i >= 0 {
		w.posts = slices.Delete(w.posts, i, i+1)
		close(p.Entered)
	}
}

// EnterPosts enters what posts say, as long as there is a batch, and returns
// how many bytes that was.
func (w *Writer) EnterPosts() (size int64) {
	for len(w.posts) > 0 {
		b := w.Batch()
		if b == nil {
			return size
		}
		p := w.posts[0]
		w.posts[0] = nil
		w.posts = w.posts[1:]
		if !p.by.Left() {
			begin := len(b.data)
			b.data = append(b.data, p.data...)
			w.enterPlain(&p.by.Sender, begin, b.data[begin:])
			p.by.received += int64(p.size)
			size += int64(p.size)
		}
		close(p.Entered)
	}
	w.posts = nil
	return size
}
