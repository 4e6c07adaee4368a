//go:build unix

package pump

// This file reads files into the backlog:
//
//	Source  a loop reads it, when the file tells of readiness: it is read only
//	        when readable, so it need not be nonblocking, and no goroutine
//	        sleeps in a read that the runtime must watch over
//	Copy    a goroutine reads it, when it does not, as a file on a disk
//
// Either reads a chunk, much smaller than the feed, and reads no more until
// that is broadcast, in parts if it must be: what cannot be broadcast now stays
// where it came from.

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

// Reader is how files are read into a backlog.
type Reader struct {
	Backlog *backlog.Log
	Framing framing.Framing
	Longest int // message
	Log     *logger.Queue
}

func (r *Reader) newChunker() *Chunker {
	return NewChunker(r.Framing, r.Longest, int(r.Backlog.Segment()))
}

// took warns of messages that are too long.
func (r *Reader) took(long int) {
	for range long {
		r.Log.Warnf("a message of the source is longer than %s and goes on in pieces", quantity.Bytes(int64(r.Longest)))
	}
}

// finished warns of bytes that were dropped at the end.
func (r *Reader) finished(dropped int) {
	if dropped > 0 {
		r.Log.Warnf("what is left at the end of the source, %s, is no whole record and is dropped", quantity.Bytes(int64(dropped)))
	}
}

// Source is a file that a loop reads: a Handler. Only its loop touches it,
// except Done.
type Source struct {
	*Reader
	loop     *loop.Loop
	chunks   *Chunker
	file     string
	fd       int // a duplicate, ours
	readable bool
	watched  bool
	ended    bool            // its last message is in chunks
	over     bool            // nothing more is read: Done said so, or the hub drains
	held     <-chan struct{} // closes when there may be room; nil: not held
	done     chan error
}

// NewSource makes f a source of a loop, which must call Open. F is left in the
// mode it is in.
func (r *Reader) NewSource(f *os.File, on *loop.Loop) (*Source, error) {
	fd, _, err := stdio.Own(f, unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return &Source{Reader: r, loop: on, chunks: r.newChunker(), file: f.Name(), fd: fd, done: make(chan error, 1)}, nil
}

// FD returns the source's own descriptor.
func (s *Source) FD() int { return s.fd }

// Done returns how reading ended: nil at the end of the file,
// poll.ErrNotPollable if the file does not tell of readiness.
func (s *Source) Done() <-chan error { return s.done }

// Open begins to read.
func (s *Source) Open() {
	if err := s.loop.AddReader(s.fd); err != nil {
		s.finish(err)
		return
	}
	s.watched = true
}

// Close ends reading, and gives up the descriptor.
func (s *Source) Close() {
	s.unwatch()
	if s.held != nil {
		s.Backlog.Release()
	}
	s.Abandon()
}

// Abandon gives up the descriptor after the loop's end.
func (s *Source) Abandon() { _ = sock.Close(s.fd) }

func (s *Source) unwatch() {
	if s.watched {
		s.watched = false
		_ = s.loop.Remove(s.fd)
	}
}

// finish says once how reading ended, and reads no more.
func (s *Source) finish(err error) {
	if s.over {
		return
	}
	s.over = true
	s.unwatch()
	s.done <- err
}

// Event is told that there is something to read.
func (s *Source) Event(*poll.Event) { s.readable = true }

// Turn reads one chunk if all of the last is broadcast, and broadcasts a part
// of it if there is room: in between clients are sent to.
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

// read reads once: the event is told again while there is more.
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

// broadcast broadcasts a part, or remembers that it is held.
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
		s.unwatch() // level triggered, it would tell of itself on and on
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

// Drain broadcasts what is held, room or not, and has no more read, which
// would be lost.
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
		s.unwatch() // level triggered
		return
	}
	s.Backlog.Release()
	s.held = nil
}

// Copy broadcasts what f gives, and waits for it.
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
