package console

import (
	"context"
	"os"
	"sync"
	"sync/atomic"

	uv "github.com/charmbracelet/ultraviolet"
	"golang.org/x/term"
)

// This file reads the terminal: golang.org/x/term sets raw mode, ultraviolet
// decodes the bytes. Reading stops and starts again when the shell wants its
// terminal back.

type keyboard struct {
	in     *os.File
	events chan<- uv.Event // read it until release returns
	lost   func()          // called when nothing can be read any more

	mu     sync.Mutex
	before *term.State // the terminal's mode before take; nil: it is not ours
	stop   func()      // ends the reading
}

// take sets raw mode and starts reading.
func (k *keyboard) take() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, err := term.MakeRaw(int(k.in.Fd()))
	if err != nil {
		return err
	}
	k.before = before
	r, err := uv.NewCancelReader(k.in)
	if err != nil {
		return err
	}
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = uv.NewTerminalReader(r, os.Getenv("TERM")).StreamEvents(context.Background(), k.events)
		if !stopped.Load() {
			k.lost()
		}
	}()
	k.stop = func() {
		stopped.Store(true)
		r.Cancel()
		within(lastMoment/2, func() { <-done; _ = r.Close() })
	}
	return nil
}

// release stops reading and restores the mode that the terminal had before. It
// may be called at any time.
func (k *keyboard) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.before == nil {
		return
	}
	if k.stop != nil {
		k.stop()
	}
	_ = term.Restore(int(k.in.Fd()), k.before)
	k.before, k.stop = nil, nil
}
