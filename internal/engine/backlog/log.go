//go:build unix

// Package backlog keeps what was broadcast: one feed for each encoding in which
// clients read it, all bounded together.
//
//	publish.go   appends messages, once there is room for them
//	trim.go      gives the oldest memory back when no client stands there
//	encoding.go  the encodings, and the feed of each
//	join.go      clients come to an encoding's feed and leave it
//	heard.go     up to where somebody has heard the canonical feed
//	view.go      what a shard knows of the feeds during one turn
//	state.go     the backlog as bytes, and back
//
// Locks: Log.mu, then heard.mu, then the feeds' own. Config's functions are called
// with Log.mu held, and Unacked with heard.mu as well, so that no descriptor closes
// meanwhile: none of them may come back here.
package backlog

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"hubbub.example/internal/feed"
)

// ErrClosed says that the hub is closed, or drains before it closes.
var ErrClosed = errors.New("the hub is closed")

// Config is what a Log needs to know.
type Config struct {
	Epoch     string // of this backlog: a resume point is EPOCH-SEQ
	Limit     int64  // bytes that all feeds together may keep
	Separator int    // bytes that end each message in the canonical feed
	Paced     bool   // publishers wait for clients; else clients lose what is trimmed
	First     First
	Idle      time.Duration // how long an encoding's feed stays after its last client
	Encode    func(epoch string) [Encodings]Encode

	Wake     func()                           // has every shard look at the backlog
	Warn     func(format string, args ...any) // the system refused something
	Lost     func(total int64)                // messages were trimmed that nobody heard
	Excluded func(id, last uint64)            // called before a message that id must not get can be seen
	Unacked  func(fd int) (int, error)
}

// Encode appends a message, given without its separator, in one encoding.
type Encode func(dst []byte, m feed.Kept) []byte

// First is what a new client is sent first: FirstUnheard, FirstNone, FirstAll,
// or, for a number N above 0, the last N messages.
type First int

// What a new client may be sent first.
const (
	FirstUnheard First = 0  // what nobody has heard yet
	FirstNone    First = -1 // nothing
	FirstAll     First = -2 // all that is kept
)

// Log is the backlog. All its methods may be called by any goroutine.
type Log struct {
	config  Config
	encode  [Encodings]Encode
	feed    *feed.Feed // the canonical one
	feeds   [Encodings]atomic.Pointer[encodedFeed]
	heard   heard
	blocked atomic.Int32 // publishers that wait
	lost    atomic.Int64 // messages trimmed that nobody heard
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

// Epoch is the backlog's: a resume point is EPOCH-SEQ.
func (l *Log) Epoch() string { return l.config.Epoch }

// Stop makes every publisher end, a blocked one too.
func (l *Log) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop.Do(func() { close(l.stopped) })
}

// Stopped is closed once nothing is published any more.
func (l *Log) Stopped() <-chan struct{} { return l.stopped }

func (l *Log) isStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// Close gives all memory back. Nobody may read any more.
func (l *Log) Close() error {
	var failed error
	for e := range l.feeds {
		if x := l.feeds[e].Load(); x != nil {
			failed = errors.Join(failed, x.feed.Close())
		}
	}
	return failed
}

// Count is the number of the last message, which is how many there ever were.
func (l *Log) Count() uint64 { return l.feed.Count() }

// Seq is the number of the last message that ends at or before offset in the
// canonical feed.
func (l *Log) Seq(offset int64) uint64 { return l.feed.Seq(offset) }

// Head is where the next message will begin in the canonical feed.
func (l *Log) Head() int64 { return l.feed.Head() }

// Feed is an encoding's feed; nil if it has none now.
func (l *Log) Feed(e Encoding) *feed.Feed {
	if x := l.feeds[e].Load(); x != nil {
		return x.feed
	}
	return nil
}

// View looks at the feeds as they are now.
func (l *Log) View(v *View) {
	*v = View{log: l}
	n := int64(0)
	// The canonical feed is appended to last, so it is looked at first: whatever
	// its head tells of is in the others.
	for e := range l.feeds {
		if x := l.feeds[e].Load(); x != nil {
			v.feeds[e], v.heads[e], v.targets[e] = x.feed, x.feed.Head(), x.target.Load()
			n++
		}
	}
	v.share = l.config.Limit / n
}

// Segment is the size of the steps in which memory comes and goes.
func (l *Log) Segment() int64 { return l.feed.Segment() }

// Lost is how many messages were trimmed that nobody heard.
func (l *Log) Lost() int64 { return l.lost.Load() }

// Unheard is how many messages nobody has heard, the lost ones included.
func (l *Log) Unheard() int64 {
	heard := max(l.heard.upTo(), l.feed.Whole())
	return l.lost.Load() + int64(l.feed.Count()-l.feed.Seq(heard))
}
