//go:build unix

package hubbub

import (
	"cmp"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"hubbub.example/internal/framing"
)

// Options says how a hub behaves. The zero value is a hub that works: lines,
// paced to the slowest client, 64 MiB kept.
type Options struct {
	// Framing says where a message ends, both ways. The zero value is Lines.
	Framing Framing

	// MaxMessage is the longest message in bytes, its separator not counted.
	// A client that sends a longer one is closed; of a stream read by
	// BroadcastFrom a longer one goes on in pieces. 0 means 1 MiB, or a
	// quarter of Backlog if that is less.
	MaxMessage int

	// Slow says what happens with a slow client. The zero value is Wait.
	Slow Slow

	// Patience and MinRate say when a client that holds the source is at
	// lunch: it took fewer than MinRate bytes a second over the last
	// Patience. Only Wait asks. 0 means 1 s and 64 KiB; a Patience below
	// 100 ms counts as that.
	Patience time.Duration
	MinRate  int64

	// Backlog bounds, in bytes, what is kept for clients that lag and for
	// those to come. 0 means 64 MiB; the least is 64 KiB.
	Backlog int64

	// Replay says what a new client is sent first. The zero value is Unheard.
	Replay Replay

	// MaxClients bounds how many clients there are at once; one more is told
	// so and closed. 0 means the descriptor limit less what the hub itself
	// needs.
	MaxClients int

	// IdleTimeout closes a client that had no byte either way for so long.
	// 0 means never.
	IdleTimeout time.Duration

	// Sniff is how long a new connection may say nothing before it counts as a
	// raw client, which it does once there is something to send to it. 0 means
	// 100 ms.
	Sniff time.Duration

	// Hosts are the names under which web pages may reach the hub, besides its
	// addresses and localhost; "*" is any name. Origins are the other sites
	// whose pages may, as scheme://host[:port]; "*" is any site. Both protect
	// from pages that others have made: docs/protocol.md.
	Hosts, Origins []string

	// KeepAlive is how long a peer may be silent before it is asked whether
	// it lives; a dead one is gone in at most twice this. 0 means 30 s, less
	// than 0 never.
	KeepAlive time.Duration

	// Inbox says which events Receive and Events give. The zero value is all
	// of them, and then somebody must take them: an inbox that is full pauses
	// reading from clients.
	Inbox Inbox

	// SocketOptions are NAME=VALUE pairs, as `hubbub sockopts` lists them,
	// set on the listeners or on each client as the option needs.
	SocketOptions []string

	// UnixMode is the mode of a Unix socket. 0 means 0600.
	UnixMode fs.FileMode

	// Loops is the number of event loops, at most MaxLoops. 0 means one per core.
	Loops int

	// Logger gets one record for each cut, refusal and warning, but of many of
	// a kind within a second only the first few and a sum; and at
	// slog.LevelDebug for each join and leave. It is called by a goroutine
	// of its own, never by a loop. nil means no log.
	Logger *slog.Logger

	pace pace
}

// pace is what only tests change; 0 is what the names at the right stand for.
type pace struct {
	beat     time.Duration // beatEvery
	formKept time.Duration // formKept
	head     time.Duration // headTime
	sessions int           // mostSessions
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
	if o.Framing < Raw || o.Framing > framing.MaxRecord {
		return fmt.Errorf("Framing %d: must be Lines, NUL, Raw or a record's size of 1 to %d bytes", o.Framing, framing.MaxRecord)
	}
	if o.Slow > Skip {
		return fmt.Errorf("Slow %d: must be Wait, Cut or Skip", o.Slow)
	}
	if o.Replay < ReplayAll {
		return fmt.Errorf("Replay %d: must be Unheard, ReplayNone, ReplayAll or a number of messages", o.Replay)
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
	if o.Inbox == InboxAll {
		o.Inbox = InboxMessages | InboxPresence
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
	o.pace.head = cmp.Or(o.pace.head, headTime)
	o.pace.sessions = cmp.Or(o.pace.sessions, mostSessions)
	return o, nil
}
