//go:build unix

package hubbub

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// logQueue stands between the loops and the user's log handler, which may
// block: records wait in a bounded queue, and what finds no room is counted.
type logQueue struct {
	handler slog.Handler
	records chan slog.Record
	dropped atomic.Int64 // and not yet said

	droppedEver atomic.Int64
	stop        chan struct{}
	done        chan struct{}
	once        sync.Once
}

const logRecords = 1024

func newLogQueue(l *slog.Logger) *logQueue {
	q := &logQueue{handler: l.Handler(), records: make(chan slog.Record, logRecords), stop: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

func (q *logQueue) run() {
	defer close(q.done)
	for {
		select {
		case r := <-q.records:
			q.handle(r)
		case <-q.stop:
			for len(q.records) > 0 {
				q.handle(<-q.records)
			}
			return
		}
	}
}

func (q *logQueue) handle(r slog.Record) {
	_ = q.handler.Handle(context.Background(), r)
	if n := q.dropped.Swap(0); n > 0 {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, fmt.Sprintf("%d log lines were dropped: the log is slower than what happens", n), 0)
		_ = q.handler.Handle(context.Background(), r)
	}
}

func (q *logQueue) log(level slog.Level, format string, args []any) {
	if !q.handler.Enabled(context.Background(), level) {
		return
	}
	select {
	case q.records <- slog.NewRecord(time.Now(), level, fmt.Sprintf(format, args...), 0):
	default:
		q.dropped.Add(1)
		q.droppedEver.Add(1)
	}
}

// close waits a moment for what is queued: a log that is stuck must not keep
// the hub from ending.
func (q *logQueue) close() {
	q.once.Do(func() {
		close(q.stop)
		select {
		case <-q.done:
		case <-time.After(time.Second):
		}
	})
}

func (h *Hub) warnf(format string, args ...any)  { h.log.log(slog.LevelWarn, format, args) }
func (h *Hub) debugf(format string, args ...any) { h.log.log(slog.LevelDebug, format, args) }

// size is a number of bytes as people read it: "64 MiB".
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// messages is a number of messages as people say it.
func messages(n int64) string {
	return fmt.Sprintf("%d %s", n, english.PluralWord(int(n), "message", ""))
}

// seldom lets one message through a minute, and counts the others.
type seldom struct {
	last   time.Time
	passed int // over, since
}

const seldomPeriod = time.Minute

func (s *seldom) now(t time.Time) bool {
	if !s.last.IsZero() && t.Sub(s.last) < seldomPeriod {
		s.passed++
		return false
	}
	s.last = t
	return true
}

// others says how many there were of what was not said, since it was.
func (s *seldom) others() string {
	n := s.passed
	if s.passed = 0; n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more since that was last said)", n)
}
