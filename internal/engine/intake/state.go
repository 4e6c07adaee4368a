//go:build unix

package intake

// This file writes a Sender and the Sessions to bytes and reads them back, for another
// process.

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/sock"
)

// stateVersion is the version of both states. Adding a field keeps it; changing the
// meaning of one needs a new version.
const stateVersion = 1

// senderState is a Sender in bytes.
type senderState struct {
	Version  int
	ID       uint64
	Addr     netip.AddrPort
	Protocol codec.Protocol
	Messages uint32
	Since    uint32
	Muted    bool   `json:",omitempty"`
	Ended    bool   `json:",omitempty"`
	Name     []byte `json:",omitempty"`
	Partial  []byte `json:",omitempty"`
	Frames   []byte `json:",omitempty"`
	Numbered bool   `json:",omitempty"`
	Last     uint64 `json:",omitempty"` // the number of its session
	Token    []byte `json:",omitempty"` // "" for a session of this connection alone
}

// State returns the sender in bytes, for RestoreSender.
func (s *Sender) State() []byte {
	state := senderState{
		Version: stateVersion, ID: s.id, Addr: s.addr.AddrPort(), Protocol: s.Protocol(),
		Messages: s.messages, Since: s.Since(), Muted: s.Muted(),
	}
	if x := s.rare; x != nil {
		state.Name, state.Partial, state.Ended = []byte(x.name), x.partial, x.ended
		if x.frames != nil {
			state.Frames = x.frames.State()
		}
		if x.session != nil {
			state.Numbered, state.Last, state.Token = true, x.session.last, []byte(x.session.token)
		}
	}
	return encode(state)
}

// RestoreSender restores a sender from its State. Its incomplete message counts for the
// quota. Its session is claimed from sessions: Take must follow.
func RestoreSender(p []byte, beginnings *quota.Quota, sessions *Sessions, shard int) (Sender, error) {
	var state senderState
	if err := decode(p, &state, &state.Version); err != nil {
		return Sender{}, fmt.Errorf("restore a client: %w", err)
	}
	if state.Protocol >= codec.Protocols {
		return Sender{}, fmt.Errorf("restore a client: it speaks protocol %d", state.Protocol)
	}
	s := NewSender(sock.AddrFrom(state.Addr), state.Protocol)
	s.Joins(state.ID, state.Since)
	s.Mute(state.Muted)
	s.messages = state.Messages
	x := &rare{name: string(state.Name), partial: state.Partial, ended: state.Ended}
	if state.Frames != nil {
		x.frames = &codec.Frames{}
		if err := x.frames.Restore(state.Frames); err != nil {
			return Sender{}, err
		}
	}
	switch {
	case len(state.Token) > 0:
		x.session, _ = sessions.Claim(string(state.Token), shard)
		x.session.last = max(x.session.last, state.Last)
	case state.Numbered:
		x.session = &Session{last: state.Last}
	}
	x.held.Grow(beginnings, len(x.partial))
	s.rare = x
	s.tidy()
	return s, nil
}

// sessionsState is the idle sessions in bytes. The others go with their clients.
type sessionsState struct {
	Version int
	Idle    []idleState // the longest first
}

type idleState struct {
	Token []byte
	Last  uint64
	Since time.Time
	Site  netip.Addr
	Shard int
}

// State returns the idle sessions in bytes, for Restore.
func (s *Sessions) State() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := sessionsState{Version: stateVersion}
	for e := s.idle.Front(); e != nil; e = e.Next() {
		x := e.Value.(*Session)
		state.Idle = append(state.Idle, idleState{[]byte(x.token), x.last, x.idle.since, x.idle.site.of, x.shard})
	}
	return encode(state)
}

// Restore adds the idle sessions of a State, over shards shards.
func (s *Sessions) Restore(p []byte, shards int) error {
	var state sessionsState
	if err := decode(p, &state, &state.Version); err != nil {
		return fmt.Errorf("restore sessions: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range state.Idle {
		if s.known[string(i.Token)] != nil {
			continue // its client was here before
		}
		x := &Session{token: string(i.Token), shard: i.Shard % max(shards, 1), last: i.Last}
		s.known[x.token] = x
		s.lay(x, i.Site, i.Since)
	}
	s.forget()
	return nil
}

func encode(state any) []byte {
	p, err := json.Marshal(state)
	if err != nil {
		panic("intake: " + err.Error()) // numbers, bytes and times
	}
	return p
}

func decode(p []byte, state any, version *int) error {
	if err := json.Unmarshal(p, state); err != nil {
		return err
	}
	if *version != stateVersion {
		return fmt.Errorf("its state has version %d, want %d", *version, stateVersion)
	}
	return nil
}
