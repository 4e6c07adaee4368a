//go:build unix

package hubbub

// This file finds clients by their ids, for whoever speaks of one:
//
//	Rename  what it is called
//	Mute    what it says is not heard
//	Kick    it is ended, in its turn: private.go
//
// Nobody may ever ask, and a list of all clients costs memory for each of them:
// it is made when somebody does.

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"hubbub.example/internal/proto"
)

// people is where clients are, by id.
type people struct {
	wanted atomic.Bool
	start  sync.Once

	mu    sync.RWMutex
	known map[uint64]whereabouts
}

// whereabouts is a client and the loop that owns it.
type whereabouts struct {
	loop   *loop
	client *client
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
func (h *Hub) find(id uint64) (whereabouts, error) {
	h.listPeople()
	w, ok := h.people.find(id)
	if !ok {
		return w, &UnknownError{[]uint64{id}}
	}
	return w, nil
}

func (p *people) find(id uint64) (whereabouts, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	w, ok := p.known[id]
	return w, ok
}

// listPeople has the list be there. It waits for the loops: whoever they may wait
// for must have called it before.
func (h *Hub) listPeople() { h.people.start.Do(h.makeList) }

// makeList makes the list. Who comes or goes from now on enters it by itself.
func (h *Hub) makeList() {
	h.people.known = map[uint64]whereabouts{}
	h.people.wanted.Store(true)
	askAll(h, func(l *loop) struct{} {
		for _, c := range slices.Concat(l.clients, l.guests) {
			if c.id != 0 && !c.left {
				h.people.enter(l, c)
			}
		}
		return struct{}{}
	})
}

// enter notes that c is l's.
func (p *people) enter(l *loop, c *client) {
	if !p.wanted.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[c.id] = whereabouts{l, c}
}

// leave notes that c is gone.
func (p *people) leave(c *client) {
	if !p.wanted.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, c.id)
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
	return h.change(id, func(c *client) {
		if name != "" || c.extra != nil {
			c.more().name = name
		}
		c.tidy()
	})
}

// Mute has nothing be heard any more of what a client says, or has it be heard
// again. The error is an *UnknownError.
func (h *Hub) Mute(id uint64, mute bool) error {
	return h.change(id, func(c *client) { c.muted = mute || c.kicked })
}

// change has its loop change a client.
func (h *Hub) change(id uint64, how func(c *client)) error {
	w, err := h.find(id)
	if err != nil {
		return err
	}
	w.loop.Do(func() {
		if w.client.state < dead {
			how(w.client)
		}
	})
	return nil
}
