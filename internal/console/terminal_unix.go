//go:build unix

package console

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// This file is the console as a job of the shell's:
//
//	^Z    the terminal is given back, and the job stops
//	fg    it takes the terminal again, and draws what came meanwhile
//	bg    the program goes on without the terminal, until fg
//
// A job that others have stopped, with SIGTSTP or SIGSTOP, has had no time to
// give the terminal back, which shells are used to; it takes it anew as well.

// Fit reports whether in and out are a terminal that a console can be on: one
// that can more than print, and that is ours, not left to us by whoever
// started us in the background.
func Fit(in, out *os.File) bool {
	if term := os.Getenv("TERM"); term == "" || term == "dumb" {
		return false
	}
	return isTerminal(in) && isTerminal(out) && inForeground(in)
}

// inForeground reports whether nobody else reads the terminal.
func inForeground(f *os.File) bool {
	is := true
	withDescriptor(f, func(fd int) {
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		is = err != nil || group == unix.Getpgrp()
	})
	return is
}

// control suspends and resumes, until ctx ends.
func (c *Console) control(ctx context.Context) error {
	goesOn, resized := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(goesOn, unix.SIGCONT)
	defer signal.Stop(goesOn)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
			c.paint.nudge()
			continue
		case <-goesOn: // we were stopped by others
		case <-c.suspends:
			c.paint.leave()
			c.keyboard.release()
			stopGroup(goesOn)
		}
		if err := c.retake(ctx); err != nil {
			return err
		}
	}
}

// stopGroup stops us, and whoever is in a pipeline with us, as the terminal
// itself would have, and returns when we go on. SIGTSTP is never asked for
// with signal.Notify: Go does not give back what the signal does by default.
func stopGroup(goesOn <-chan os.Signal) {
	_ = unix.Kill(0, unix.SIGTSTP)
	select {
	case <-goesOn:
	case <-time.After(lastMoment): // an orphaned group is not stopped, nor who ignores it
	}
}

// retake takes the terminal once it is ours. A shell tells nobody that it has
// put a running job in the foreground, so that is looked at now and then.
func (c *Console) retake(ctx context.Context) error {
	c.paint.leave()
	for !inForeground(c.o.In) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lastMoment / 2):
		}
	}
	c.keyboard.release()
	if err := c.keyboard.take(); err != nil {
		return err
	}
	return c.paint.enter()
}

// Write writes to a terminal that somebody who shares it may have made
// nonblocking.
func (t tty) Write(b []byte) (int, error) {
	for n := 0; ; {
		m, err := t.File.Write(b[n:])
		n += m
		if !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
		withDescriptor(t.File, func(fd int) {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		})
	}
}

// obeyEscapes has nothing to do: here every terminal obeys escape sequences.
func obeyEscapes(*os.File) (restore func(), err error) { return func() {}, nil }
