//go:build unix

package child

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/framing"
)

// ErrGone is what Write says when the process is dead, or is to end.
var ErrGone = errors.New("the process has gone")

// input is a process's STDIN. It is Input's goroutine's until fed is closed.
type input struct {
	stdin     *os.File      // we write it; nil: it is /dev/null
	fed       chan struct{} // closed when Input has returned
	written   int64         // bytes
	prepared  int64         // of these, up to the end of the last Prepare
	torn      int64         // messages of which it got the beginning only
	closed    bool          // by the process: it wants none
	discarded int64         // messages that came afterwards

	ending <-chan struct{} // closed when Input is to return

	// Once fed is closed.
	unread int  // a descriptor for what it has not read
	kept   bool // there is one
}

// Write writes whole messages, and waits while the process does not read them.
// It is for the goroutine that called Input, and an io.Writer except that on
// ErrGone, its only error, p[n:] begins with a message of which the process
// got nothing: it is to be written to the next. A message of which it got but
// the beginning is lost.
//
// To a process that has closed its STDIN nothing is written, as it wanted.
func (p *Process) Write(b []byte) (n int, err error) {
	select {
	case <-p.dead:
		return 0, ErrGone
	default:
	}
	if p.closed {
		p.discard(b)
		return len(b), nil
	}
	n, err = p.stdin.Write(b)
	p.written += int64(n)
	if err == nil {
		return n, nil
	}
	next := boundary(p.o.Framing, b, n)
	if next != n {
		p.torn++
	}
	if errors.Is(err, unix.EPIPE) && p.staysAlive() {
		p.closed = true
		p.o.Warnf("%s (process %d) has closed its STDIN: what clients send is discarded", p.o.name(), p.PID)
		p.discard(b[next:])
		return len(b), nil
	}
	return next, ErrGone
}

// Prepare is Write for what a process is to know before its first message, and every
// other is told as well: what it does not read of that is not lost.
func (p *Process) Prepare(b []byte) error {
	torn, discarded := p.torn, p.discarded
	_, err := p.Write(b)
	p.prepared, p.torn, p.discarded = p.written, torn, discarded
	return err
}

// staysAlive tells a process that has closed its STDIN from one that is dying:
// that closes all it has, and is dead a little later.
func (p *Process) staysAlive() bool {
	select {
	case <-p.dead:
		return false
	case <-p.ending:
		return false
	case <-time.After(p.o.pace.deaf):
		return true
	}
}

func (p *Process) discard(b []byte) {
	p.discarded += ended(p.o.Framing, b, 0)
}

// feed has Input write to p, and then ends p's STDIN. What p does not read of
// it is kept, to be counted.
func (p *Process) feed(ctx context.Context) {
	defer close(p.fed)
	if p.stdin == nil {
		return
	}
	p.ending = ctx.Done()
	stop := context.AfterFunc(ctx, func() { _ = p.stdin.SetWriteDeadline(time.Now()) })
	defer stop()
	p.o.Input(ctx, p)
	p.unread, p.kept = reader(p.stdin)
	p.stdin.Close()
}

// lost is how many messages, and how many bytes of them, p did not read. What
// is in the pipe is taken out for that.
func (p *Process) lost() (messages, bytes int64) {
	if p.kept {
		defer unix.Close(p.unread)
	}
	switch {
	case p.written == p.prepared:
		return 0, 0
	case !p.kept:
		return -1, -1
	}
	left := drain(p.unread)
	if n := p.prepared - (p.written - int64(len(left))); n > 0 {
		left = left[n:]
	}
	return p.torn + ended(p.o.Framing, left, p.written-int64(len(left))), int64(len(left))
}

// drain reads what there is to be read from fd, which does not wait.
func drain(fd int) (all []byte) {
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			return all
		}
		all = append(all, buf[:n]...)
	}
}

// boundary is the first at or after n at which a message of p begins, or p
// ends; p is whole messages.
func boundary(f framing.Framing, p []byte, n int) int {
	if n == 0 || f == framing.Raw {
		return n
	}
	if end := f.FirstEnd(p[n-1:], int64(n-1)); end > 0 {
		return n - 1 + end
	}
	return len(p)
}

// ended is how many messages end in p, which stands at this offset of a stream.
func ended(f framing.Framing, p []byte, offset int64) int64 {
	switch {
	case f == framing.Raw:
		return 0
	case f > 0:
		return (offset+int64(len(p)))/int64(f) - offset/int64(f)
	}
	return int64(f.Count(p))
}
