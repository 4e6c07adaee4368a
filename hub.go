//go:build unix

package hubbub

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"hubbub.example/internal/engine"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
)

// Hub is a server and its clients. Its methods may be called from any
// goroutine.
type Hub struct{ engine *engine.Engine }

// ErrClosed means that the hub is closed or draining.
var ErrClosed = backlog.ErrClosed

// New makes a hub. It does not listen yet. The error says which option is wrong
// and what would be right, or what the system refused.
func New(o Options) (*Hub, error) {
	e, err := engine.New(o.config())
	if err != nil {
		return nil, err
	}
	return &Hub{e}, nil
}

// Address is where a hub listens.
type Address struct{ text string }

// String is "127.0.0.1:9000", "[::1]:9000" or "unix:/run/hub.sock".
func (a Address) String() string { return a.text }

// ParseAddress returns what is wrong with an address that Listen would refuse.
func ParseAddress(address string) error {
	_, err := sock.ParseAddress(address)
	return err
}

// Listen starts accepting clients at HOST:PORT, :PORT or unix:PATH, where their
// first bytes tell what they speak; at tcp://HOST:PORT, for raw clients only; or
// at http://HOST:PORT. It returns every address that this means: a host name
// may have several. Port 0 is any free port, the same for all of them. The
// error has the address, the call and the system's words.
func (h *Hub) Listen(address string) ([]Address, error) {
	texts, err := h.engine.Listen(address)
	var all []Address
	for _, text := range texts {
		all = append(all, Address{text})
	}
	return all, err
}

// Serve accepts connections from l, which it closes at the end, and serves
// them as those of Listen: their first bytes tell what they speak. It returns
// ErrClosed when the hub drains or closes, and l's error when l fails. The
// connections must be TCP or Unix sockets: not, for example, those of a TLS
// listener.
func (h *Hub) Serve(l net.Listener) error { return h.engine.Serve(l) }

// ServeHTTP answers a request as the hub's own HTTP server does: WebSockets,
// server-sent events, streams, posts and the page. So a hub can share a server with
// other handlers:
//
//	http.Handle("/hub/", http.StripPrefix("/hub", hub))
//
// It takes the connection over: the request is the last on it. It needs HTTP/1
// without TLS, and answers others with 501.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.engine.ServeHTTP(w, r) }

// WaitForClients waits until n clients are connected.
func (h *Hub) WaitForClients(ctx context.Context, n int) error {
	return h.engine.WaitForClients(ctx, n)
}

// Settle waits until every client has acknowledged what was broadcast and some
// client has received each message. Clients may still join. The error is an
// *UndeliveredError if there is no progress for stall, or ctx is done.
func (h *Hub) Settle(ctx context.Context, stall time.Duration) error {
	left, err := h.engine.Settle(ctx, stall)
	return errors.Join(err, undelivered(left))
}

// Drain ends the hub in an orderly way: it accepts and broadcasts no more, lets
// every client have what was broadcast, and closes each that has. The error is
// an *UndeliveredError if nothing of that progressed for stall, or ctx is done;
// then the rest is closed at once.
func (h *Hub) Drain(ctx context.Context, stall time.Duration) error {
	left, err := h.engine.Drain(ctx, stall)
	return errors.Join(undelivered(left), err)
}

// Close ends the hub at once. What clients sent before can still be received.
func (h *Hub) Close() error { return h.engine.Close() }

// Wait waits until the hub is closed. The error is what ended it, if neither
// Close nor Drain did.
func (h *Hub) Wait() error { return h.engine.Wait() }

// Logger returns a logger to the hub's handler that never blocks. It drops records
// when its queue is full, and counts them (Stats.LogsDropped).
func (h *Hub) Logger() *slog.Logger { return h.engine.Logger() }

// Longest returns how long a message may be, in bytes, without its separator.
func (h *Hub) Longest() int { return h.engine.Longest() }

// Epoch is random letters and digits: EPOCH-SEQ is a resume point.
func (h *Hub) Epoch() string { return h.engine.Epoch() }

// Stats is what a hub counts, since it began where not said otherwise.
type Stats struct {
	Clients     int   // connected now
	Joins       int64 // clients that ever joined
	Refused     int64 // connections refused: full, or out of descriptors
	MessagesIn  int64 // from clients
	BytesIn     int64
	Broadcasts  int64 // messages broadcast
	BytesOut    int64 // sent to all clients together
	Sends       int64 // system calls that sent them
	Skipped     int64 // messages that slow clients missed, all together
	Lost        int64 // messages dropped that no client received
	LogsDropped int64 // log lines dropped because the log was too slow
}

// Stats returns what the hub has counted so far.
func (h *Hub) Stats() Stats { return Stats(h.engine.Stats()) }

// UndeliveredError says what could not be delivered.
type UndeliveredError struct {
	Clients int   // that did not get everything
	Bytes   int64 // that they have not acknowledged, in all
	Unheard int64 // messages that no client received
	Unread  int64 // bytes that clients had sent and the inbox did not take
}

func (e *UndeliveredError) Error() string {
	var parts []string
	if e.Clients > 0 {
		parts = append(parts, quantity.Bytes(e.Bytes)+" to "+quantity.Count(int64(e.Clients), "client"))
	}
	if e.Unheard > 0 {
		parts = append(parts, quantity.Count(e.Unheard, "message")+", which nobody has heard")
	}
	if e.Unread > 0 {
		parts = append(parts, quantity.Bytes(e.Unread)+" from clients, which the sink was too slow for")
	}
	return "not delivered: " + strings.Join(parts, "; ")
}

// undelivered returns what is left, as an error.
func undelivered(left engine.Left) error {
	if left == (engine.Left{}) {
		return nil
	}
	e := UndeliveredError(left)
	return &e
}
