//go:build unix

package engine

import (
	"cmp"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/framing"
)

// Config is what a hub is to do. A zero field means its default, as the public
// Options describe it; Pace is for tests.
type Config struct {
	Framing        framing.Framing
	MaxMessage     int
	Slow           delivery.Slow
	Patience       time.Duration
	MinRate        int64
	Backlog        int64
	Replay         backlog.First
	Admit          func(Visitor) (name string, err error)
	MaxClients     int
	IdleTimeout    time.Duration
	Sniff          time.Duration
	KeepAlive      time.Duration
	Hosts, Origins []string
	Inbox          Inbox
	SocketOptions  []string
	UnixMode       fs.FileMode
	Loops          int
	Logger         *slog.Logger

	Pace
}

// Pace is what only tests change.
type Pace struct {
	Heartbeat    time.Duration // beatEvery
	EncodingKept time.Duration // encodingKept
	HeadTime     time.Duration // accept.HeadTime
	Sessions     int           // intake.MostSessions
}

// Inbox says which events the caller receives.
type Inbox uint8

const (
	InboxAll      Inbox = iota // messages, joins and leaves
	InboxMessages              // messages
	InboxPresence              // joins and leaves
	InboxNone                  // nothing
)

func (i Inbox) messages() bool { return i == InboxAll || i == InboxMessages }
func (i Inbox) presence() bool { return i == InboxAll || i == InboxPresence }

// MaxLoops is the most loops a hub may have: each has a thread, a poller and
// four batches.
const MaxLoops = 256

// encodingKept is how long an encoding's feed stays after its last client.
const encodingKept = time.Minute

const (
	defaultPatience  = time.Second
	defaultMinRate   = 64 << 10
	defaultBacklog   = 64 << 20
	defaultMessage   = 1 << 20
	defaultKeepAlive = 30 * time.Second
	defaultSniff     = 100 * time.Millisecond
	minBacklog       = 64 << 10
	minPatience      = 100 * time.Millisecond
	maxKeepAlive     = 32767 * time.Second // tcp(7)

	// descriptorsForUs is what the hub may need besides its clients: the
	// standard three, listeners, epoll and event descriptors, the feed, the
	// reserve, a log file, what the program around it opens.
	descriptorsForUs = 64
)

// check returns an error that names a field that no default can mend, and says
// what would be right.
func (o *Config) check() error {
	if o.Framing < framing.Raw || o.Framing > framing.MaxRecord {
		return fmt.Errorf("Framing %d: must be FramingLines, FramingNUL, FramingRaw or a record size of 1 to %d bytes", o.Framing, framing.MaxRecord)
	}
	if o.Slow > delivery.Skip {
		return fmt.Errorf("Slow %d: must be SlowWait, SlowCut or SlowSkip", o.Slow)
	}
	if o.Inbox > InboxNone {
		return fmt.Errorf("Inbox %d: must be InboxAll, InboxMessages, InboxPresence or InboxNone", o.Inbox)
	}
	if o.Replay < backlog.FirstAll {
		return fmt.Errorf("Replay %d: must be ReplayUnheard, ReplayNone, ReplayAll or a number of messages", o.Replay)
	}
	if o.Patience < 0 || o.MinRate < 0 || o.IdleTimeout < 0 || o.MaxClients < 0 || o.Loops < 0 || o.Sniff < 0 {
		return fmt.Errorf("Patience, MinRate, IdleTimeout, MaxClients, Loops and Sniff must not be negative")
	}
	if o.Loops > MaxLoops {
		return fmt.Errorf("Loops %d: must be at most %d; more than there are cores is of no use", o.Loops, MaxLoops)
	}
	if o.KeepAlive > maxKeepAlive {
		return fmt.Errorf("a keepalive of %s is too long: the most is %s", o.KeepAlive, maxKeepAlive)
	}
	return nil
}

// withDefaults returns o with every zero replaced by what it means, or an
// error that says what would be right.
func (o Config) withDefaults(descriptors int) (Config, error) {
	if err := o.check(); err != nil {
		return o, err
	}
	if o.Backlog == 0 {
		o.Backlog = defaultBacklog
	}
	if o.Backlog < minBacklog {
		return o, fmt.Errorf("a backlog of %d bytes is too small: the least is %d", o.Backlog, minBacklog)
	}
	longest := o.Backlog / 4
	if o.MaxMessage == 0 {
		o.MaxMessage = int(min(defaultMessage, longest))
	}
	if o.MaxMessage < 1 || int64(o.MaxMessage) > longest {
		return o, fmt.Errorf("a longest message of %d bytes does not go with a backlog of %d: it must be 1 to a quarter of the backlog, %d", o.MaxMessage, o.Backlog, longest)
	}
	if o.Framing > 0 && int64(o.Framing) > longest {
		return o, fmt.Errorf("records of %d bytes do not go with a backlog of %d: they must be at most a quarter of it, %d", o.Framing, o.Backlog, longest)
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	o.Patience = max(o.Patience, minPatience)
	if o.MinRate == 0 {
		o.MinRate = defaultMinRate
	}
	if o.MaxClients == 0 {
		o.MaxClients = max(1, descriptors-descriptorsForUs)
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = defaultKeepAlive
	}
	if o.Sniff == 0 {
		o.Sniff = defaultSniff
	}
	if o.UnixMode == 0 {
		o.UnixMode = 0o600
	}
	if o.Loops == 0 {
		o.Loops = min(runtime.NumCPU(), MaxLoops)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Heartbeat = cmp.Or(o.Heartbeat, beatEvery)
	o.EncodingKept = cmp.Or(o.EncodingKept, encodingKept)
	o.HeadTime = cmp.Or(o.HeadTime, accept.HeadTime)
	o.Sessions = cmp.Or(o.Sessions, intake.MostSessions)
	return o, nil
}
