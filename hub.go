//go:build unix

package hubbub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/web"
)

// Hub is one server's room. All its methods may be called by any goroutine.
type Hub struct {
	// Immutable once New returns.
	o           Options
	framing     framing.Framing
	longest     int // message, without its separator
	backlog     *backlog.Log
	policy      delivery.Policy
	web         *web.Server
	inbox       *intake.Inbox
	loops       []*loop
	log         *logger.Queue
	began       time.Time
	patrolEvery time.Duration
	onListener  []sock.Setting
	onClient    []sock.Setting
	closeSleeps bool // SO_LINGER is set

	// Shared by the loops.
	sessions    *intake.Sessions
	gate        *accept.Gate
	preconnects accept.Preconnects
	registry    registry
	speakers    speakers
	reading     atomic.Bool // a source is read by the first loop
	writing     atomic.Bool // a sink is written by it
	ids         atomic.Uint64
	places      atomic.Int64    // that came free for HTTP requests, ever
	resting     atomic.Bool     // nobody is accepted for the moment
	passed      atomic.Int64    // connections that ended or went to net/http, ever
	lostSaid    logger.Throttle // guarded by the backlog

	mu       sync.Mutex
	changed  chan struct{} // closed when a client comes or goes
	failure  error         // what ended a loop
	watchers atomic.Int32  // who waits for changed

	running sync.WaitGroup // the loops
	closed  chan struct{}  // the loops have ended
	close   sync.Once
}

// New makes a hub. It listens nowhere yet. The error says which option is
// wrong and what would be right, or what the system refused.
func New(o Options) (*Hub, error) {
	descriptors := descriptorLimit()
	o, err := o.withDefaults(descriptors)
	if err != nil {
		return nil, err
	}
	h := &Hub{
		o: o, framing: framing.Framing(o.Framing), began: time.Now(), patrolEvery: patrolEvery(o),
		changed: make(chan struct{}), closed: make(chan struct{}),
		gate: accept.NewGate(o.MaxClients, max(descriptors-descriptorsForUs, o.MaxClients), o.Loops),
	}
	h.longest = h.framing.Bound(o.MaxMessage)
	h.sessions = intake.NewSessions(o.pace.sessions)
	h.policy = delivery.Policy{
		Slow: delivery.Slow(o.Slow), Patience: o.Patience, MinRate: o.MinRate,
		Private: quota.New(o.Backlog), Kept: quota.New(o.Backlog),
	}
	if err := h.setOptions(o.SocketOptions); err != nil {
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

func (h *Hub) intakeConfig() intake.Config {
	return intake.Config{
		Framing:    h.framing,
		Longest:    h.longest,
		Messages:   h.o.Inbox.messages(),
		Presence:   h.o.Inbox.presence(),
		Beginnings: quota.New(h.o.Backlog),
		Posts:      quota.New(h.o.Backlog / 2), // half is for those who can be cut
	}
}

func (h *Hub) backlogConfig() backlog.Config {
	return backlog.Config{
		Epoch:     strings.ToLower(rand.Text()[:epochLength]),
		Limit:     h.o.Backlog,
		Separator: len(h.framing.Separator()),
		Paced:     h.o.Slow == SlowWait,
		First:     backlog.First(h.o.Replay),
		Idle:      h.o.pace.formKept,
		Encode:    backlog.Encoders,
		Wake:      h.wakeAll,
		Warn:      h.log.Warnf,
		Lost:      h.sayLost,
		Excluded:  h.exclude,
		Unacked:   sock.Unacked,
	}
}

// sayLost says that messages are gone without ever having been heard.
func (h *Hub) sayLost(total int64) {
	if h.lostSaid.Allow(time.Now()) {
		h.log.Warnf("nobody heard the oldest messages and the backlog is full: %d dropped so far", total)
	}
}

// epochLength is in letters of five bits.
const epochLength = 8

// descriptorLimit is how many descriptors the process may have; the runtime
// has raised the soft limit to the hard one.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<30))
}

func (h *Hub) setOptions(pairs []string) error {
	for _, pair := range pairs {
		s, err := sock.Parse(pair)
		if err != nil {
			return err
		}
		if s.OnListener() {
			h.onListener = append(h.onListener, s)
		}
		if s.OnClient() {
			h.onClient = append(h.onClient, s)
		}
		if s.Option.Name == "SO_LINGER" || s.Option.Name == "SO_LINGER_SEC" {
			h.closeSleeps = true
		}
	}
	return nil
}

// holding is how many loops of the process's hubs have been made so far and
// have not ended.
var holding atomic.Int64

func (h *Hub) makeLoops() error {
	all := int(holding.Add(int64(h.o.Loops)))
	for range h.o.Loops {
		// A loop that waits on its P needs another P for everybody else, other
		// hubs included.
		l, err := newLoop(h, runtime.GOMAXPROCS(0) > all)
		if err != nil {
			for _, l := range h.loops {
				_ = l.Close()
			}
			holding.Add(-int64(h.o.Loops))
			return fmt.Errorf("make a loop: %w", err)
		}
		l.mark = h.backlog.NewMark()
		l.index = len(h.loops)
		h.loops = append(h.loops, l)
	}
	h.loops[0].acceptor = accept.NewAcceptor(h.loops[0])
	return nil
}

// Logger logs beside the hub: to the same handler, and it never waits for it
// either. What finds no room is dropped and counted (Stats.LogsDropped).
func (h *Hub) Logger() *slog.Logger { return h.log.Logger() }

// Longest is how long a message may be, in bytes, its separator not counted.
func (h *Hub) Longest() int { return h.longest }

// Epoch is random, letters and digits: EPOCH-SEQ is a resume point.
func (h *Hub) Epoch() string { return h.backlog.Epoch() }

// Address is where a hub listens.
type Address struct {
	text string
}

// String is "127.0.0.1:9000", "[::1]:9000" or "unix:/run/hub.sock".
func (a Address) String() string { return a.text }

// listenTimeout bounds the look-up of a host name to listen on.
const listenTimeout = 10 * time.Second

// Listen begins to accept clients at HOST:PORT, :PORT or unix:PATH, where their
// first bytes tell what they speak, at tcp://HOST:PORT, for raw clients only, or
// at http://HOST:PORT. It returns every address that this means: a name may
// have several. Port 0 is any free port, the same for all of them. The error
// carries the address, the call and the system's words.
func (h *Hub) Listen(address string) ([]Address, error) {
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
	var out []Address
	for _, l := range ls {
		out = append(out, Address{l.String()})
	}
	added := make(chan error, 1)
	h.loops[0].Do(func() { added <- h.loops[0].addListeners(ls) })
	select {
	case err := <-added:
		return out, err
	case <-h.closed:
	}
	select {
	case err := <-added: // and closed with the loop
		return out, err
	default:
		accept.CloseAll(ls)
		return nil, ErrClosed
	}
}

// ParseAddress says what is wrong with an address that Listen would refuse.
func ParseAddress(address string) error {
	_, err := sock.ParseAddress(address)
	return err
}

// prepare sets what accepted sockets inherit from their listener.
func (h *Hub) prepare(fd int, isUnix bool) error {
	if !isUnix {
		if err := h.prepareTCP(fd); err != nil {
			return err
		}
	}
	for _, s := range h.onListener {
		if err := s.Set(fd); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) prepareTCP(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	if err := sock.BoundUnsent(fd, link.Unsent); err != nil {
		return err
	}
	if h.o.KeepAlive <= 0 {
		return nil
	}
	// An older kernel cannot: then a peer that pauses and dies is found later.
	_ = sock.BoundProbes(fd, h.o.KeepAlive/walksAKeepAlive)
	return sock.SetKeepAlive(fd, h.o.KeepAlive)
}

// wakeAll has every loop look at what changed.
func (h *Hub) wakeAll() {
	for _, l := range h.loops {
		l.Wake()
	}
}

// fail remembers what a loop cannot go on with.
func (h *Hub) fail(err error) {
	h.mu.Lock()
	h.failure = errors.Join(h.failure, err)
	h.mu.Unlock()
	h.log.Warnf("%v", err)
}

// notify tells who waits for it that a client came or went.
func (h *Hub) notify() {
	if h.watchers.Load() == 0 {
		return
	}
	h.mu.Lock()
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
}

// WaitForClients waits until n clients are there.
func (h *Hub) WaitForClients(ctx context.Context, n int) error {
	h.watchers.Add(1)
	h.wakeAll() // who has said nothing counts as a client now
	defer h.watchers.Add(-1)
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		if h.gate.Clients() >= int64(n) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-h.backlog.Stopped():
			return ErrClosed
		}
	}
}
