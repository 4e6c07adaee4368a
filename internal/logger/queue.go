// Package logger writes a log without blocking its callers.
//
//	Queue         takes lines and hands them to a slog.Handler, which may block
//	Queue.Group   logs only the first few lines of a kind: group.go
//	Throttle      one line per minute: throttle.go
package logger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hubbub.example/internal/quantity"
)

// queued is the most records that wait for the handler.
const queued = 1024

// Queue is between callers that must not wait and a handler that may block. It
// drops records when it is full, and logs later how many.
type Queue struct {
	handler slog.Handler
	records chan record
	dropped atomic.Int64 // since this was last logged
	ever    atomic.Int64 // dropped at all
	groups  groups
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
}

// record is a record and the handler it is for.
type record struct {
	slog.Record
	handler slog.Handler
}

// New starts a queue in front of l's handler; nil discards everything. The
// caller closes it.
func New(l *slog.Logger) *Queue {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	q := &Queue{handler: l.Handler(), records: make(chan record, queued), stop: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

// run hands records to the handler until Close.
func (q *Queue) run() {
	for {
		select {
		case r := <-q.records:
			q.handle(r)
		case <-q.stop:
			q.empty()
			close(q.done)
			q.empty() // of records that came meanwhile
			return
		}
	}
}

func (q *Queue) empty() {
	for {
		select {
		case r := <-q.records:
			q.handle(r)
		default:
			return
		}
	}
}

func (q *Queue) handle(r record) {
	_ = r.handler.Handle(context.Background(), r.Record)
	if n := q.dropped.Swap(0); n > 0 {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, fmt.Sprintf("dropped %s: the log is too slow", quantity.Count(n, "log line")), 0)
		_ = q.handler.Handle(context.Background(), r)
	}
}

// Warnf logs what an operator should know.
func (q *Queue) Warnf(format string, args ...any) { q.log(slog.LevelWarn, format, args) }

// Debugf logs what helps to follow one client.
func (q *Queue) Debugf(format string, args ...any) { q.log(slog.LevelDebug, format, args) }

func (q *Queue) log(level slog.Level, format string, args []any, attrs ...slog.Attr) {
	if q.handler.Enabled(context.Background(), level) {
		r := slog.NewRecord(time.Now(), level, fmt.Sprintf(format, args...), 0)
		r.AddAttrs(attrs...)
		q.put(record{r, q.handler})
	}
}

func (q *Queue) put(r record) {
	select {
	case q.records <- r:
	default:
		q.dropped.Add(1)
		q.ever.Add(1)
	}
	select {
	case <-q.done:
		q.empty() // no other goroutine does
	default:
	}
}

// Dropped returns the number of records dropped because the queue was full.
func (q *Queue) Dropped() int64 { return q.ever.Load() }

// Close logs what is left, for at most a second: a blocked log must not keep the
// program from exiting. Later records go to the handler directly.
func (q *Queue) Close() {
	q.once.Do(func() {
		q.groups.end(q)
		close(q.stop)
		select {
		case <-q.done:
		case <-time.After(time.Second):
		}
	})
}

// Logger returns a logger that writes to the queue.
func (q *Queue) Logger() *slog.Logger { return slog.New(front{q.handler, q}) }

// front is a handler that puts the records of another into the queue.
type front struct {
	slog.Handler
	queue *Queue
}

func (f front) Handle(_ context.Context, r slog.Record) error {
	f.queue.put(record{r.Clone(), f.Handler})
	return nil
}

func (f front) WithAttrs(attrs []slog.Attr) slog.Handler {
	return front{f.Handler.WithAttrs(attrs), f.queue}
}

func (f front) WithGroup(name string) slog.Handler {
	return front{f.Handler.WithGroup(name), f.queue}
}
