//go:build unix

package hubbub

import (
	"fmt"
	"time"
)

// ClientInfo describes one client.
type ClientInfo struct {
	ID       uint64
	Name     string    // "": none
	Protocol string    // as in Event
	Addr     string    // likewise
	Since    time.Time // when it joined, to the second
	Lag      int64     // bytes that it has yet to be sent
	Muted    bool      // what it sends is ignored

	BytesIn, MessagesIn   int64 // from it
	BytesOut, MessagesOut int64 // sent to it
}

// Clients returns the connected clients, in no order. It asks the loops, so it
// must not be called by anything that a loop waits for.
func (h *Hub) Clients() []ClientInfo {
	var all []ClientInfo
	for _, c := range h.engine.Clients() {
		all = append(all, ClientInfo(c))
	}
	return all
}

// Slowest returns the client that is furthest behind and its lag in bytes, or 0
// and 0 if no client is behind. It asks the loops, as Clients does.
func (h *Hub) Slowest() (id uint64, lag int64) { return h.engine.Slowest() }

// UnknownError means that no clients with these ids are connected.
type UnknownError struct{ IDs []uint64 }

func (e *UnknownError) Error() string {
	const few = 10 // as many as anybody reads
	switch n := len(e.IDs); {
	case n == 1:
		return fmt.Sprintf("there is no client %d", e.IDs[0])
	case n > few:
		return fmt.Sprintf("there are no clients %v and %d more", e.IDs[:few], n-few)
	}
	return fmt.Sprintf("there are no clients %v", e.IDs)
}

// known returns the error for id where a client of that id is connected or not.
func known(id uint64, ok bool) error {
	if ok {
		return nil
	}
	return &UnknownError{[]uint64{id}}
}

// Send sends a message, without its separator, to some clients. Each gets it
// in order with the broadcasts. Send never waits: up to 1 MiB for each client,
// and up to Backlog for all, wait until the client takes them. Beyond that the
// hub closes the client or, with SlowSkip, drops its oldest private messages. An
// *UnknownError names the clients that are not connected; the others get the
// message. With any other error no client gets it.
func (h *Hub) Send(message []byte, to ...uint64) error {
	unknown, err := h.engine.Send(message, to...)
	if err == nil && unknown != nil {
		return &UnknownError{unknown}
	}
	return err
}

// Kick closes a client after it has got what was broadcast and sent to it
// before, unless it does not take that at once. A WebSocket and the leave event
// carry the reason, of at most 123 bytes; a post gets it as the answer. The hub
// ignores what the client still sends. The error is an *UnknownError.
func (h *Hub) Kick(id uint64, reason string) error { return known(id, h.engine.Kick(id, reason)) }

// Mute ignores everything that a client sends from now on, or ends that. The
// error is an *UnknownError.
func (h *Hub) Mute(id uint64, mute bool) error { return known(id, h.engine.Mute(id, mute)) }

// Rename names a client; "" takes its name away. The rule is that of the names
// that clients choose: at most 64 bytes of UTF-8 without control and format
// characters. What the client sent before keeps the name that it had. The error
// is an *UnknownError, or says what is wrong with the name.
func (h *Hub) Rename(id uint64, name string) error {
	ok, err := h.engine.Rename(id, name)
	if err != nil {
		return err
	}
	return known(id, ok)
}
