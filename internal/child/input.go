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

// ErrGone is the error of Write when the process has exited, or must end.
var ErrGone = errors.New("the process has exited")

// input is a process's STDIN. Until fed is closed it belongs to the goroutine that
// called Input.
type input struct {
	stdin     *os.File      // we write it; nil: it is /dev/null
	fed       chan struct{} // closed when Input has returned
	written   int64         // bytes
	prepared  int64         // those up to the end of the last Prepare
	torn      int64         // messages that it got only the beginning of
	closed    bool          // by the process
	discarded int64         // messages that came after that

	ending <-chan struct{} // closed when Input must return

	// Once fed is closed.
	unread int  // a descriptor for what it has not read
	kept   bool // there is one
}

// Write writes whole messages, and waits while the process does not read them.
// Only the goroutine that called Input may call it. It is an io.Writer, except
// that with ErrGone, its only error, b[n:] begins with a message that the process
// got nothing of: write it to the next process. A message that it got only the
// beginning of is lost.
//
// Messages for a process that has closed its STDIN are discarded.
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
		p.o.Warnf("%s (process %d) closed its STDIN; discarding messages from clients", p.o.name(), p.PID)
		p.discard(b[next:])
		return len(b), nil
	}
	return next, ErrGone
}

// Prepare is Write for what every process gets before its first message. What a
// process does not read of that does not count as lost.
func (p *Process) Prepare(b []byte) error {
	torn, discarded := p.torn, p.discarded
	_, err := p.Write(b)
	p.prepared, p.torn, p.discarded = p.written, torn, discarded
	return err
}

// staysAlive tells a process that has closed its STDIN from one that is exiting:
// that closes all its files, and has exited a little later.
func (p *Process) staysAlive() bool {
	select {
	case <-p.dead:
		return false
	case <-p.ending:
		return false
	case <-time.After(p.o.timing.stdinGrace):
		return true
	}
}

func (p *Process) discard(b []byte) {
	p.discarded += ended(p.o.Framing, b, 0)
}

// feed has Input write to p, and then ends p's STDIN. What p does not read of it
// is kept, for lost to count.
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

// lost returns how many messages, and how many bytes of them, p did not read. It takes
// them out of the pipe.
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

// drain reads everything from fd, which is nonblocking.
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

// boundary returns the first offset from n on where a message of p begins or p ends; p
// is whole messages.
func boundary(f framing.Framing, p []byte, n int) int {
	if n == 0 || f == framing.Raw {
		return n
	}
	if end := f.FirstEnd(p[n-1:], int64(n-1)); end > 0 {
		return n - 1 + end
	}
	return len(p)
}

// ended returns how many messages end in p, which stands at that offset of a stream.
func ended(f framing.Framing, p []byte, offset int64) int64 {
	switch {
	case f == framing.Raw:
		return 0
	case f > 0:
		return (offset+int64(len(p)))/int64(f) - offset/int64(f)
	}
	return int64(f.Count(p))
}
