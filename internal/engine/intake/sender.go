//go:build unix

package intake

import (
	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/sock"
)

// Sender is a client as a sender of messages. Only its loop uses it. Every client has
// one, so what few need is in rare.
type Sender struct {
	id       uint64 // 0: it has not joined yet
	rare     *rare
	addr     sock.Addr
	messages uint32 // received
	standing standing
}

// standing packs a client's protocol, two flags and when it joined: with one more word
// a client would be in the next size class of the allocator.
type standing uint32

const (
	muted         standing = 1 << iota // its messages are ignored
	left                               // its leave was reported
	protocolShift = iota
	sinceShift    = protocolShift + 3
	mostSince     = 1<<(32-sinceShift) - 1 // seconds: four years
)

func (s *standing) set(flag standing, on bool) {
	if *s &^= flag; on {
		*s |= flag
	}
}

// rare is what few senders need, and only for a while.
type rare struct {
	name    string
	partial []byte        // the beginning of a message
	held    quota.Share   // of that
	frames  *codec.Frames // the beginning of a frame, or between two of a message
	session *Session      // hubbub.v1: its messages have numbers
	ended   bool          // hubbub.v1: it has announced its end
}

// NewSender returns a client that speaks p and has not joined yet.
func NewSender(addr sock.Addr, p codec.Protocol) Sender {
	return Sender{addr: addr, standing: standing(p) << protocolShift}
}

// Joins gives the client its id. Since is in seconds since the hub began.
func (s *Sender) Joins(id uint64, since uint32) {
	s.id = id
	s.standing |= standing(min(since, mostSince)) << sinceShift
}

// ID returns the client's id; 0 if it has not joined.
func (s *Sender) ID() uint64 { return s.id }

// Present reports whether the client has joined and not left.
func (s *Sender) Present() bool { return s.id != 0 && !s.Left() }

// Left reports whether the client's leave was reported.
func (s *Sender) Left() bool { return s.standing&left != 0 }

// Addr returns the client's address.
func (s *Sender) Addr() sock.Addr { return s.addr }

// Protocol returns what the client speaks.
func (s *Sender) Protocol() codec.Protocol {
	return codec.Protocol(s.standing >> protocolShift & (1<<(sinceShift-protocolShift) - 1))
}

// Since returns when the client joined: seconds since the hub began.
func (s *Sender) Since() uint32 { return uint32(s.standing >> sinceShift) }

// Messages returns how many messages the client sent.
func (s *Sender) Messages() uint32 { return s.messages }

// Name returns the client's name, or "".
func (s *Sender) Name() string {
	if s.rare == nil {
		return ""
	}
	return s.rare.name
}

// Rename gives the client another name. Earlier messages keep the name that it had.
func (s *Sender) Rename(name string) {
	if name == s.Name() {
		return
	}
	s.more().name = name
	s.tidy()
}

// Mute ignores the client's messages, or accepts them again.
func (s *Sender) Mute(on bool) { s.standing.set(muted, on) }

// Muted reports whether the client's messages are ignored.
func (s *Sender) Muted() bool { return s.standing&muted != 0 }

// Continue gives the client session x.
func (s *Sender) Continue(x *Session) { s.more().session = x }

// Session returns the client's session; nil if it has none.
func (s *Sender) Session() *Session {
	if s.rare == nil {
		return nil
	}
	return s.rare.session
}

// Holds returns how many bytes the client's incomplete message has.
func (s *Sender) Holds() int {
	if s.rare == nil {
		return 0
	}
	return s.rare.held.Held()
}

// Forget drops the client's incomplete message.
func (s *Sender) Forget() {
	if x := s.rare; x != nil && x.partial != nil {
		x.held.Release()
		x.partial = nil
		s.tidy()
	}
}

// more returns rare, which it makes on demand.
func (s *Sender) more() *rare {
	if s.rare == nil {
		s.rare = &rare{}
	}
	return s.rare
}

// tidy drops rare when it is empty.
func (s *Sender) tidy() {
	if x := s.rare; x != nil && x.name == "" && x.partial == nil && x.frames == nil && x.session == nil && !x.ended {
		s.rare = nil
	}
}
