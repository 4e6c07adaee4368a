//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"

	"hubbub.example"
	"hubbub.example/internal/console"
	"hubbub.example/internal/visible"
)

// This file puts a console on the terminal when STDIN and STDOUT are one:
//
//	openConsole  a server's: what clients say above, what is typed to them below
//	runConsole   until somebody quits it, or the server ends
//	show         what clients say

// openConsole opens a console if there is a terminal that is free for one, and
// has the log go there too if it would go to that terminal anyway.
func (s *server) openConsole() {
	plain := len(s.command) > 0 || s.in == inPlain && s.out == outPlain // else they are a program's
	if s.noConsole || !plain || s.options.Framing != hubbub.Lines || s.sendOnly || s.recvOnly || !console.Fit(s.stdin, s.stdout) {
		return
	}
	as, toYou := "", ""
	if s.chat {
		as, toYou = operator, operatorToYou
	}
	s.console = console.New(console.Options{
		In: s.stdin, Out: s.stdout,
		Visible: visible.AppendLine, Next: visible.Next,
		Send:    func(ctx context.Context, line string) error { return s.hub.Broadcast(ctx, saidBy(as, line)) },
		As:      as,
		EOF:     s.endOfTyping,
		Status:  s.status,
		Clients: s.clients,
		Commands: []console.Command{
			console.To(func(_ context.Context, id uint64, text string) error { return s.hub.Send(saidBy(toYou, text), id) }),
			console.Kick(func(_ context.Context, id uint64, reason string) error { return s.hub.Kick(id, reason) }),
			console.Mute(func(_ context.Context, id uint64) error { return s.hub.Mute(id, true) }),
			console.Unmute(func(_ context.Context, id uint64) error { return s.hub.Mute(id, false) }),
		},
	})
	if sameTerminal(s.stderr, s.stdout) {
		s.says = s.console.Log()
	}
}

// Who speaks from the console in a room. Nobody in it can speak so, however
// they are called: what a guest says begins with <, and what the room says with *.
const (
	operator      = "operator:"
	operatorToYou = "operator, to you:"
)

// saidBy is a line as clients see it.
func saidBy(as, line string) []byte {
	if as == "" {
		return []byte(line)
	}
	return []byte(as + " " + line)
}

// endOfTyping is ^D: the end of STDIN.
func (s *server) endOfTyping() {
	if s.eof == eofExit {
		s.exhausted <- nil
	}
}

// runConsole is the console from the first key to the last. When somebody quits
// it the server ends too.
func (s *server) runConsole(ctx context.Context) {
	defer close(s.consoleEnded)
	if err := s.console.Run(ctx); err != nil {
		s.log.Warn(err.Error() + "; serving on without a console")
		return
	}
	if ctx.Err() == nil {
		close(s.quit)
	}
}

func (s *server) status() console.Status {
	n := s.hub.Stats()
	status := console.Status{
		Clients: n.Clients,
		In:      console.Flow{Messages: uint64(n.MessagesIn), Bytes: uint64(n.BytesIn)},
		Out:     console.Flow{Messages: uint64(n.Broadcasts), Bytes: uint64(n.BytesOut)},
	}
	if len(s.at) > 0 {
		status.Where = s.at[0].String()
	}
	status.Slowest, status.Lag = s.hub.Slowest()
	return status
}

func (s *server) clients() []console.Client {
	var all []console.Client
	for _, c := range s.hub.Clients() {
		all = append(all, console.Client{
			ID: c.ID, Name: c.Name, Addr: c.Addr, Protocol: c.Protocol, Since: c.Since, Lag: c.Lag, Muted: c.Muted,
		})
	}
	return all
}

// showInbox shows what clients say, until the hub is closed.
func (s *server) showInbox() {
	defer close(s.sunk)
	defer console.Rescue()
	_ = s.eachBatch(func(b *hubbub.Batch) error { s.show(b); return nil })
}

// show shows a batch; with --relay and --chat clients hear of it first.
func (s *server) show(b *hubbub.Batch) {
	said := s.render(b)
	if s.chat {
		_, _ = s.console.Messages(console.Plain).Write(said)
		return
	}
	s.showBeside(b)
}

// showBeside shows what clients said, whoever else hears it.
func (s *server) showBeside(b *hubbub.Batch) {
	for e := range b.Events() {
		if e.Kind == hubbub.Message {
			s.console.Show(console.Message{Time: e.Time, ID: e.Client, Name: e.Name, Text: e.Data})
		}
	}
}

// sameTerminal says that a and b are the same file, as a terminal is that nobody
// redirected.
func sameTerminal(a, b *os.File) bool {
	x, errA := a.Stat()
	y, errB := b.Stat()
	return errors.Join(errA, errB) == nil && os.SameFile(x, y)
}

// logTo is a pipe whose other end goes to w, for a command's STDERR.
func logTo(w io.Writer) (*os.File, error) {
	r, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer r.Close()
		_, _ = io.Copy(w, r)
	}()
	return out, nil
}
