//go:build unix

package console

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/stdio"
)

// This file is the console as a job of the shell:
//
//	^Z    gives the terminal back and stops the job
//	fg    takes the terminal again and draws what came meanwhile
//	bg    continues without the terminal, until fg
//
// A job that is stopped by SIGTSTP or SIGSTOP cannot give the terminal back first;
// shells handle that. On fg it takes the terminal again, too.

// Fit reports whether a console can run on in and out: a terminal that can do more
// than print, and in whose foreground we are.
func Fit(in, out *os.File) bool {
	if term := os.Getenv("TERM"); term == "" || term == "dumb" {
		return false
	}
	return isTerminal(in) && isTerminal(out) && inForeground(in)
}

// inForeground reports whether we are the terminal's foreground job.
func inForeground(f *os.File) bool {
	is := true
	withDescriptor(f, func(fd int) {
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		is = err != nil || group == unix.Getpgrp()
	})
	return is
}

// control handles ^Z, fg and resizing, until ctx ends.
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
		case <-goesOn: // after SIGTSTP or SIGSTOP
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

// stopGroup stops us and the rest of our pipeline, as the terminal's own ^Z would,
// and returns when we continue. It must never catch SIGTSTP with signal.Notify: Go
// does not restore the signal's default action.
func stopGroup(goesOn <-chan os.Signal) {
	_ = unix.Kill(0, unix.SIGTSTP)
	select {
	case <-goesOn:
	case <-time.After(lastMoment): // the system does not stop an orphaned group
	}
}

// retake takes the terminal once we are in the foreground. No signal tells a
// running job so: it asks now and then.
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

// Write also works if another program has made the terminal nonblocking.
func (t tty) Write(b []byte) (int, error) { return stdio.Patient{File: t.File}.Write(b) }

// obeyEscapes does nothing: here each terminal obeys escape sequences.
func obeyEscapes(*os.File) (restore func(), err error) { return func() {}, nil }
