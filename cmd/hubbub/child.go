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
)

// This file is a command in the place of STDIN and STDOUT (docs/command.md):
// package child keeps it running, and it is connected here.
//
//	runCommand  is its life, from the first process to the last
//	feeder      what clients do, to its STDIN
//	hearCommand what it prints, to clients

// runCommand keeps the command running until it is not to be started any more,
// or ctx is done.
func (s *server) runCommand(ctx context.Context) {
	defer close(s.commandEnded)
	f := &feeder{s: s}
	stderr := s.stderr
	if s.says != io.Writer(s.stderr) {
		out, err := logTo(s.says)
		if err != nil {
			go s.hearInVain(f)
			s.commandFailed(err)
			return
		}
		defer out.Close()
		stderr = out
	}
	end, err := child.Run(ctx, child.Options{
		Args:    s.command,
		Env:     []string{"HUBBUB_ADDRESS=" + s.at[0].String(), "HUBBUB_EPOCH=" + s.hub.Epoch()},
		Stderr:  stderr,
		Framing: framing.Framing(s.commandFraming()),
		Restart: s.restart,
		Grace:   s.drain / 2, // clients are to get what it says last
		Input:   f.feed,
		Output:  s.hearCommand,
		Ended:   s.tellEnd,
		Warnf:   func(format string, args ...any) { s.log.Warn(fmt.Sprintf(format, args...)) },
		Kill:    s.killCommand,
	})
	go s.hearInVain(f)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.commandFailed(err)
	case s.eof == eofExit && end.Code != 0 && s.restart == child.Never:
		s.exhausted <- &exitError{end.Code, end.String()}
	case s.eof == eofExit:
		s.exhausted <- nil
	default:
		s.log.Warn(fmt.Sprintf("%s has ended for good; serving on without", end.Command))
	}
}

// hearInVain takes what clients say when there is no command any more, so that
// nobody who speaks is held up, and says how much that was.
func (s *server) hearInVain(f *feeder) {
	defer close(s.sunk)
	vain := f.left()
	f.release()
	_ = s.eachBatch(func(b *hubbub.Batch) error {
		if s.console != nil {
			s.showBeside(b)
		}
		_ = s.render(b) // with --relay and --chat others hear of it
		vain += s.messagesOf(b)
		return nil
	})
	if vain > 0 {
		s.log.Warn(fmt.Sprintf("%d messages from clients came too late for %s", vain, s.command[0]))
	}
}

// messagesOf is how many messages of b are for whoever has the sink, once it is
// rendered.
func (s *server) messagesOf(b *hubbub.Batch) (n int) {
	if s.room != nil {
		return s.room.heard
	}
	for e := range b.Events() {
		if e.Kind == hubbub.Message {
			n++
		}
	}
	return n
}

// commandFailed ends the server: there is no command.
func (s *server) commandFailed(err error) {
	if start, is := errors.AsType[*child.StartError](err); is && start.Misused() {
		err = &usageError{err}
	}
	s.exhausted <- err
}

// tellEnd logs how a process ended, unless all is well.
func (s *server) tellEnd(e child.End) {
	if e.Err == nil && e.Code == 0 && e.Lost <= 0 && e.LostBytes <= 0 && e.Discarded == 0 {
		s.log.Debug(e.String())
		return
	}
	s.log.Warn(e.String())
}

// commandFraming says where what the command reads ends.
func (s *server) commandFraming() hubbub.Framing {
	if s.out != outPlain {
		return hubbub.Lines
	}
	return s.options.Framing
}

// hearCommand brings what the command prints to the clients.
func (s *server) hearCommand(ctx context.Context, f *os.File) error {
	var err error
	if s.in == inJSON {
		err = s.newCommands().obey(ctx, f)
	} else {
		err = s.hub.BroadcastFrom(ctx, f)
	}
	if errors.Is(err, hubbub.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// endCommand has the command end, in good order as long as ctx allows.
func (s *server) endCommand(ctx context.Context) {
	s.stopCommand()
	select {
	case <-s.commandEnded:
	case <-ctx.Done():
		close(s.killCommand)
		waitFor(s.commandEnded, lastMoment)
	}
}

// feeder writes what clients do to one process after the other.
type feeder struct {
	s     *server
	batch *hubbub.Batch
	all   []byte // the batch as it is written
	rest  []byte // what of that no process has had anything of
}

// feed writes to p until it is dead, or to end. With JSON a process that comes
// later is first told who is there, as the last one was.
func (f *feeder) feed(ctx context.Context, p *child.Process) {
	if p.Start > 1 && f.s.out == outJSON {
		if err := p.Prepare(f.s.present.joins()); err != nil {
			return
		}
	}
	for {
		n, err := p.Write(f.rest)
		f.rest = f.rest[n:]
		f.told()
		if err != nil {
			return
		}
		f.release()
		if f.batch, err = f.s.hub.Receive(ctx); err != nil {
			f.batch = nil
			return
		}
		if f.s.console != nil {
			f.s.showBeside(f.batch)
		}
		f.all = f.s.render(f.batch)
		f.rest = f.all
	}
}

// told notes who is there for what was written.
func (f *feeder) told() {
	if f.batch != nil && f.s.out == outJSON {
		f.s.present.follow(len(f.all) - len(f.rest))
	}
}

// left is how many messages of the batch no process has had anything of. Where
// nothing separates them there is no more to be known than that there are some.
func (f *feeder) left() int {
	if f.batch == nil || len(f.rest) == 0 {
		return 0
	}
	if sep := separator(f.s.commandFraming()); sep != "" && f.s.out == outPlain && f.s.room == nil {
		return bytes.Count(f.rest, []byte(sep))
	}
	return min(f.s.messagesOf(f.batch), max(1, bytes.Count(f.rest, []byte("\n"))))
}

func (f *feeder) release() {
	if f.batch != nil {
		f.batch.Release()
		f.batch, f.all, f.rest = nil, nil, nil
	}
}
