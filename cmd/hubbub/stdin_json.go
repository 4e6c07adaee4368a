//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"hubbub.example"
	"hubbub.example/internal/jsonl"
)

// This file is what a program wants, a JSON object a line (docs/protocol.md):
//
//	obey  does what a stream of lines says, until its end
//	do    one of them
//
// A line that is wrong is logged with its number, and hurts nobody.

// commands are one program's.
type commands struct {
	hub     *hubbub.Hub
	log     *slog.Logger
	decoder jsonl.Decoder
	longest int // line
	line    int // the number of the present one
	faults  faults
	rename  func(id uint64, name string) error
}

func (s *server) newCommands() *commands {
	return &commands{hub: s.hub, log: s.log, longest: jsonl.LongestCommand(s.hub.Longest()), rename: s.rename}
}

// rename is a program that calls a client something.
func (s *server) rename(id uint64, name string) error {
	if s.chat {
		return errors.New("with --chat guests choose their own names, and the room sees to it that no two are alike")
	}
	if err := s.hub.Rename(id, name); err != nil {
		return err
	}
	s.present.rename(id, name)
	return nil
}

// obey returns nil at the end of r; its error is r's, ctx's or that the hub is
// closed.
func (c *commands) obey(ctx context.Context, r io.Reader) error {
	defer c.countFaults()
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := c.next(lines)
		if len(bytes.TrimSpace(line)) > 0 {
			if err := c.do(ctx, line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// next is the next line, which may be the last without a newline. One that is
// too long is passed over whole: a piece of it might be a command.
func (c *commands) next(lines *bufio.Reader) (line []byte, err error) {
	c.line++
	line, err = lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = lines.ReadSlice('\n')
		if len(long) <= c.longest {
			long = append(long, line...)
		}
	}
	if len(long) > c.longest {
		c.fault(fmt.Errorf("longer than %d bytes, which no command needs: passed over", c.longest))
		return nil, err
	}
	return long, err
}

// do returns an error only when nothing can be done any more.
func (c *commands) do(ctx context.Context, line []byte) error {
	want, err := c.decoder.Decode(line)
	if err != nil {
		c.fault(err)
		return nil
	}
	switch want.Kind {
	case jsonl.TellAll:
		err = c.hub.Broadcast(ctx, want.Data)
	case jsonl.TellThese:
		err = c.hub.Send(want.Data, want.IDs...)
	case jsonl.TellOthers:
		err = c.hub.BroadcastExcept(ctx, want.Data, want.IDs...)
	case jsonl.Rename:
		err = c.rename(want.IDs[0], want.Name)
	case jsonl.Kick:
		err = c.kick(want.IDs, want.Reason)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, hubbub.ErrClosed) || ctx.Err() != nil {
		return err
	}
	c.fault(err)
	return nil
}

// kick ends those who are there; the error names all others at once: there may be
// a hundred thousand.
func (c *commands) kick(ids []uint64, reason string) error {
	var unknown hubbub.UnknownError
	for _, id := range ids {
		if c.hub.Kick(id, reason) != nil {
			unknown.IDs = append(unknown.IDs, id)
		}
	}
	if unknown.IDs != nil {
		return &unknown
	}
	return nil
}

// letASecond is how many faults are logged of one second. A program that is wrong
// may be so a million times; the others are counted.
const letASecond = 10

// faults are those of the present second.
type faults struct {
	mu         sync.Mutex
	let, after int // logged; and not
	last       int // line
}

// fault logs what is wrong with the present line.
func (c *commands) fault(err error) {
	f := &c.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.let == letASecond {
		f.after, f.last = f.after+1, c.line
		return
	}
	if f.let == 0 {
		time.AfterFunc(time.Second, c.countFaults)
	}
	f.let++
	c.log.Warn(fmt.Sprintf("line %d: %v", c.line, err))
}

// countFaults ends the second.
func (c *commands) countFaults() {
	f := &c.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.after > 0 {
		c.log.Warn(fmt.Sprintf("wrong lines not shown: %d, the last of them line %d", f.after, f.last))
	}
	f.let, f.after = 0, 0
}
