//go:build unix

package hubbub

import (
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"hubbub.example/internal/engine"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/framing"
)

// MaxLoops is the largest number of event loops: each has a thread, a poller
// and four batches.
const MaxLoops = engine.MaxLoops

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

	// Admit decides whether a client may join, and may name it. It runs before
	// the client joins, in a goroutine of its own, for clients of every
	// protocol. A refused client is sent the error and closed. nil admits
	// everyone.
	Admit func(Visitor) (name string, err error)

	// MaxClients is the most clients connected at once. Further clients are sent
	// an error and closed. 0 means the descriptor limit minus what the hub needs
	// itself.
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
	// InboxAll. Then the caller must receive them: a full inbox pauses reading
	// from clients.
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
}

// Visitor is a connection that asks to become a client.
type Visitor struct {
	Addr     string        // as in Event
	Protocol string        // likewise
	Name     string        // that it asks for; "": none
	Request  *http.Request // its head; nil for a raw client. The body is not to be read
}

// config is o as the engine takes it.
func (o Options) config() engine.Config {
	var admit func(engine.Visitor) (string, error)
	if o.Admit != nil {
		admit = func(v engine.Visitor) (string, error) { return o.Admit(Visitor(v)) }
	}
	return engine.Config{
		Admit:   admit,
		Framing: framing.Framing(o.Framing), MaxMessage: o.MaxMessage,
		Slow: delivery.Slow(o.Slow), Patience: o.Patience, MinRate: o.MinRate,
		Backlog: o.Backlog, Replay: backlog.First(o.Replay),
		MaxClients: o.MaxClients, IdleTimeout: o.IdleTimeout, Sniff: o.Sniff, KeepAlive: o.KeepAlive,
		Hosts: o.Hosts, Origins: o.Origins, Inbox: engine.Inbox(o.Inbox),
		SocketOptions: o.SocketOptions, UnixMode: o.UnixMode, Loops: o.Loops, Logger: o.Logger,
	}
}
