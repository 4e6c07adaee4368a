//go:build unix

package pump

// This file writes what clients send straight to a file:
//
//	Sink   a loop writes it, when the file tells of readiness and takes a write
//	       without waiting: every loop's batches go through it
//	Copy   a goroutine, when it may have to wait
//
// A sink that takes no more is left alone until it tells of room. Meanwhile
// the inbox fills, and then reading from clients pauses; broadcasting goes on.

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

// Sink is a file that a loop writes: a Handler. Only its loop touches it,
// except Done; after the loop's end its owner does.
type Sink struct {
	loop   *loop.Loop
	inbox  *intake.Inbox
	file   string
	fd     int  // ours
	waits  bool // a write may have to wait
	batch  *intake.Batch
	rest   []byte // of the batch
	full   bool   // it will tell when there is room
	closed bool
	done   chan error
}

// NewSink makes f a sink for an inbox. If it may have to wait, Copy writes it,
// else a loop does, which must call Open. F is left in the mode it is in.
func NewSink(f *os.File, inbox *intake.Inbox) (*Sink, error) {
	fd, ours, err := stdio.Own(f, unix.O_WRONLY)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return &Sink{inbox: inbox, file: f.Name(), fd: fd, waits: !ours, done: make(chan error, 1)}, nil
}

// FD returns the sink's own descriptor.
func (s *Sink) FD() int { return s.fd }

// Waits reports whether a write may have to wait.
func (s *Sink) Waits() bool { return s.waits }

// Done returns why the file takes no more.
func (s *Sink) Done() <-chan error { return s.done }

// Open begins to write, on the loop of writer.
func (s *Sink) Open(on *loop.Loop, writer *intake.Writer) {
	s.loop = on
	if err := on.Add(s.fd); err != nil {
		s.fail(err)
		return
	}
	s.inbox.SetReader(writer, on.Wake)
}

// Close ends writing on the loop.
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

// Abandon gives up the descriptor.
func (s *Sink) Abandon() { _ = sock.Close(s.fd) }

// fail ends s for err.
func (s *Sink) fail(err error) {
	s.Close()
	s.done <- err
}

// Event says that there is room, or that nobody reads.
func (s *Sink) Event(e *poll.Event) {
	s.full = s.full && !e.Writable()
	if e.Failed() && !s.closed {
		s.fail(fmt.Errorf("write %s: %w", s.file, unix.EPIPE))
	}
}

// Turn writes what is in the inbox, as far as the file takes it. Again says
// that there may be more: others have their turn first.
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

// Drain has nothing to do: what clients say before their end is written.
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

// Finish writes what the loops left, when they have ended.
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

// writeAll writes p, also to a file that does not wait, which may be so because
// somebody shares its description. One that waits must not keep its P: package
// sock's calls would.
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
