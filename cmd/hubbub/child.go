//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"hubbub.example"
	"hubbub.example/internal/child"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/quantity"
)

// This file is a command in the place of STDIN and STDOUT (docs/command.md).
// Package child keeps it running; here it is connected:
//
//	bring    its life, from the first process to the last
//	publish  what it prints, to clients
//	feed     what clients send, to its STDIN
//	take     what clients send when there is no command any more
//	stop     its end

// childCommand is the source and the sink of a server with a command.
type childCommand struct {
	*server
	ctx   context.Context // done when the command must end
	end   context.CancelFunc
	kill  chan struct{} // closed when it has no time left
	ended chan struct{} // closed when nothing is left of it

	batch  *hubbub.Batch
	lines  []byte // the batch as it is written
	unread []byte // the part of lines that no process has been given
}

func newChildCommand(s *server) *childCommand {
	c := &childCommand{server: s, kill: make(chan struct{}), ended: make(chan struct{})}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c
}

// bring keeps the command running until it is not restarted any more, or stop
// is called.
func (c *childCommand) bring() error {
	defer close(c.ended)
	stderr, done, err := c.childStderr()
	if err != nil {
		return err
	}
	defer done()
	end, err := child.Run(c.ctx, child.Options{
		Args:    c.command,
		Env:     []string{"HUBBUB_ADDRESS=" + c.at[0].String(), "HUBBUB_EPOCH=" + c.hub.Epoch()},
		Stderr:  stderr,
		Framing: c.inputFraming(),
		Restart: c.restart,
		Grace:   c.drain / 2, // the rest is for clients to get its last messages
		Input:   c.feed,
		Output:  c.publish,
		Ended:   c.logEnd,
		Warnf:   func(format string, args ...any) { c.log.Warn(fmt.Sprintf(format, args...)) },
		Kill:    c.kill,
	})
	switch {
	case c.ctx.Err() != nil:
		return nil
	case err != nil:
		if start, is := errors.AsType[*child.StartError](err); is && start.Misused() {
			err = &usageError{err}
		}
		return err
	case c.eof == eofKeep:
		c.log.Warn(end.Command + " has exited and is not restarted; serving on without a command")
		return nil
	case end.Code != 0 && c.restart == child.Never:
		return &exitError{end.Code, end.String()}
	}
	return errExhausted
}

// stop has the command end: in good order until limit is done, then at once.
func (c *childCommand) stop(limit context.Context) {
	c.end()
	select {
	case <-c.ended:
	case <-limit.Done():
		close(c.kill)
		waitFor(c.ended, lastMoment)
	}
}

// childStderr returns the STDERR of the command: ours, unless its lines must be
// drawn above a prompt or be JSON, as all of ours are. Done waits a moment for
// the last of them.
func (c *childCommand) childStderr() (stderr *os.File, done func(), err error) {
	log, to := &c.serveFlags.log, c.logWriter()
	if log.format != logJSON && to == io.Writer(c.stderr) {
		return c.stderr, func() {}, nil
	}
	r, stderr, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		defer r.Close()
		log.copy(to, r, c.command[0])
	}()
	return stderr, func() {
		_ = stderr.Close()
		waitFor(copied, lastMoment) // a process that the command left behind may keep it open
	}, nil
}

// logEnd logs how a process ended.
func (c *childCommand) logEnd(e child.End) {
	if e.Err == nil && e.Code == 0 && e.Lost <= 0 && e.LostBytes <= 0 && e.Discarded == 0 {
		c.log.Debug(e.String())
		return
	}
	c.log.Warn(e.String())
}

// inputFraming returns where a message ends on the command's STDIN.
func (c *childCommand) inputFraming() framing.Framing {
	if c.out != outPlain {
		return framing.Lines
	}
	return framing.Framing(c.options.Framing)
}

// publish brings what the command prints to the clients.
func (c *childCommand) publish(ctx context.Context, f *os.File) error {
	var err error
	if c.in == inJSON {
		err = c.newInstructions().follow(ctx, f)
	} else {
		err = c.hub.BroadcastFrom(ctx, f)
	}
	if errors.Is(err, hubbub.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// feed writes what clients send to p, until p is dead or must end. With JSON, a
// process after the first gets a join for each client that the last one knew.
func (c *childCommand) feed(ctx context.Context, p *child.Process) {
	if p.Start > 1 && c.out == outJSON {
		if err := p.Prepare(c.roster.joins()); err != nil {
			return
		}
	}
	for {
		n, err := p.Write(c.unread)
		c.unread = c.unread[n:]
		if c.batch != nil && c.out == outJSON {
			c.roster.wrote(len(c.lines) - len(c.unread))
		}
		if err != nil {
			return
		}
		c.release()
		if c.batch, err = c.hub.Receive(ctx); err != nil {
			c.batch = nil
			return
		}
		if c.console != nil {
			c.console.show(c.batch)
		}
		c.lines = c.render(c.batch)
		c.unread = c.lines
	}
}

// take waits for the end of the command and then discards what clients send, so
// that no client waits for it; it logs how many messages that were.
func (c *childCommand) take() error {
	<-c.ended
	discarded := c.left()
	c.release()
	_ = eachBatch(context.Background(), c.hub, func(b *hubbub.Batch) error {
		if c.console != nil {
			c.console.show(b)
		}
		_ = c.render(b) // with --relay and --chat it goes to the others
		discarded += c.messages(b)
		return nil
	})
	if discarded > 0 {
		c.log.Warn(fmt.Sprintf("discarded %s: %s had exited", quantity.Count(discarded, "client message"), c.command[0]))
	}
	return nil
}

// left returns how many messages of the batch no process has been given. Where
// nothing separates messages, it can only tell whether there are any.
func (c *childCommand) left() int {
	if c.batch == nil || len(c.unread) == 0 {
		return 0
	}
	if sep := c.inputFraming().Separator(); sep != nil && c.out == outPlain && c.room == nil {
		return bytes.Count(c.unread, sep)
	}
	return min(c.messages(c.batch), max(1, bytes.Count(c.unread, []byte("\n"))))
}

// messages returns how many messages of b are for the sink, once b is rendered.
func (c *childCommand) messages(b *hubbub.Batch) (n int) {
	if c.room != nil {
		return c.room.forOthers
	}
	for e := range b.Events() {
		if e.Kind == hubbub.Message {
			n++
		}
	}
	return n
}

func (c *childCommand) release() {
	if c.batch != nil {
		c.batch.Release()
		c.batch, c.lines, c.unread = nil, nil, nil
	}
}
