//go:build unix

package engine

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/pump"
	"hubbub.example/internal/poll"
)

// pumps is what the first shard reads and writes besides clients.
type pumps struct {
	engine  *Engine
	reading atomic.Bool // a source
	writing atomic.Bool // a sink
}

// BroadcastFrom broadcasts every message that f delivers.
func (p *pumps) BroadcastFrom(ctx context.Context, f *os.File) error {
	if !p.reading.CompareAndSwap(false, true) {
		return errors.New("BroadcastFrom: another source is being read already")
	}
	err := p.readOnLoop(ctx, f)
	p.reading.Store(false)
	if errors.Is(err, poll.ErrNotPollable) {
		return p.reader().Copy(ctx, f)
	}
	return err
}

// reader returns the settings for reading a source.
func (p *pumps) reader() *pump.Reader {
	return &pump.Reader{Backlog: p.engine.backlog, Framing: p.engine.framing, Longest: p.engine.longest, Log: p.engine.log}
}

func (p *pumps) readOnLoop(ctx context.Context, f *os.File) error {
	l := p.engine.loops[0]
	s, err := p.reader().NewSource(f, l.Loop)
	if err != nil {
		return err
	}
	l.Do(func() { l.attach(s.FD(), s); s.Open() })
	select {
	case err = <-s.Done():
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.engine.backlog.Stopped():
		err = backlog.ErrClosed
	}
	if !l.call(func() { l.detach(s.FD()); s.Close() }) {
		s.Abandon()
	}
	return err
}

// DeliverTo writes every message from clients to f.
func (p *pumps) DeliverTo(ctx context.Context, f *os.File) error {
	s, err := pump.NewSink(f, p.engine.inbox)
	if err != nil {
		return err
	}
	defer s.Abandon()
	if s.Waits() {
		return s.Copy(ctx)
	}
	if !p.writing.CompareAndSwap(false, true) {
		return errors.New("DeliverTo: the messages go to another file already")
	}
	defer p.writing.Store(false)
	l := p.engine.loops[0]
	l.Do(func() { l.attach(s.FD(), s); s.Open(l.Loop, l.in) })
	select {
	case err = <-s.Done():
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.engine.closed:
		return s.Finish(ctx)
	}
	if !l.call(func() { l.detach(s.FD()); s.Close() }) {
		return s.Finish(ctx)
	}
	return err
}
