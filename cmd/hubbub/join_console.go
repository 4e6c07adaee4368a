package main

import (
	"context"
	"io"

	"hubbub.example/internal/console"
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
}

// openConsole opens a console, if there is a terminal that is free for one; else
// it is nil.
func (f *joinFlags) openConsole(e env, given string) *joinConsole {
	if f.noConsole || f.out != join.Plain || f.frame != join.Lines || !console.Fit(e.stdin, e.stdout) {
		return nil
	}
	typed, keys := io.Pipe()
	return &joinConsole{
		Console: console.New(console.Options{
			In: e.stdin, Out: e.stdout,
			Visible: visible.AppendLine, Next: visible.Next,
			Send: func(ctx context.Context, line string) error {
				defer context.AfterFunc(ctx, func() { _ = keys.CloseWithError(ctx.Err()) })()
				_, err := io.WriteString(keys, line+"\n")
				return err
			},
			EOF:     func() { _ = keys.Close() },
			Status:  func() console.Status { return console.Status{Where: given, Clients: -1} },
			Foreign: true, // a room's /nick and /who, a program's own
		}),
		typed: typed,
		ended: make(chan struct{}),
	}
}

// run is the console until somebody quits, which ends the rest, or the rest has
// ended.
func (c *joinConsole) run(ctx context.Context, quit func()) {
	defer close(c.ended)
	defer quit()
	_ = c.Run(ctx) // it has said what was wrong
}
