package main

import (
	"bytes"
	"context"
	"io"
	"sync"

	"hubbub.example/internal/console"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/join"
)

// This file puts a console on the terminal of hubbub join: the server's messages
// above, the prompt below.

// joinConsole is a console in the place of STDIN and STDOUT.
type joinConsole struct {
	*console.Console
	typed *io.PipeReader
	ended chan struct{}

	mu      sync.Mutex
	in, out console.Flow
}

// openConsole makes a console if there is a terminal that is free for one; else it
// is nil.
func (f *joinFlags) openConsole(e env, given string) *joinConsole {
	if f.noConsole || f.options.Out != join.Plain || f.options.Frame != framing.Lines || !console.Fit(e.stdin, e.stdout) {
		return nil
	}
	typed, keys := io.Pipe()
	c := &joinConsole{typed: typed, ended: make(chan struct{})}
	c.Console = console.New(console.Options{
		In: e.stdin, Out: e.stdout,
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
		Foreign: true, // the server's own, such as a room's /nick and /who
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

// counted is a writer that counts what it gets as coming in.
type counted struct {
	io.Writer
	c *joinConsole
}

func (w counted) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.c.count(&w.c.in, bytes.Count(p[:n], []byte("\n")), n)
	return n, err
}

// run is the console, until somebody quits it, which calls quit, or until ctx is
// done.
func (c *joinConsole) run(ctx context.Context, quit func()) {
	defer close(c.ended)
	defer quit()
	_ = c.Run(ctx) // it has shown the error
}
