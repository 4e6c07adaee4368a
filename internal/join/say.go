package join

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// teller logs without ever waiting for the log: STDERR may be blocked.
type teller struct {
	log   *slog.Logger
	queue chan sentence
	lost  atomic.Int64  // dropped, and not yet said
	quit  chan struct{} // closed: say what is queued, and end
	ended chan struct{}
}

type sentence struct {
	level slog.Level
	text  string
}

func newTeller(log *slog.Logger) *teller {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &teller{log: log, queue: make(chan sentence, 64), quit: make(chan struct{}), ended: make(chan struct{})}
	go t.run()
	return t
}

func (t *teller) run() {
	defer close(t.ended)
	for {
		select {
		case s := <-t.queue:
			t.tell(s)
		case <-t.quit:
			for {
				select {
				case s := <-t.queue:
					t.tell(s)
				default:
					return
				}
			}
		}
	}
}

func (t *teller) tell(s sentence) {
	t.log.Log(context.Background(), s.level, s.text)
	if n := t.lost.Swap(0); n > 0 {
		t.log.Log(context.Background(), slog.LevelWarn, fmt.Sprintf("%d log lines were dropped: STDERR is slower than what happens", n))
	}
}

func (t *teller) warn(format string, args ...any)  { t.say(slog.LevelWarn, format, args) }
func (t *teller) debug(format string, args ...any) { t.say(slog.LevelDebug, format, args) }

// say drops what the log is too slow for: it is a log of things that happen
// every few seconds at most.
func (t *teller) say(level slog.Level, format string, args []any) {
	select {
	case t.queue <- sentence{level, fmt.Sprintf(format, args...)}:
	default:
		t.lost.Add(1)
	}
}

// close waits until all is said, but not long. What is said later is lost.
func (t *teller) close() {
	close(t.quit)
	select {
	case <-t.ended:
	case <-time.After(time.Second):
	}
}
