//go:build unix

package engine

// This file finds clients by their ids, and does something to one:
//
//	Rename  names one
//	Mute    ignores messages of one
//	Send    sends one a message, and Kick ends one: private.go
//
// The registry costs memory for each client, and most hubs never use it: the
// first caller makes it.

import (
	"fmt"
	"sync"
	"sync/atomic"

	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/proto"
)

// registry finds clients by id.
type registry struct {
	engine *Engine
	wanted atomic.Bool
	start  sync.Once

	mu    sync.RWMutex
	known map[uint64]member
}

// member is a client or a post, and the shard that owns it.
type member struct {
	loop   *shard
	client *client // nil for a post
	post   *post
}

func (m member) sender() *intake.Sender {
	if m.post != nil {
		return &m.post.Sender
	}
	return &m.client.Sender
}

// find returns a client or a post, and its shard, if it is connected.
func (r *registry) find(id uint64) (m member, ok bool) {
	r.keepRegistry()
	r.mu.RLock()
	defer r.mu.RUnlock()
	m, ok = r.known[id]
	return m, ok
}

// keepRegistry makes the registry, unless it exists. It waits for the shards:
// whoever a shard may wait for must have called it before.
func (r *registry) keepRegistry() { r.start.Do(r.makeList) }

// makeList makes the list. From now on joined and leave keep it up to date.
func (r *registry) makeList() {
	r.known = map[uint64]member{}
	r.wanted.Store(true)
	askAll(r.engine, func(l *shard) struct{} {
		for _, c := range l.clients {
			if c.Present() {
				r.enter(member{loop: l, client: c})
			}
		}
		for _, p := range l.posts {
			if p.Present() {
				r.enter(member{loop: l, post: p})
			}
		}
		return struct{}{}
	})
}

// enter adds a client.
func (r *registry) enter(m member) {
	if !r.wanted.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[m.sender().ID()] = m
}

// leave removes a client.
func (r *registry) leave(id uint64) {
	if !r.wanted.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
}

// Rename names a client; "" takes its name away. The error says what is wrong
// with the name.
func (r *registry) Rename(id uint64, name string) (ok bool, err error) {
	if name != "" {
		if _, err := proto.ParseName(name); err != nil {
			return true, fmt.Errorf("rename: %w", err)
		}
	}
	return r.change(id, func(m member) { m.sender().Rename(name) }), nil
}

// Mute ignores the messages of a client, or accepts them again.
func (r *registry) Mute(id uint64, mute bool) (ok bool) {
	return r.change(id, func(m member) {
		m.sender().Mute(mute || m.client != nil && m.client.kicked)
	})
}

// change calls how on the client's shard.
func (r *registry) change(id uint64, how func(m member)) (ok bool) {
	m, ok := r.find(id)
	if ok {
		m.loop.Do(func() { how(m) })
	}
	return ok
}
