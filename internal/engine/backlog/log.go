//go:build unix

// Package backlog keeps broadcast messages: one feed per encoding that clients
// read, with one limit for all feeds.
//
//	publish.go   appends messages once they fit
//	trim.go      frees the oldest memory when no client reads there
//	encoding.go  the encodings, and the feed of each
//	join.go      clients join an encoding's feed and leave it
//	heard.go     how much of the canonical feed any client has received
//	view.go      a shard's view of the feeds during one turn
//	state.go     the backlog as bytes, and back
//
// Lock order: Log.mu, heard.mu, the feeds' own. Config's functions are called with
// Log.mu held, and Unacked with heard.mu as well, so that no descriptor closes
// meanwhile. None of them may call this package.
package backlog

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"hubbub.example/internal/feed"
)

// ErrClosed means that the hub is closed or draining.
var ErrClosed = errors.New("the hub is closed")

// Config configures a Log.
type Config struct {
	Epoch     string // of this backlog: a resume point is EPOCH-SEQ
	Limit     int64  // bytes that all feeds together may keep
	Separator int    // bytes that end each message in the canonical feed
	Paced     bool   // publishers wait for clients; otherwise clients lose what is trimmed
	First     First
	Idle      time.Duration // how long an encoding's feed stays after its last client
	Encode    func(epoch string) [Encodings]Encode

	Wake     func()                           // wakes every shard
	Warn     func(format string, args ...any) // logs an error of the system
	Lost     func(total int64)                // called after trimming messages that no client received
	Excluded func(id, last uint64)            // called before a message that id must not get becomes visible
	Unacked  func(fd int) (int, error)
}

// Encode appends a message, given without its separator, in one encoding.
type Encode func(dst []byte, m feed.Kept) []byte

// First is where a new client begins: FirstUnheard, FirstNone, FirstAll, or, for
// N > 0, the last N messages.
type First int

// Where a new client may begin.
const (
	FirstUnheard First = 0  // messages that no client has received yet
	FirstNone    First = -1 // new messages only
	FirstAll     First = -2 // the whole backlog
)

// Log is the backlog. Any goroutine may call its methods.
type Log struct {
	config  Config
	encode  [Encodings]Encode
	feed    *feed.Feed // the canonical one
	feeds   [Encodings]atomic.Pointer[encodedFeed]
	heard   heard
	blocked atomic.Int32 // publishers that wait
	lost    atomic.Int64 // trimmed messages that no client received
	stopped chan struct{}
	stop    sync.Once

	mu sync.Mutex // one append or drop at a time

	// Guarded by mu.
	marks   []*Mark
	changed chan struct{} // closed when there is more room
	batches [Encodings]batch
	top     int64 // the highest offset of the encoded feeds made so far, nearly
}

// New makes an empty backlog.
func New(config Config) (*Log, error) {
	canonical, err := feed.New(config.Limit, 0, 0)
	if err != nil {
		return nil, err
	}
	return newLog(config, canonical), nil
}

func newLog(config Config, canonical *feed.Feed) *Log {
	l := &Log{
		config: config, encode: config.Encode(config.Epoch), feed: canonical,
		stopped: make(chan struct{}), changed: make(chan struct{}),
	}
	l.heard.log = l
	l.feeds[Canonical].Store(&encodedFeed{feed: canonical})
	return l
}

// Epoch returns the backlog's: a resume point is EPOCH-SEQ.
func (l *Log) Epoch() string { return l.config.Epoch }

// Stop makes every publisher return, including blocked ones.
func (l *Log) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop.Do(func() { close(l.stopped) })
}

// Stopped is closed after Stop.
func (l *Log) Stopped() <-chan struct{} { return l.stopped }

func (l *Log) isStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// Close frees all memory. No goroutine may read any more.
func (l *Log) Close() error {
	var failed error
	for e := range l.feeds {
		if x := l.feeds[e].Load(); x != nil {
			failed = errors.Join(failed, x.feed.Close())
		}
	}
	return failed
}

// Count returns the number of the last message, which is how many there ever were.
func (l *Log) Count() uint64 { return l.feed.Count() }

// Seq returns the number of the last message that ends at or before offset in the
// canonical feed.
func (l *Log) Seq(offset int64) uint64 { return l.feed.Seq(offset) }

// Head returns where the next message will begin in the canonical feed.
func (l *Log) Head() int64 { return l.feed.Head() }

// Feed returns an encoding's feed; nil if it has none.
func (l *Log) Feed(e Encoding) *feed.Feed {
	if x := l.feeds[e].Load(); x != nil {
		return x.feed
	}
	return nil
}

// View returns the current state of the feeds.
func (l *Log) View(v *View) {
	*v = View{log: l}
	n := int64(0)
	// The canonical feed is appended to last, so its head is read first: messages
	// below it are in the others too.
	for e := range l.feeds {
		if x := l.feeds[e].Load(); x != nil {
			v.feeds[e], v.heads[e], v.targets[e] = x.feed, x.feed.Head(), x.target.Load()
			n++
		}
	}
	v.share = l.config.Limit / n
}

// Segment returns the size of the steps in which memory comes and goes.
func (l *Log) Segment() int64 { return l.feed.Segment() }

// Lost returns the number of trimmed messages that no client received.
func (l *Log) Lost() int64 { return l.lost.Load() }

// Unheard returns the number of messages that no client received, including the
// lost ones.
func (l *Log) Unheard() int64 {
	heard := max(l.heard.upTo(), l.feed.Whole())
	return l.lost.Load() + int64(l.feed.Count()-l.feed.Seq(heard))
}
