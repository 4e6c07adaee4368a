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
	"hubbub.example/internal/quantity"
)

// This file carries out a program's instructions, one JSON object per line
// (docs/protocol.md):
//
//	follow  a stream of them, to its end
//	do      one of them
//
// An invalid line is logged with its number and skipped.

// instructions are those of one program.
type instructions struct {
	hub     *hubbub.Hub
	log     *slog.Logger
	decoder jsonl.Decoder
	longest int // line
	line    int // the number of the current one
	faults  faults
	rename  func(id uint64, name string) error
}

func (s *server) newInstructions() *instructions {
	return &instructions{hub: s.hub, log: s.log, longest: jsonl.LongestInstruction(s.hub.Longest()), rename: s.rename}
}

// rename names a client for a program.
func (s *server) rename(id uint64, name string) error {
	if s.chat {
		return errors.New("with --chat guests choose their own names")
	}
	if err := s.hub.Rename(id, name); err != nil {
		return err
	}
	s.roster.rename(id, name)
	return nil
}

// follow returns nil at the end of r. Its error is r's, ctx's or ErrClosed.
func (in *instructions) follow(ctx context.Context, r io.Reader) error {
	defer in.countFaults()
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.next(lines)
		if len(bytes.TrimSpace(line)) > 0 {
			if err := in.do(ctx, line); err != nil {
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

// next returns the next line; the last one needs no newline. A line that is too long
// is skipped as a whole: a piece of it might look like an instruction.
func (in *instructions) next(lines *bufio.Reader) (line []byte, err error) {
	in.line++
	line, err = lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = lines.ReadSlice('\n')
		if len(long) <= in.longest {
			long = append(long, line...)
		}
	}
	if len(long) > in.longest {
		in.fault(fmt.Errorf("longer than %d bytes, the longest instruction; skipped", in.longest))
		return nil, err
	}
	return long, err
}

// do returns an error only when no other instruction can be carried out.
func (in *instructions) do(ctx context.Context, line []byte) error {
	instruction, err := in.decoder.Decode(line)
	if err != nil {
		in.fault(err)
		return nil
	}
	switch instruction.Kind {
	case jsonl.ToAll:
		err = in.hub.Broadcast(ctx, instruction.Data)
	case jsonl.ToThese:
		err = in.hub.Send(instruction.Data, instruction.IDs...)
	case jsonl.ToOthers:
		err = in.hub.BroadcastExcept(ctx, instruction.Data, instruction.IDs...)
	case jsonl.Rename:
		err = in.rename(instruction.IDs[0], instruction.Name)
	case jsonl.Kick:
		err = in.kick(instruction.IDs, instruction.Reason)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, hubbub.ErrClosed) || ctx.Err() != nil {
		return err
	}
	in.fault(err)
	return nil
}

// kick disconnects those of ids that are there. One error names all others: there
// may be a hundred thousand.
func (in *instructions) kick(ids []uint64, reason string) error {
	var unknown hubbub.UnknownError
	for _, id := range ids {
		if in.hub.Kick(id, reason) != nil {
			unknown.IDs = append(unknown.IDs, id)
		}
	}
	if unknown.IDs != nil {
		return &unknown
	}
	return nil
}

// faultsPerSecond is how many faults are logged per second; the others are
// counted. A program may get a million lines wrong.
const faultsPerSecond = 10

// faults are those of the current second.
type faults struct {
	mu                 sync.Mutex
	logged, suppressed int
	last               int // line
}

// fault logs what is wrong with the current line.
func (in *instructions) fault(err error) {
	f := &in.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.logged == faultsPerSecond {
		f.suppressed, f.last = f.suppressed+1, in.line
		return
	}
	if f.logged == 0 {
		time.AfterFunc(time.Second, in.countFaults)
	}
	f.logged++
	in.log.Warn(fmt.Sprintf("line %d: %v", in.line, err))
}

// countFaults ends the current second.
func (in *instructions) countFaults() {
	f := &in.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.suppressed > 0 {
		in.log.Warn(fmt.Sprintf("%s suppressed, the last at line %d", quantity.Count(f.suppressed, "more invalid line"), f.last))
	}
	f.logged, f.suppressed = 0, 0
}
