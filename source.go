//go:build unix

package hubbub

// This file reads a source and broadcasts its messages:
//
//	BroadcastFrom  takes a file, and chooses who reads it
//	source         a loop, when the file tells of readiness: it is read only
//	               when readable, so it need not be nonblocking, and no
//	               goroutine sleeps in a read that the runtime must watch over
//	copyFrom       a goroutine, when it does not, as a file on a disk
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
	eventloop "hubbub.example/internal/engine/loop"
	"hubbub.example/internal/engine/pump"
	"hubbub.example/internal/poll"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/stdio"
)

// BroadcastFrom broadcasts every message that f gives, and returns nil at
// its end. A last message without its separator counts. It returns early with
// ctx's error, ErrClosed when the hub closes or drains, or what f says.
//
// A pipe, a terminal or a socket is read by a loop whenever it is readable,
// and a file by the calling goroutine. f is left in the mode it is in.
func (h *Hub) BroadcastFrom(ctx context.Context, f *os.File) error {
	s, err := h.newSource(f)
	if err != nil {
		return err
	}
	if !h.reading.CompareAndSwap(false, true) {
		_ = sock.Close(s.fd)
		return errors.New("BroadcastFrom: another source is being read already")
	}
	l := h.loops[0]
	l.Do(func() { l.attach(s.fd, s); s.watch() })
	select {
	case err = <-s.done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-h.backlog.Stopped():
		err = ErrClosed
	}
	h.endSource(s)
	if errors.Is(err, poll.ErrNotPollable) {
		return h.copyFrom(ctx, f)
	}
	return err
}

// endSource takes s from the loop, or does the loop's part if it has ended.
func (h *Hub) endSource(s *source) {
	defer h.reading.Store(false)
	l := h.loops[0]
	ended := make(chan struct{})
	l.Do(func() { l.detach(s.fd); s.close(); close(ended) })
	select {
	case <-ended:
		return
	case <-h.closed:
	}
	select {
	case <-ended:
	default:
		_ = sock.Close(s.fd)
	}
}

// source is a file that the first loop reads: one at a time.
type source struct {
	hub      *Hub
	loop     *eventloop.Loop
	chunks   *pump.Chunker
	file     string
	fd       int // a duplicate, ours
	readable bool
	watched  bool
	ended    bool            // its last message is in chunks
	over     bool            // the hub drains: no more is read
	held     <-chan struct{} // closes when there may be room; nil: not held
	done     chan error
}

func (h *Hub) newSource(f *os.File) (*source, error) {
	fd, _, err := stdio.Own(f, unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return &source{
		hub: h, loop: h.loops[0].Loop, chunks: h.newChunker(),
		file: f.Name(), fd: fd, done: make(chan error, 1),
	}, nil
}

func (s *source) watch() {
	if err := s.loop.AddReader(s.fd); err != nil {
		s.done <- err
		return
	}
	s.watched = true
}

func (s *source) unwatch() {
	if s.watched {
		s.watched = false
		_ = s.loop.Remove(s.fd)
	}
}

func (s *source) close() {
	s.unwatch()
	if s.held != nil {
		s.hub.backlog.Release()
	}
	_ = sock.Close(s.fd)
}

// Event says that there is something to read.
func (s *source) Event(*poll.Event) { s.readable = true }

// Turn reads one chunk if all of the last is broadcast, and broadcasts a part
// of it if there is room: in between clients are sent to.
func (s *source) Turn() (again bool) {
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
		s.ended = false
		s.done <- nil
	}
	return false
}

// read reads once: the event is told again while there is more.
func (s *source) read() {
	s.readable = false
	n, err := sock.Recv(s.fd, s.chunks.Space())
	switch {
	case errors.Is(err, sock.Again):
	case errors.Is(err, io.EOF), errors.Is(err, unix.EIO): // EIO: a terminal hung up
		s.ended = true
		s.unwatch()
		s.hub.warnOfRest(s.chunks.Finish())
	case err != nil:
		s.unwatch()
		s.done <- fmt.Errorf("read %s: %w", s.file, err)
	default:
		s.hub.warnOfLong(s.chunks.Took(n))
	}
}

// broadcast broadcasts a part, or remembers that it is held.
func (s *source) broadcast() {
	if s.held != nil {
		select {
		case <-s.held:
		default:
			return
		}
	}
	p, ends := s.chunks.Part()
	held, err := s.hub.backlog.Publish(backlog.Messages{Bytes: p, Ends: ends}, backlog.Paced)
	if err != nil {
		s.chunks.Discard() // this is the end of it
		s.ended = false
		s.unwatch()
		s.done <- err
		return
	}
	switch {
	case held != nil && s.held == nil:
		s.unwatch() // level triggered, it would tell of itself on and on
		s.hub.backlog.Hold()
	case held == nil && s.held != nil:
		s.hub.backlog.Release()
		if !s.ended {
			s.watch()
		}
	}
	if s.held = held; held == nil {
		s.chunks.Done()
	}
}

// Drain broadcasts what is held, room or not, and has no more read, which
// would be lost.
func (s *source) Drain() {
	s.over = true
	for s.chunks.Pending() {
		p, ends := s.chunks.Part()
		if _, err := s.hub.backlog.Publish(backlog.Messages{Bytes: p, Ends: ends}, backlog.Unbounded); err != nil {
			return // closed
		}
		s.chunks.Done()
	}
	if s.held == nil {
		s.unwatch() // level triggered
		return
	}
	s.hub.backlog.Release()
	s.held = nil
}

// copyFrom reads a file that has no readiness to tell of.
func (h *Hub) copyFrom(ctx context.Context, f *os.File) error {
	chunks := h.newChunker()
	for {
		n, err := f.Read(chunks.Space())
		if n > 0 {
			h.warnOfLong(chunks.Took(n))
		}
		if errors.Is(err, io.EOF) {
			h.warnOfRest(chunks.Finish())
		}
		for chunks.Pending() {
			p, ends := chunks.Part()
			if err := h.backlog.PublishWait(ctx, backlog.Messages{Bytes: p, Ends: ends}, backlog.Paced); err != nil {
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

func (h *Hub) newChunker() *pump.Chunker {
	return pump.NewChunker(h.framing, h.longest, int(h.backlog.Segment()))
}

// warnOfLong warns of messages that are too long.
func (h *Hub) warnOfLong(long int) {
	for range long {
		h.log.Warnf("a message of the source is longer than %s and goes on in pieces", quantity.Bytes(int64(h.longest)))
	}
}

// warnOfRest warns of bytes that were dropped at the end of a source.
func (h *Hub) warnOfRest(dropped int) {
	if dropped > 0 {
		h.log.Warnf("what is left at the end of the source, %s, is no whole record and is dropped", quantity.Bytes(int64(dropped)))
	}
}
