//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"hubbub.example"
	"hubbub.example/internal/stdio"
	"hubbub.example/internal/visible"
)

// This file is the way of what clients sent to STDOUT. Plain messages to a
// pipe are the hub's to write. Otherwise a batch of the inbox is rendered as
// --out says (out.go) and written with one call, so that nothing waits here
// while nothing more comes. A slow STDOUT fills the inbox, and then reading
// from clients pauses.

// writeStdout writes until the hub is closed and nothing is left. Once STDOUT
// is lost it discards the rest, so that nothing waits for it.
func (s *server) writeStdout() {
	defer close(s.sunk)
	if fd, ok := stdio.Descriptor(s.stdout); ok && stdio.IsPipe(fd) && s.out == outPlain && !s.relay && !s.chat {
		s.deliverStdout()
		return
	}
	out := reopened(s.stdout, os.O_WRONLY)
	if out != s.stdout {
		defer out.Close()
	}
	var once sync.Once
	lost := func(err error) { once.Do(func() { s.broken <- stdoutError(err) }) }
	go func() {
		if hungUp(out) {
			lost(unix.EPIPE)
		}
	}()
	w := stdoutWriter(out)
	err := s.copyInbox(w)
	if half, is := w.(*visible.Writer); is && err == nil {
		err = half.Flush() // the beginning of a character that did not go on
	}
	if err != nil {
		lost(err)
		_ = s.copyInbox(io.Discard)
	}
}

// deliverStdout leaves plain messages to the hub, which writes them as they
// are, without a goroutine in between.
func (s *server) deliverStdout() {
	if err := s.hub.DeliverTo(context.Background(), s.stdout); err != nil {
		s.broken <- stdoutError(err)
		_ = s.copyInbox(io.Discard)
	}
}

// copyInbox writes to w what comes, until the hub is closed or w is lost.
func (s *server) copyInbox(w io.Writer) error {
	return s.eachBatch(func(b *hubbub.Batch) error {
		_, err := w.Write(s.render(b))
		return err
	})
}

// eachBatch does something with what comes, until the hub is closed or that fails.
func (s *server) eachBatch(do func(*hubbub.Batch) error) error {
	for {
		b, err := s.hub.Receive(context.Background())
		if err != nil { // closed
			return nil
		}
		err = do(b)
		b.Release()
		if err != nil {
			return err
		}
	}
}

// renderer is what is written of a batch; with --relay and --chat clients hear of
// it first.
func (s *server) renderer() func(*hubbub.Batch) []byte {
	render, ctx := renderer(s.out, s.options.Framing, s.present), context.Background()
	switch {
	case s.chat:
		s.room = newChat(s)
		return func(b *hubbub.Batch) []byte {
			said, err := s.room.take(ctx, b)
			s.notRelayed(err)
			return said
		}
	case s.relay:
		return func(b *hubbub.Batch) []byte {
			s.notRelayed(s.hub.Relay(ctx, b))
			return render(b)
		}
	}
	return render
}

// notRelayed says why what clients said did not go to others. When the hub
// drains nothing is broadcast any more.
func (s *server) notRelayed(err error) {
	if err != nil && !errors.Is(err, hubbub.ErrClosed) {
		s.log.Warn(err.Error())
	}
}

// stdoutError has the system's words, but not the names STDOUT has elsewhere.
func stdoutError(err error) error {
	if errno, is := errors.AsType[unix.Errno](err); is {
		err = errno
	}
	return fmt.Errorf("write STDOUT: %w", err)
}

// stdoutWriter shows control bytes where a terminal would obey them.
func stdoutWriter(f *os.File) io.Writer {
	if fd, ok := stdio.Descriptor(f); ok && term.IsTerminal(fd) {
		return visible.NewWriter(patient{f})
	}
	return patient{f}
}

// patient writes to a file that somebody who shares it may have made
// nonblocking: EAGAIN is no failure then.
type patient struct{ f *os.File }

func (p patient) Write(b []byte) (int, error) {
	for n := 0; ; {
		m, err := p.f.Write(b[n:])
		n += m
		if !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
		if fd, ok := stdio.Descriptor(p.f); ok {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		}
	}
}

// hungUp waits until nobody can read any more what is written to f, and says
// so: `hubbub serve | head -1` should end with head, not with the next message.
// It costs a parked goroutine. It is false, at once, where f is not in the
// runtime's poller, and when f is closed.
func hungUp(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	look := func(fd uintptr) bool {
		at := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(at, 0)
		gone = err == nil && n > 0 && at[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
		return gone
	}
	if c.Read(look) != nil {
		// The poller saw nothing but an error, which it does not hand on.
		_ = c.Control(func(fd uintptr) { look(fd) })
	}
	return gone
}
