//go:build unix

package hubbub

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
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
	records chan logRecord
	dropped atomic.Int64 // and not yet said

	droppedEver atomic.Int64
	stop        chan struct{}
	done        chan struct{}
	once        sync.Once
}

// logRecord is a record, and the handler that it is for.
type logRecord struct {
	slog.Record
	handler slog.Handler
}

const logRecords = 1024

func newLogQueue(l *slog.Logger) *logQueue {
	q := &logQueue{handler: l.Handler(), records: make(chan logRecord, logRecords), stop: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

func (q *logQueue) run() {
	for {
		select {
		case r := <-q.records:
			q.handle(r)
		case <-q.stop:
			q.empty()
			close(q.done)
			q.empty() // of what came meanwhile
			return
		}
	}
}

func (q *logQueue) empty() {
	for {
		select {
		case r := <-q.records:
			q.handle(r)
		default:
			return
		}
	}
}

func (q *logQueue) handle(r logRecord) {
	_ = r.handler.Handle(context.Background(), r.Record)
	if n := q.dropped.Swap(0); n > 0 {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, fmt.Sprintf("%d log lines were dropped: the log is slower than what happens", n), 0)
		_ = q.handler.Handle(context.Background(), r)
	}
}

func (q *logQueue) log(level slog.Level, format string, args []any) {
	if q.handler.Enabled(context.Background(), level) {
		q.put(logRecord{slog.NewRecord(time.Now(), level, fmt.Sprintf(format, args...), 0), q.handler})
	}
}

func (q *logQueue) put(r logRecord) {
	select {
	case q.records <- r:
	default:
		q.dropped.Add(1)
		q.droppedEver.Add(1)
	}
	select {
	case <-q.done:
		q.empty() // nobody else does
	default:
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

// Logger is for what is to be said beside the hub: it writes to the same log, and
// never waits for it either. What finds no room is dropped, and counted
// (Stats.LogsDropped).
func (h *Hub) Logger() *slog.Logger { return slog.New(logFront{h.log.handler, h.log}) }

// logFront is a slog.Handler that puts what is for another into the queue.
type logFront struct {
	slog.Handler
	queue *logQueue
}

func (f logFront) Handle(_ context.Context, r slog.Record) error {
	f.queue.put(logRecord{r.Clone(), f.Handler})
	return nil
}

func (f logFront) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logFront{f.Handler.WithAttrs(attrs), f.queue}
}

func (f logFront) WithGroup(name string) slog.Handler {
	return logFront{f.Handler.WithGroup(name), f.queue}
}

func (h *Hub) warnf(format string, args ...any)  { h.log.log(slog.LevelWarn, format, args) }
func (h *Hub) debugf(format string, args ...any) { h.log.log(slog.LevelDebug, format, args) }

// size is a number of bytes as people read it: "64 MiB".
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// messages is a number of messages as people say it.
func messages(n int64) string { return number(n, "message") }

// clients is a number of clients, likewise.
func clients(n int64) string { return number(n, "client") }

func number(n int64, of string) string {
	return fmt.Sprintf("%d %s", n, english.PluralWord(int(n), of, ""))
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

// sums are of what many clients do at once, as in an attack: of a kind of line
// the first few are said, and after a sumPeriod how many others there were.
// Which they were slog.LevelDebug says, and the leave events do.
type sums struct {
	mu    sync.Mutex
	kinds map[string]*sum
}

type sum struct {
	few    int // that were said
	others int
	unread int64 // of what these had sent
}

const (
	sumPeriod = time.Second
	aFew      = 10
)

// ofFew counts a line of this kind, and says whether it is one of the first.
func (s *sums) ofFew(kind string, unread int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds = map[string]*sum{}
	}
	x := s.kinds[kind]
	if x == nil {
		x = &sum{}
		s.kinds[kind] = x
	}
	if x.few < aFew {
		x.few++
		return true
	}
	x.others++
	x.unread += int64(unread)
	return false
}

// end begins anew, and returns what there was.
func (s *sums) end() map[string]*sum {
	s.mu.Lock()
	defer s.mu.Unlock()
	kinds := s.kinds
	s.kinds = nil
	return kinds
}

// warnOfOne warns of what one client did, unless many do so at once. The kind is
// what such clients did, said of many.
func (l *loop) warnOfOne(kind string, unread int, format string, args ...any) {
	if l.hub.sums.ofFew(kind, unread) {
		l.hub.warnf(format, args...)
	}
	l.nextSum.In(sumPeriod)
}

// saySums says how many others there were.
func (h *Hub) saySums() {
	kinds := h.sums.end()
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if x := kinds[kind]; x.others > 0 {
			h.warnf("and %d other %s %s%s", x.others, english.PluralWord(x.others, "client", ""), kind, notRead(x.unread, "they"))
		}
	}
}

// notRead says what is lost of what somebody had sent.
func notRead(bytes int64, who string) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("; %s that %s had sent are not read", size(bytes), who)
}
