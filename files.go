//go:build unix

package hubbub

import (
	"context"
	"errors"
	"os"

	"hubbub.example/internal/engine/pump"
	"hubbub.example/internal/poll"
)

// BroadcastFrom broadcasts every message that f gives, and returns nil at
// its end. A last message without its separator counts. It returns early with
// ctx's error, ErrClosed when the hub closes or drains, or what f says.
//
// A pipe, a terminal or a socket is read by a loop whenever it is readable,
// and a file by the calling goroutine. f is left in the mode it is in.
func (h *Hub) BroadcastFrom(ctx context.Context, f *os.File) error {
	if !h.reading.CompareAndSwap(false, true) {
		return errors.New("BroadcastFrom: another source is being read already")
	}
	err := h.readOnLoop(ctx, f)
	h.reading.Store(false)
	if errors.Is(err, poll.ErrNotPollable) {
		return h.reader().Copy(ctx, f)
	}
	return err
}

// reader is how this hub's sources are read.
func (h *Hub) reader() *pump.Reader {
	return &pump.Reader{Backlog: h.backlog, Framing: h.framing, Longest: h.longest, Log: h.log}
}

func (h *Hub) readOnLoop(ctx context.Context, f *os.File) error {
	l := h.loops[0]
	s, err := h.reader().NewSource(f, l.Loop)
	if err != nil {
		return err
	}
	l.Do(func() { l.attach(s.FD(), s); s.Open() })
	select {
	case err = <-s.Done():
	case <-ctx.Done():
		err = ctx.Err()
	case <-h.backlog.Stopped():
		err = ErrClosed
	}
	if !h.onFirstLoop(func() { l.detach(s.FD()); s.Close() }) {
		s.Abandon()
	}
	return err
}

// DeliverTo writes every message from every client to f, with its separator,
// until the hub is closed and all is written (nil), ctx is done, or f takes
// no more: the error is then the system's, and comes as soon as it is known
// that nobody reads f, also when nothing is to be written. It takes the place
// of Receive and Events; joins and leaves are passed over. When ctx is done
// the last message may have been written in part.
func (h *Hub) DeliverTo(ctx context.Context, f *os.File) error {
	s, err := pump.NewSink(f, h.inbox)
	if err != nil {
		return err
	}
	defer s.Abandon()
	if s.Waits() {
		return s.Copy(ctx)
	}
	if !h.writing.CompareAndSwap(false, true) {
		return errors.New("DeliverTo: the messages go to another file already")
	}
	defer h.writing.Store(false)
	l := h.loops[0]
	l.Do(func() { l.attach(s.FD(), s); s.Open(l.Loop, l.in) })
	select {
	case err = <-s.Done():
	case <-ctx.Done():
		err = ctx.Err()
	case <-h.closed:
		return s.Finish(ctx)
	}
	if !h.onFirstLoop(func() { l.detach(s.FD()); s.Close() }) {
		return s.Finish(ctx)
	}
	return err
}

// onFirstLoop has the first loop do f, and reports whether it did before the
// hub was closed.
func (h *Hub) onFirstLoop(f func()) bool {
	done := make(chan struct{})
	h.loops[0].Do(func() { f(); close(done) })
	select {
	case <-done:
		return true
	case <-h.closed:
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}
