//go:build unix

package pump

// This file reads files into the backlog:
//
//	Source  a loop reads a file that can be polled. It reads only when the file is
//	        readable, so the file need not be nonblocking, and no thread blocks in
//	        a read
//	Copy    a goroutine reads a file that cannot be polled, such as one on a disk
//
// Each reads a chunk, much smaller than the feed, and broadcasts it, in several parts if
// necessary, before it reads the next. What cannot be broadcast yet stays in the source.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/poll"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/stdio"
)

// Reader reads files into a backlog.
type Reader struct {
	Backlog *backlog.Log
	Framing framing.Framing
	Longest int // length of a message
	Log     *logger.Queue
}

func (r *Reader) newChunker() *Chunker {
	return NewChunker(r.Framing, r.Longest, int(r.Backlog.Segment()))
}

// took warns of messages that are too long.
func (r *Reader) took(long int) {
	for range long {
		r.Log.Warnf("a message of the source is longer than %s and is split", quantity.Bytes(int64(r.Longest)))
	}
}

// finished warns of bytes dropped at the end.
func (r *Reader) finished(dropped int) {
	if dropped > 0 {
		r.Log.Warnf("what is left at the end of the source, %s, is no whole record and is dropped", quantity.Bytes(int64(dropped)))
	}
}

// Source is a file that a loop reads: a Handler. Only its loop uses it, except for Done.
type Source struct {
	*Reader
	loop     *loop.Loop
	chunks   *Chunker
	file     string
	fd       int // a duplicate, ours
	readable bool
	watched  bool
	ended    bool            // its last message is in chunks
	over     bool            // reading has ended: Done has the result, or the hub drains
	held     <-chan struct{} // closed when the backlog may have room; nil: it has
	done     chan error
}

// NewSource makes f a source of a loop, which must call Open. It does not change f's
// mode.
func (r *Reader) NewSource(f *os.File, on *loop.Loop) (*Source, error) {
	fd, _, err := stdio.Own(f, unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return &Source{Reader: r, loop: on, chunks: r.newChunker(), file: f.Name(), fd: fd, done: make(chan error, 1)}, nil
}

// FD returns the source's own descriptor.
func (s *Source) FD() int { return s.fd }

// Done returns how reading ended: nil at the end of the file, poll.ErrNotPollable if the
// file cannot be polled.
func (s *Source) Done() <-chan error { return s.done }

// Open begins to read.
func (s *Source) Open() {
	if err := s.loop.AddReader(s.fd); err != nil {
		s.finish(err)
		return
	}
	s.watched = true
}

// Close stops reading and closes the descriptor.
func (s *Source) Close() {
	s.unwatch()
	if s.held != nil {
		s.Backlog.Release()
	}
	s.Abandon()
}

// Abandon closes the descriptor after the loop has ended.
func (s *Source) Abandon() { _ = sock.Close(s.fd) }

func (s *Source) unwatch() {
	if s.watched {
		s.watched = false
		_ = s.loop.Remove(s.fd)
	}
}

// finish ends reading and reports the result, once.
func (s *Source) finish(err error) {
	if s.over {
		return
	}
	s.over = true
	s.unwatch()
	s.done <- err
}

// Event handles that the file is readable.
func (s *Source) Event(*poll.Event) { s.readable = true }

// Turn reads a chunk if the last one is broadcast, and broadcasts one part if the backlog
// has room. The loop sends to clients between two parts.
func (s *Source) Turn() (again bool) {
	if s.over {
		return false
	}
	if !s.chunks.Pending() && s.readable && !s.ended {
		s.read()
	}
	if s.chunks.Pending() {
		s.broadcast()
	}
	if s.ended && !s.chunks.Pending() {
		s.finish(nil)
	}
	return false
}

// read reads once: the event comes again while there is more.
func (s *Source) read() {
	s.readable = false
	n, err := sock.Recv(s.fd, s.chunks.Space())
	switch {
	case errors.Is(err, sock.Again):
	case errors.Is(err, io.EOF), errors.Is(err, unix.EIO): // EIO: a terminal hung up
		s.ended = true
		s.unwatch()
		s.finished(s.chunks.Finish())
	case err != nil:
		s.finish(fmt.Errorf("read %s: %w", s.file, err))
	default:
		s.took(s.chunks.Took(n))
	}
}

// broadcast broadcasts a part, or waits for room in the backlog.
func (s *Source) broadcast() {
	if s.held != nil {
		select {
		case <-s.held:
		default:
			return
		}
	}
	p, ends := s.chunks.Part()
	held, err := s.Backlog.Publish(backlog.Messages{Bytes: p, Ends: ends}, backlog.Paced)
	if err != nil {
		s.finish(err)
		return
	}
	switch {
	case held != nil && s.held == nil:
		s.unwatch() // level-triggered: its event would come in every turn
		s.Backlog.Hold()
	case held == nil && s.held != nil:
		s.Backlog.Release()
		if !s.ended {
			s.Open()
		}
	}
	if s.held = held; held == nil {
		s.chunks.Done()
	}
}

// Drain broadcasts what has been read, even over the limit, and ends reading: what it
// read now would be lost.
func (s *Source) Drain() {
	s.over = true
	for s.chunks.Pending() {
		p, ends := s.chunks.Part()
		if _, err := s.Backlog.Publish(backlog.Messages{Bytes: p, Ends: ends}, backlog.Unbounded); err != nil {
			return // closed
		}
		s.chunks.Done()
	}
	if s.held == nil {
		s.unwatch() // level-triggered
		return
	}
	s.Backlog.Release()
	s.held = nil
}

// Copy reads f to its end and broadcasts it. It blocks while the backlog has no room.
func (r *Reader) Copy(ctx context.Context, f *os.File) error {
	chunks := r.newChunker()
	for {
		n, err := f.Read(chunks.Space())
		if n > 0 {
			r.took(chunks.Took(n))
		}
		if errors.Is(err, io.EOF) {
			r.finished(chunks.Finish())
		}
		for chunks.Pending() {
			p, ends := chunks.Part()
			if err := r.Backlog.PublishWait(ctx, backlog.Messages{Bytes: p, Ends: ends}, backlog.Paced); err != nil {
				return err
			}
			chunks.Done()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
