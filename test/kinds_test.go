//go:build unix

package hubbub_test

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// This file is one client of each kind there is, that all do the same.

// party is a client of any kind.
type party struct {
	*peer
	kind string
	id   uint64
	next func() string        // the next message it gets; none fails the test
	say  func(message string) // nil: it cannot
}

// kinds are those that can listen.
var kinds = []string{"raw", "text", "sse", "websocket", "hubbub.v1"}

// everyKind connects one of each.
func (s *stage) everyKind() []*party {
	s.t.Helper()
	var all []*party
	for _, kind := range kinds {
		all = append(all, s.party(kind))
	}
	return all
}

// eachKind runs a scene for each.
func eachKind(t *testing.T, play func(t *testing.T, kind string)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			play(t, kind)
		})
	}
}

// party connects one of this kind.
func (s *stage) party(kind string) *party {
	s.t.Helper()
	p := &party{kind: kind}
	switch kind {
	case "raw":
		p.speaksLines(s.raw())
	case "text":
		p.speaksLines(s.stream("/"))
		p.say = nil
	case "sse":
		p.peer = s.sse("/")
		p.next = func() string { return p.event().data }
	case "websocket":
		p.speaksFrames(s.socket("/"))
	case "hubbub.v1":
		c, _ := s.v1("/")
		p.speaksObjects(c)
	}
	p.id = s.newest()
	return p
}

// newest returns the id of the client that came last.
func (s *stage) newest() (id uint64) {
	s.t.Helper()
	scene.Until(s.t, "the hub has told of it", func() bool {
		joins := int64(0)
		for _, e := range s.events.All() {
			if e.Kind == hubbub.Join {
				joins++
				id = e.Client
			}
		}
		return joins == s.Stats().Joins
	})
	return id
}

func (p *party) speaksLines(c *peer) {
	p.peer = c
	p.next = func() string {
		line, err := c.R.ReadString('\n')
		if err != nil {
			p.T.Fatalf("%s got %q: %v", p.kind, line, err)
		}
		return strings.TrimSuffix(line, "\n")
	}
	p.say = func(message string) { c.Says(message + "\n") }
}

func (p *party) speaksFrames(c *socket) {
	p.peer = c.peer
	p.next = func() string {
		op, got := c.next()
		if op != ws.OpText {
			p.T.Fatalf("%s got frame %d %q", p.kind, op, got)
		}
		return string(got)
	}
	p.say = func(message string) { c.Says(text(message)) }
}

func (p *party) speaksObjects(c *socket) {
	p.peer = c.peer
	p.next = func() string {
		for {
			o, err := c.nextObject()
			if err != nil {
				p.T.Fatalf("%s: %v", p.kind, err)
			}
			if o.Type == "message" || o.Type == "private" {
				return o.Text
			}
		}
	}
	p.say = func(message string) { c.Says(text(said(0, message))) }
}

// hearsAll waits for these messages, and for nothing else before them.
func (p *party) hearsAll(want ...string) {
	p.T.Helper()
	for i, want := range want {
		if got := p.next(); got != want {
			p.T.Fatalf("%s %d: message %d is %s, want %s", p.kind, p.id, i, scene.Brief(got), scene.Brief(want))
		}
	}
}
