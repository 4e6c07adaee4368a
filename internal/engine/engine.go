//go:build unix

// Package engine is the hub: its loops and their clients. It calls the packages
// below it and acts on what they return. The root package is its public API.
//
// A hub (Engine) has parts: admission, registry, gateway, pumps, waiters, life.
// A shard is one loop and its clients, and each file of these has one of its
// parts, with the state that no other part changes:
//
//	accept    listening: connections are accepted, for all shards
//	admit     pending: connections that are no clients yet
//	members   members: a connection becomes a client
//	read      receiving: clients are received from
//	flush     sending: clients are sent to
//	trim      trimming: clients that lag leave what is to be trimmed
//	liveness  liveness: dead and idle clients
//	close     ends: every way a client ends; phase has the table
//	shutdown  shutdown: the end of a shard
//
// shard.go has the turn, which calls them in order.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/sock"
)

// Engine is a hub. Its exported methods may be called by any goroutine.
type Engine struct {
	// Immutable once New returns.
	o             Config
	framing       framing.Framing
	longest       int // message, without its separator
	backlog       *backlog.Log
	policy        delivery.Policy
	inbox         *intake.Inbox
	loops         []*shard
	log           *logger.Queue
	began         time.Time
	livenessEvery time.Duration
	sockets

	// Shared by the shards.
	sessions *intake.Sessions
	speakers speakers
	lostSaid logger.Throttle // guarded by the backlog
	admission
	registry
	gateway
	pumps
	waiters
	life
}

// New makes a hub that does not listen yet. The error names a wrong option and
// what it allows, or is the system's.
func New(o Config) (*Engine, error) {
	descriptors := descriptorLimit()
	o, err := o.withDefaults(descriptors)
	if err != nil {
		return nil, err
	}
	h := &Engine{
		o: o, framing: o.Framing, began: time.Now(), livenessEvery: livenessEvery(o),
		waiters: waiters{changed: make(chan struct{})}, life: life{closed: make(chan struct{})},
		admission: admission{gate: accept.NewGate(o.MaxClients, max(descriptors-descriptorsForUs, o.MaxClients), o.Loops)},
	}
	h.admission.engine, h.registry.engine, h.gateway.engine = h, h, h
	h.pumps.engine, h.waiters.engine, h.life.engine = h, h, h
	h.longest = h.framing.Bound(o.MaxMessage)
	h.sessions = intake.NewSessions(o.Sessions)
	h.policy = delivery.Policy{
		Slow: o.Slow, Patience: o.Patience, MinRate: o.MinRate,
		Private: quota.New(o.Backlog), Kept: quota.New(o.Backlog),
	}
	if h.sockets, err = newSockets(o.SocketOptions, o.KeepAlive); err != nil {
		return nil, err
	}
	h.log = logger.New(o.Logger)
	if h.backlog, err = backlog.New(h.backlogConfig()); err != nil {
		h.log.Close()
		return nil, err
	}
	h.inbox = intake.NewInbox(h.intakeConfig(), o.Loops, h.closed, h.wakeAll)
	if err := h.makeLoops(); err != nil {
		h.log.Close()
		return nil, errors.Join(err, h.backlog.Close())
	}
	h.web = h.newWeb()
	h.running.Add(len(h.loops))
	for _, l := range h.loops {
		go l.run()
	}
	return h, nil
}

func (h *Engine) intakeConfig() intake.Config {
	return intake.Config{
		Framing:    h.framing,
		Longest:    h.longest,
		Messages:   h.o.Inbox.messages(),
		Presence:   h.o.Inbox.presence(),
		Beginnings: quota.New(h.o.Backlog),
		Posts:      quota.New(h.o.Backlog / 2), // half is for clients that can be closed
	}
}

func (h *Engine) backlogConfig() backlog.Config {
	return backlog.Config{
		Epoch:     strings.ToLower(rand.Text()[:epochLength]),
		Limit:     h.o.Backlog,
		Separator: len(h.framing.Separator()),
		Paced:     h.o.Slow == delivery.Wait,
		First:     h.o.Replay,
		Idle:      h.o.EncodingKept,
		Encode:    backlog.Encoders,
		Wake:      h.wakeAll,
		Warn:      h.log.Warnf,
		Lost:      h.sayLost,
		Excluded:  h.exclude,
		Unacked:   sock.Unacked,
	}
}

// sayLost logs that messages were dropped that no client received.
func (h *Engine) sayLost(total int64) {
	if h.lostSaid.Allow(time.Now()) {
		h.log.Warnf("nobody heard the oldest messages and the backlog is full: %d dropped so far", total)
	}
}

// epochLength is in characters of five bits.
const epochLength = 8

// descriptorLimit returns how many descriptors the process may have; the runtime
// has raised the soft limit to the hard one.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<30))
}

// holding counts the running loops of all hubs of the process.
var holding atomic.Int64

func (h *Engine) makeLoops() error {
	all := int(holding.Add(int64(h.o.Loops)))
	for range h.o.Loops {
		// A loop that holds its P needs another P for all other goroutines, other
		// hubs included.
		l, err := newShard(h, runtime.GOMAXPROCS(0) > all)
		if err != nil {
			for _, l := range h.loops {
				_ = l.Close()
			}
			holding.Add(-int64(h.o.Loops))
			return fmt.Errorf("make a loop: %w", err)
		}
		l.index = len(h.loops)
		h.loops = append(h.loops, l)
	}
	h.loops[0].acceptor = accept.NewAcceptor(h.loops[0])
	return nil
}

// Logger returns a logger to the hub's handler that never blocks. It drops records
// when its queue is full, and counts them (Stats.LogsDropped).
func (h *Engine) Logger() *slog.Logger { return h.log.Logger() }

// Inbox returns the inbox from which the caller receives.
func (h *Engine) Inbox() *intake.Inbox { return h.inbox }

// Longest returns the longest message in bytes, without its separator.
func (h *Engine) Longest() int { return h.longest }

// Epoch returns random letters and digits: EPOCH-SEQ is a resume point.
func (h *Engine) Epoch() string { return h.backlog.Epoch() }

// listenTimeout bounds the look-up of a host name to listen on.
const listenTimeout = 10 * time.Second

// Listen starts to accept clients at an address. It returns every address that it
// listens on.
func (h *Engine) Listen(address string) ([]string, error) {
	a, err := sock.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), listenTimeout)
	defer cancel()
	ls, err := sock.Listen(ctx, a, sock.Config{Set: h.prepare, UnixMode: h.o.UnixMode})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range ls {
		out = append(out, l.String())
	}
	first := h.loops[0]
	if !first.call(func() { err = first.addListeners(ls) }) {
		accept.CloseAll(ls)
		return nil, backlog.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// wakeAll wakes every loop.
func (h *Engine) wakeAll() {
	for _, l := range h.loops {
		l.Wake()
	}
}

// leaveBacklog has c leave the feed of its encoding.
func (h *Engine) leaveBacklog(c *client) {
	e := backlog.EncodingOf(c.Protocol())
	if e != backlog.Canonical && h.backlog.Leave(e) {
		h.sweepLater()
	}
}

// sweepLater has sweep run when a feed that nobody reads may be dropped.
func (h *Engine) sweepLater() {
	first := h.loops[0]
	first.Do(func() { first.nextSweep.In(h.o.EncodingKept) })
}
