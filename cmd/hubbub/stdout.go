//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"hubbub.example"
	"hubbub.example/internal/stdio"
	"hubbub.example/internal/visible"
)

// This file is STDOUT as a sink. The hub itself writes plain messages to a
// pipe. Otherwise each batch of the inbox is rendered as --out asks (out.go) and
// written with one call, so that no message waits here for another. A slow
// STDOUT fills the inbox, and then reading from clients pauses.

// stdout is STDOUT as a sink.
type stdout struct{ *server }

func (out stdout) take() error {
	if fd, ok := stdio.Descriptor(out.stdout); ok && stdio.IsPipe(fd) && out.out == outPlain && !out.relay && !out.chat {
		return stdoutError(out.hub.DeliverTo(context.Background(), out.stdout))
	}
	return stdoutError(out.write())
}

// write writes until the hub is closed or STDOUT is lost.
func (out stdout) write() error {
	f := reopened(out.stdout, os.O_WRONLY)
	if f != out.stdout {
		defer f.Close()
	}
	ctx, lose := context.WithCancelCause(context.Background())
	go func() {
		if hungUp(f) {
			lose(unix.EPIPE)
		}
	}()
	w := stdoutWriter(f)
	err := eachBatch(ctx, out.hub, func(b *hubbub.Batch) error {
		_, err := w.Write(out.render(b))
		return err
	})
	if half, is := w.(*visible.Writer); is && err == nil {
		err = half.Flush() // the beginning of a character that did not go on
	}
	return err
}

// eachBatch calls do with each batch that hub receives, until the hub is closed
// (nil), do fails or ctx is done (its cause).
func eachBatch(ctx context.Context, hub *hubbub.Hub, do func(*hubbub.Batch) error) error {
	for {
		b, err := hub.Receive(ctx)
		if err != nil {
			return context.Cause(ctx) // nil when the hub is closed
		}
		err = do(b)
		b.Release()
		if err != nil {
			return err
		}
	}
}

// stdoutError has the system's words, but no name that STDOUT has elsewhere.
func stdoutError(err error) error {
	if err == nil {
		return nil
	}
	if errno, is := errors.AsType[unix.Errno](err); is {
		err = errno
	}
	return fmt.Errorf("write STDOUT: %w", err)
}

// stdoutWriter makes control bytes visible where a terminal would obey them.
func stdoutWriter(f *os.File) io.Writer {
	if fd, ok := stdio.Descriptor(f); ok && term.IsTerminal(fd) {
		return visible.NewWriter(stdio.Patient{File: f})
	}
	return stdio.Patient{File: f}
}

// hungUp waits until no reader of f is left, and reports that: `hubbub serve |
// head -1` should end with head, not with the next message. It costs a parked
// goroutine. It returns false, at once, where f is not in the runtime's poller,
// and when f is closed.
func hungUp(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	poll := func(fd uintptr) bool {
		at := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(at, 0)
		gone = err == nil && n > 0 && at[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
		return gone
	}
	if c.Read(poll) != nil {
		// The poller saw nothing but an error, which it does not hand on.
		_ = c.Control(func(fd uintptr) { poll(fd) })
	}
	return gone
}
