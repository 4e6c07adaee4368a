//go:build unix

package engine

import (
	"context"
	"errors"
	"os"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/pump"
	"hubbub.example/internal/poll"
)

// BroadcastFrom broadcasts every message that f delivers.
func (h *Engine) BroadcastFrom(ctx context.Context, f *os.File) error {
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

// reader returns the settings for reading a source.
func (h *Engine) reader() *pump.Reader {
	return &pump.Reader{Backlog: h.backlog, Framing: h.framing, Longest: h.longest, Log: h.log}
}

func (h *Engine) readOnLoop(ctx context.Context, f *os.File) error {
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
		err = backlog.ErrClosed
	}
	if !h.onFirstLoop(func() { l.detach(s.FD()); s.Close() }) {
		s.Abandon()
	}
	return err
}

// DeliverTo writes every message from clients to f.
func (h *Engine) DeliverTo(ctx context.Context, f *os.File) error {
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

// onFirstLoop runs f on the first loop. It reports whether f ran before the hub was
// closed.
func (h *Engine) onFirstLoop(f func()) bool {
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
