//go:build unix

package pump

import (
	"errors"
	"os"
	"testing"
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/scene"
)

// A source whose backlog has closed says so once, even if its file has more and
// nobody listens: its loop never waits.
func TestSourceEndsOnce(t *testing.T) {
	log, err := backlog.New(backlog.Config{Limit: 1 << 20, Separator: 1, Encode: backlog.Encoders, Wake: func() {}, Warn: t.Errorf, Lost: func(int64) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	on, err := loop.New(time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	defer to.Close()
	queue := logger.New(nil)
	defer queue.Close()
	r := &Reader{Backlog: log, Framing: framing.Lines, Longest: 100, Log: queue}
	s, err := r.NewSource(from, on)
	if err != nil {
		t.Fatal(err)
	}
	s.Open()
	defer s.Close()
	log.Stop()
	turned := make(chan struct{})
	go func() {
		defer close(turned)
		for range 2 {
			_, _ = to.WriteString("a line\n")
			s.Event(nil)
			s.Turn()
		}
	}()
	select {
	case <-turned:
	case <-time.After(scene.LongEnough):
		t.Fatal("the loop waits")
	}
	if err := <-s.Done(); !errors.Is(err, backlog.ErrClosed) {
		t.Error(err)
	}
	if len(s.Done()) > 0 {
		t.Error("it ends twice")
	}
}
