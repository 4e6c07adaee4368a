//go:build unix

package pump

// This file writes what clients send directly to a file:
//
//	Sink   a loop writes the batches of all loops, if the file can be polled and
//	       its writes do not block
//	Copy   a goroutine writes them, if a write may block
//
// While the file is full, the inbox fills, and then reading from clients pauses.
// Broadcasting continues.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/poll"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/stdio"
)

// Sink is a file that a loop writes: a Handler. Only its loop uses it, except for Done;
// after the loop has ended, its owner does.
type Sink struct {
	loop   *loop.Loop
	inbox  *intake.Inbox
	file   string
	fd     int  // ours
	waits  bool // a write may block
	batch  *intake.Batch
	rest   []byte // of the batch
	full   bool   // until the file is writable again
	closed bool
	done   chan error
}

// NewSink makes f a sink for an inbox. If a write may block, Copy writes it; otherwise a
// loop does, which must call Open. NewSink does not change f's mode.
func NewSink(f *os.File, inbox *intake.Inbox) (*Sink, error) {
	fd, ours, err := stdio.Own(f, unix.O_WRONLY)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return &Sink{inbox: inbox, file: f.Name(), fd: fd, waits: !ours, done: make(chan error, 1)}, nil
}

// FD returns the sink's own descriptor.
func (s *Sink) FD() int { return s.fd }

// Waits reports whether a write may block.
func (s *Sink) Waits() bool { return s.waits }

// Done returns the error that ended writing.
func (s *Sink) Done() <-chan error { return s.done }

// Open begins to write on a loop, which is that of writer.
func (s *Sink) Open(on *loop.Loop, writer *intake.Writer) {
	s.loop = on
	if err := on.Add(s.fd); err != nil {
		s.fail(err)
		return
	}
	s.inbox.SetReader(writer, on.Wake)
}

// Close stops writing on the loop.
func (s *Sink) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.inbox.SetReader(nil, nil)
	_ = s.loop.Remove(s.fd)
	if s.batch != nil {
		s.batch.Release()
		s.batch, s.rest = nil, nil
	}
}

// Abandon closes the descriptor.
func (s *Sink) Abandon() { _ = sock.Close(s.fd) }

// fail ends s because of err.
func (s *Sink) fail(err error) {
	s.Close()
	s.done <- err
}

// Event handles that the file is writable, or that its reader has closed it.
func (s *Sink) Event(e *poll.Event) {
	s.full = s.full && !e.Writable()
	if e.Failed() && !s.closed {
		s.fail(fmt.Errorf("write %s: %w", s.file, unix.EPIPE))
	}
}

// Turn writes what is in the inbox until the file is full. again reports whether there
// may be more: the other handlers have their turn first.
func (s *Sink) Turn() (again bool) {
	if s.full || s.closed {
		return false
	}
	for range s.inbox.Batches() {
		if !s.next() {
			return false
		}
		n, err := sock.Write(s.fd, s.rest)
		if s.full = errors.Is(err, sock.Again); s.full {
			return false
		}
		if err != nil {
			s.fail(fmt.Errorf("write %s: %w", s.file, err))
			return false
		}
		s.rest = s.rest[n:]
	}
	return true
}

// Drain does nothing: what clients have sent is still written.
func (s *Sink) Drain() {}

// next reports whether there is something to write.
func (s *Sink) next() bool {
	for len(s.rest) == 0 {
		if s.batch != nil {
			s.batch.Release()
		}
		if s.batch = s.inbox.TryReceive(); s.batch == nil {
			return false
		}
		s.rest = s.batch.Plain()
	}
	return true
}

// Finish writes what is left after the loops have ended.
func (s *Sink) Finish(ctx context.Context) error {
	if err := s.writeAll(ctx, s.rest); err != nil {
		return err
	}
	return s.Copy(ctx)
}

// Copy writes until ctx is done or the inbox has closed.
func (s *Sink) Copy(ctx context.Context) error {
	for {
		b, err := s.inbox.Receive(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = s.writeAll(ctx, b.Plain())
		b.Release()
		if err != nil {
			return err
		}
	}
}

// writeAll writes p, even if the file is nonblocking: another process that shares its
// description may have made it so. It does not use package sock, whose calls would keep
// the P while they block.
func (s *Sink) writeAll(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(s.fd, p)
		switch {
		case err == nil:
			p = p[n:]
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			return fmt.Errorf("write %s: %w", s.file, os.NewSyscallError("write", err))
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			const aWhile = 100 // ms
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, aWhile)
		}
	}
	return nil
}
