//go:build unix

package main

import (
	"context"
	"errors"
	"os"

	"hubbub.example"
	"hubbub.example/internal/console"
)

// This file puts a console on the terminal when STDIN and STDOUT are one:
//
//	newConsole  a server's: clients' messages above, the prompt below
//	bring       what is typed, until somebody quits
//	take        what clients send
//
// With a command the console shows what clients send to it.

// serveConsole is the console of a server.
type serveConsole struct {
	*console.Console
	s      *server
	hasLog bool          // the log is drawn above the prompt
	eof    chan struct{} // ^D with --eof exit
	quit   chan error    // the console has ended, and why
}

// newConsole makes a console if there is a terminal that is free for one; else
// it is nil. The log is the console's if it would go to that terminal anyway.
func newConsole(s *server) *serveConsole {
	plain := len(s.command) > 0 || s.in == inPlain && s.out == outPlain // else they are a program's
	if s.noConsole || !plain || s.options.Framing != hubbub.FramingLines || s.sendOnly || s.recvOnly || !console.Fit(s.stdin, s.stdout) {
		return nil
	}
	as, toYou := "", ""
	if s.chat {
		as, toYou = operator, operatorToYou
	}
	c := &serveConsole{s: s, hasLog: sameTerminal(s.stderr, s.stdout), eof: make(chan struct{}, 1), quit: make(chan error, 1)}
	c.Console = console.New(console.Options{
		In: s.stdin, Out: s.stdout,
		Send:    func(ctx context.Context, line string) error { return s.hub.Broadcast(ctx, saidBy(as, line)) },
		As:      as,
		EOF:     c.endOfInput,
		Status:  c.status,
		Clients: c.clients,
		Commands: []console.Command{
			console.To(func(_ context.Context, id uint64, text string) error { return s.hub.Send(saidBy(toYou, text), id) }),
			console.Kick(func(_ context.Context, id uint64, reason string) error { return s.hub.Kick(id, reason) }),
			console.Mute(func(_ context.Context, id uint64) error { return s.hub.Mute(id, true) }),
			console.Unmute(func(_ context.Context, id uint64) error { return s.hub.Mute(id, false) }),
		},
	})
	return c
}

// The sender of what is typed in a --chat room. No guest can look like it,
// whatever their name: a guest's line begins with <, and the room's own with *.
const (
	operator      = "operator:"
	operatorToYou = "operator, to you:"
)

// saidBy returns a line as clients see it.
func saidBy(as, line string) []byte {
	if as == "" {
		return []byte(line)
	}
	return []byte(as + " " + line)
}

// endOfInput is ^D: the end of STDIN.
func (c *serveConsole) endOfInput() {
	if c.s.eof != eofExit {
		return
	}
	select {
	case c.eof <- struct{}{}:
	default: // it is known already
	}
}

// open takes the terminal; giveBack returns when it is anybody's again.
func (c *serveConsole) open() (giveBack func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.quit <- c.Run(ctx)
	}()
	return func() { cancel(); <-ended }
}

// bring waits until somebody quits the console, which ends the server too.
func (c *serveConsole) bring() error {
	select {
	case <-c.eof:
		return errExhausted
	case err := <-c.quit:
		if err != nil {
			c.s.log.Warn(err.Error() + "; serving on without a console")
			return nil
		}
		return errStopped
	}
}

func (c *serveConsole) status() console.Status {
	n := c.s.hub.Stats()
	status := console.Status{
		Clients: n.Clients,
		In:      console.Flow{Messages: uint64(n.MessagesIn), Bytes: uint64(n.BytesIn)},
		Out:     console.Flow{Messages: uint64(n.Broadcasts), Bytes: uint64(n.BytesOut)},
	}
	if len(c.s.at) > 0 {
		status.Where = c.s.at[0].String()
	}
	status.Slowest, status.Lag = c.s.hub.Slowest()
	return status
}

func (c *serveConsole) clients() []console.Client {
	var all []console.Client
	for _, c := range c.s.hub.Clients() {
		all = append(all, console.Client{
			ID: c.ID, Name: c.Name, Addr: c.Addr, Protocol: c.Protocol, Since: c.Since, Lag: c.Lag, Muted: c.Muted,
		})
	}
	return all
}

// take shows what clients send. With --relay and --chat that goes to the others
// first.
func (c *serveConsole) take() error {
	defer console.Rescue()
	return eachBatch(context.Background(), c.s.hub, func(b *hubbub.Batch) error {
		rendered := c.s.render(b)
		if c.s.chat {
			_, _ = c.Messages(console.Plain).Write(rendered)
		} else {
			c.show(b)
		}
		return nil
	})
}

// show shows the messages of a batch, whoever else gets them.
func (c *serveConsole) show(b *hubbub.Batch) {
	for e := range b.Events() {
		if e.Kind == hubbub.Message {
			c.Show(console.Message{Time: e.Time, ID: e.Client, Name: e.Name, Text: e.Data})
		}
	}
}

// sameTerminal reports whether a and b are the same file, as STDERR and STDOUT
// are on a terminal unless one is redirected.
func sameTerminal(a, b *os.File) bool {
	x, errA := a.Stat()
	y, errB := b.Stat()
	return errors.Join(errA, errB) == nil && os.SameFile(x, y)
}
