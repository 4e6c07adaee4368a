//go:build unix

package hubbub

import (
	"cmp"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/framing"
)

// Options configures a hub. The zero value works: lines, paced to the slowest
// client, a backlog of 64 MiB.
type Options struct {
	// Framing says where a message ends, both ways. The zero value is
	// FramingLines.
	Framing Framing

	// MaxMessage is the longest message in bytes, without its separator. A
	// client that sends a longer one is closed; BroadcastFrom splits one. 0
	// means 1 MiB, or a quarter of Backlog if that is less.
	MaxMessage int

	// Slow says what happens with slow clients. The zero value is SlowWait.
	Slow Slow

	// Patience and MinRate say when SlowWait closes a client that holds up the
	// source: it took less than MinRate bytes per second over the last
	// Patience. 0 means 1 s and 64 KiB. A Patience below 100 ms counts as that.
	Patience time.Duration
	MinRate  int64

	// Backlog bounds the messages that are kept for clients that lag and for
	// those to come, in bytes. 0 means 64 MiB; the minimum is 64 KiB.
	Backlog int64

	// Replay says what a new client gets first. The zero value is
	// ReplayUnheard.
	Replay Replay

	// MaxClients bounds how many clients are connected at once. One more is
	// told so and closed. 0 means the descriptor limit minus what the hub
	// needs itself.
	MaxClients int

	// IdleTimeout closes a client when no byte went either way for so long. 0
	// means never.
	IdleTimeout time.Duration

	// Sniff is how long a new connection may stay silent before it counts as a
	// raw client, once there is something to send to it. 0 means 100 ms.
	Sniff time.Duration

	// Hosts are names under which web pages may reach the hub, besides its
	// addresses and localhost; "*" is any name. Origins are other sites whose
	// pages may connect, as scheme://host[:port]; "*" is any site. Both
	// protect against pages of others: see docs/http.md.
	Hosts, Origins []string

	// KeepAlive is how long a peer may be silent before the hub probes it. A
	// dead one is found within twice this time. 0 means 30 s, less than 0
	// never.
	KeepAlive time.Duration

	// Inbox says which events Receive and Events return. The zero value is
	// InboxAll, and then somebody must receive them: a full inbox pauses
	// reading from clients.
	Inbox Inbox

	// SocketOptions are NAME=VALUE pairs, as listed by `hubbub sockopts`. Each
	// is set on the listeners or on every client, as the option requires.
	SocketOptions []string

	// UnixMode is the file mode of a Unix socket. 0 means 0600.
	UnixMode fs.FileMode

	// Loops is the number of event loops, at most MaxLoops. 0 means one per
	// core.
	Loops int

	// Logger gets a record for each closed client, refusal and warning; of
	// many of one kind within a second only the first few and their number.
	// At slog.LevelDebug it gets every join and leave. A goroutine of its own
	// calls it, never a loop. nil means no log.
	Logger *slog.Logger

	pace pace
}

// pace is what only tests change; 0 is what the names at the right stand for.
type pace struct {
	beat     time.Duration // beatEvery
	formKept time.Duration // formKept
	head     time.Duration // accept.HeadTime
	sessions int           // intake.MostSessions
}

// MaxLoops is the most loops a hub may have: each has a thread, a poller and
// four batches.
const MaxLoops = 256

// formKept is how long an encoding's feed stays after its last client.
const formKept = time.Minute

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
func (o Options) check() error {
	if o.Framing < FramingRaw || o.Framing > framing.MaxRecord {
		return fmt.Errorf("Framing %d: must be FramingLines, FramingNUL, FramingRaw or a record size of 1 to %d bytes", o.Framing, framing.MaxRecord)
	}
	if o.Slow > SlowSkip {
		return fmt.Errorf("Slow %d: must be SlowWait, SlowCut or SlowSkip", o.Slow)
	}
	if o.Inbox > InboxNone {
		return fmt.Errorf("Inbox %d: must be InboxAll, InboxMessages, InboxPresence or InboxNone", o.Inbox)
	}
	if o.Replay < ReplayAll {
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
func (o Options) withDefaults(descriptors int) (Options, error) {
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
	o.pace.beat = cmp.Or(o.pace.beat, beatEvery)
	o.pace.formKept = cmp.Or(o.pace.formKept, formKept)
	o.pace.head = cmp.Or(o.pace.head, accept.HeadTime)
	o.pace.sessions = cmp.Or(o.pace.sessions, intake.MostSessions)
	return o, nil
}
