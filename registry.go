//go:build unix

package hubbub

// This file finds clients by their ids:
//
//	Rename  names one
//	Mute    ignores what one says
//	Kick    ends one, in its turn: private.go
//
// Most hubs are never asked for a client, and the registry costs memory for
// each: the first to ask makes it.

import (
	"fmt"
	"sync"
	"sync/atomic"

	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/proto"
)

// registry is where clients are, by id.
type registry struct {
	wanted atomic.Bool
	start  sync.Once

	mu    sync.RWMutex
	known map[uint64]member
}

// member is a client, or a post, and the loop that owns it.
type member struct {
	loop   *loop
	client *client // nil for a post
	post   *post
}

func (m member) sender() *intake.Sender {
	if m.post != nil {
		return &m.post.Sender
	}
	return &m.client.Sender
}

// UnknownError says that there are no clients of these ids, or none any more.
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

// find says where a client is.
func (h *Hub) find(id uint64) (member, error) {
	h.keepRegistry()
	w, ok := h.registry.find(id)
	if !ok {
		return w, &UnknownError{[]uint64{id}}
	}
	return w, nil
}

func (r *registry) find(id uint64) (member, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	w, ok := r.known[id]
	return w, ok
}

// keepRegistry makes the registry, unless it exists. It waits for the loops:
// whoever they may wait for must have called it before.
func (h *Hub) keepRegistry() { h.registry.start.Do(h.makeList) }

// makeList makes the list. Who comes or goes from now on enters it by itself.
func (h *Hub) makeList() {
	h.registry.known = map[uint64]member{}
	h.registry.wanted.Store(true)
	askAll(h, func(l *loop) struct{} {
		for _, c := range l.clients {
			if c.Present() {
				h.registry.enter(member{loop: l, client: c})
			}
		}
		for _, p := range l.posts {
			if p.Present() {
				h.registry.enter(member{loop: l, post: p})
			}
		}
		return struct{}{}
	})
}

// enter notes where a client is.
func (r *registry) enter(m member) {
	if !r.wanted.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[m.sender().ID()] = m
}

// leave notes that a client is gone.
func (r *registry) leave(id uint64) {
	if !r.wanted.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
}

// Rename names a client; "" takes its name away. The rule is that of the names
// that clients choose: at most 64 bytes of UTF-8 without control and format
// characters. What the client sent before keeps the name that it had. The error
// is an *UnknownError, or says what is wrong with the name.
func (h *Hub) Rename(id uint64, name string) error {
	if name != "" {
		if _, err := proto.ParseName(name); err != nil {
			return fmt.Errorf("rename: %w", err)
		}
	}
	return h.change(id, func(m member) { m.sender().Rename(name) })
}

// Mute has nothing be heard any more of what a client says, or has it be heard
// again. The error is an *UnknownError.
func (h *Hub) Mute(id uint64, mute bool) error {
	return h.change(id, func(m member) {
		m.sender().Mute(mute || m.client != nil && m.client.kicked)
	})
}

// change has its loop change a client.
func (h *Hub) change(id uint64, how func(m member)) error {
	m, err := h.find(id)
	if err != nil {
		return err
	}
	m.loop.Do(func() { how(m) })
	return nil
}
