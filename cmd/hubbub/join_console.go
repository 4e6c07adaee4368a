package main

import (
	"bytes"
	"context"
	"io"
	"sync"

	"hubbub.example/internal/console"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/join"
	"hubbub.example/internal/visible"
)

// This file puts a console on the terminal of hubbub join: what the server sends
// above, what is typed to it below.

// joinConsole is a console in the place of STDIN and STDOUT.
type joinConsole struct {
	*console.Console
	typed *io.PipeReader
	ended chan struct{}

	mu      sync.Mutex
	in, out console.Flow
}

// openConsole opens a console, if there is a terminal that is free for one; else
// it is nil.
func (f *joinFlags) openConsole(e env, given string) *joinConsole {
	if f.noConsole || f.out != join.Plain || f.frame != framing.Lines || !console.Fit(e.stdin, e.stdout) {
		return nil
	}
	typed, keys := io.Pipe()
	c := &joinConsole{typed: typed, ended: make(chan struct{})}
	c.Console = console.New(console.Options{
		In: e.stdin, Out: e.stdout,
		Visible: visible.AppendLine, Next: visible.Next,
		Send: func(ctx context.Context, line string) error {
			defer context.AfterFunc(ctx, func() { _ = keys.CloseWithError(ctx.Err()) })()
			_, err := io.WriteString(keys, line+"\n")
			if err == nil {
				c.count(&c.out, 1, len(line)+1)
			}
			return err
		},
		EOF:     func() { _ = keys.Close() },
		Status:  func() console.Status { return c.status(given) },
		Foreign: true, // a room's /nick and /who, a program's own
	})
	return c
}

func (c *joinConsole) count(flow *console.Flow, messages, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	flow.Messages += uint64(messages)
	flow.Bytes += uint64(size)
}

func (c *joinConsole) status(given string) console.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return console.Status{Where: given, Clients: -1, In: c.in, Out: c.out}
}

// counted is w, and what goes to it came in.
type counted struct {
	io.Writer
	c *joinConsole
}

func (w counted) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.c.count(&w.c.in, bytes.Count(p[:n], []byte("\n")), n)
	return n, err
}

// run is the console until somebody quits, which ends the rest, or the rest has
// ended.
func (c *joinConsole) run(ctx context.Context, quit func()) {
	defer close(c.ended)
	defer quit()
	_ = c.Run(ctx) // it has said what was wrong
}
