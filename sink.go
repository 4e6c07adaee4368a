//go:build unix

package hubbub

// This file writes what clients send straight to a file:
//
//	DeliverTo  takes a file, and chooses who writes it
//	sink       the first loop, when the file tells of readiness and takes a
//	           write without waiting: every loop's batches go through it
//	copyTo     a goroutine, when it may have to wait
//
// A sink that takes no more is left alone until it tells of room. Meanwhile
// the inbox fills, and then reading from clients pauses; broadcasting goes on.

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/intake"
	eventloop "hubbub.example/internal/engine/loop"
	"hubbub.example/internal/poll"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/stdio"
)

// DeliverTo writes every message from every client to f, with its separator,
// until the hub is closed and all is written (nil), ctx is done, or f takes
// no more: the error is then the system's, and comes as soon as it is known
// that nobody reads f, also when nothing is to be written. It takes the place
// of Receive and Events; joins and leaves are passed over. When ctx is done
// the last message may have been written in part.
func (h *Hub) DeliverTo(ctx context.Context, f *os.File) error {
	fd, ours, err := stdio.Own(f, unix.O_WRONLY)
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	if !ours {
		defer sock.Close(fd)
		return h.copyTo(ctx, f.Name(), fd)
	}
	if !h.writing.CompareAndSwap(false, true) {
		_ = sock.Close(fd)
		return errors.New("DeliverTo: the messages go to another file already")
	}
	defer h.writing.Store(false)
	l := h.loops[0]
	s := &sink{hub: h, loop: l.Loop, writer: l.in, file: f.Name(), fd: fd, done: make(chan error, 1)}
	l.Do(func() { l.attach(fd, s); s.open() })
	select {
	case err = <-s.done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-h.closed:
		return s.finish(ctx)
	}
	ended := make(chan struct{})
	l.Do(func() { l.detach(fd); s.close(); close(ended) })
	select {
	case <-ended:
		_ = sock.Close(fd)
		return err
	case <-h.closed:
		return s.finish(ctx)
	}
}

// sink is a file that the first loop writes: one at a time. After the loop's
// end the caller of DeliverTo owns it.
type sink struct {
	hub    *Hub
	loop   *eventloop.Loop
	writer *intake.Writer // of the same loop
	file   string
	fd     int // ours, nonblocking
	batch  *intake.Batch
	rest   []byte // of the batch
	full   bool   // it will tell when there is room
	closed bool
	done   chan error
}

func (s *sink) open() {
	if err := s.loop.Add(s.fd); err != nil {
		s.fail(err)
		return
	}
	s.hub.inbox.SetReader(s.writer, s.loop.Wake)
}

func (s *sink) close() {
	if s.closed {
		return
	}
	s.closed = true
	s.hub.inbox.SetReader(nil, nil)
	_ = s.loop.Remove(s.fd)
	if s.batch != nil {
		s.batch.Release()
	}
}

// fail ends s for err.
func (s *sink) fail(err error) {
	s.close()
	s.done <- err
}

// Event says that there is room, or that nobody reads.
func (s *sink) Event(e *poll.Event) {
	s.full = s.full && !e.Writable()
	if e.Failed() && !s.closed {
		s.fail(fmt.Errorf("write %s: %w", s.file, unix.EPIPE))
	}
}

// Turn writes what is in the inbox, as far as the file takes it. Again says
// that there may be more: others have their turn first.
func (s *sink) Turn() (again bool) {
	if s.full || s.closed {
		return false
	}
	for range s.hub.inbox.Batches() {
		if !s.next() {
			return false
		}
		full, err := s.write()
		if err != nil {
			s.fail(err)
			return false
		}
		if s.full = full; full {
			return false
		}
	}
	return true
}

// Drain has nothing to do: what clients say before their end is written.
func (s *sink) Drain() {}

// next says whether there is something to write.
func (s *sink) next() bool {
	for len(s.rest) == 0 {
		if s.batch != nil {
			s.batch.Release()
		}
		if s.batch = s.hub.inbox.TryReceive(); s.batch == nil {
			return false
		}
		s.rest = s.batch.Plain()
	}
	return true
}

// write writes what it can of the present batch.
func (s *sink) write() (again bool, err error) {
	n, err := sock.Write(s.fd, s.rest)
	if errors.Is(err, sock.Again) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("write %s: %w", s.file, err)
	}
	s.rest = s.rest[n:]
	return false, nil
}

// finish writes what the loops left, when they have ended.
func (s *sink) finish(ctx context.Context) error {
	defer sock.Close(s.fd)
	for s.next() {
		again, err := s.write()
		if err != nil {
			return err
		}
		if !again {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// The loops have ended, so nobody is kept waiting.
		const aWhile = 100 // ms
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, aWhile)
	}
	return nil
}

// copyTo writes to a file that may have to wait.
func (h *Hub) copyTo(ctx context.Context, name string, fd int) error {
	for {
		b, err := h.Receive(ctx)
		if err != nil {
			return ctx.Err()
		}
		err = writeAll(fd, b.Plain())
		b.Release()
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
}

// writeAll writes p, also where somebody who shares the description has made
// it nonblocking.
func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		switch {
		case errors.Is(err, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		case err != nil && !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("write", err)
		}
		p = p[max(n, 0):]
	}
	return nil
}
